// How the control plane is started: what the CLI hands to the keeper behind "--".

import path from "node:path";
import type { HostAllowances } from "../../activation/imagelayer";

/**
 * Memory, measured with 20,000 creates (peak resident, CPU): 99 MiB and 2.6 s without the last flag, 86 MiB and 2.0 s
 * with it. A small young generation is what a request's few objects need; file data never comes here.
 */
const nodeFlags: readonly string[] = ["--max-semi-space-size=2", "--max-lazy", "--heap-growing-percent=20"];

const allowCow = "--allow-cow";
const allowUnmapped = "--allow-unmapped-host";

/** [node, flags …, main.js, options …]: the whole command line of the control plane, at its first start and later ones. */
export function controlPlaneArgv(allow: HostAllowances): string[] {
  const options = [...(allow.cow ? [allowCow] : []), ...(allow.unmapped ? [allowUnmapped] : [])];
  return [process.execPath, ...nodeFlags, path.join(__dirname, "main.js"), ...options];
}

/** What `controlPlaneArgv` put behind main.js. */
export function readAllowances(options: readonly string[]): HostAllowances {
  return { cow: options.includes(allowCow), unmapped: options.includes(allowUnmapped) };
}
