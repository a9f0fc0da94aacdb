// What the control plane is started with: descriptors by number and names by path, from the keeper; a command line, from the CLI.

import path from "node:path";
import type { HostAllowances } from "../../activation/imagelayer";
import { UserError, exitCode } from "../../base/errors";
import { readAblated } from "../../dataplane/ablation";

export type Environment = Readonly<ReturnType<typeof readEnvironment>>;

export function readEnvironment(env: NodeJS.ProcessEnv) {
  return {
    fuseFd: descriptor(env, "SWAPFS_FUSE_FD"),
    controlFd: descriptor(env, "SWAPFS_CONTROL_FD"),
    sessionFd: descriptor(env, "SWAPFS_SESSION_FD"),
    /** the flock on the source; -1 when there is none (a keeper started by hand) */
    lockFd: env["SWAPFS_LOCK_FD"] === undefined ? -1 : descriptor(env, "SWAPFS_LOCK_FD"),
    /** told once when the mount answers; -1 at later starts */
    readyFd: env["SWAPFS_READY_FD"] === undefined ? -1 : descriptor(env, "SWAPFS_READY_FD"),
    device: text(env, "SWAPFS_DEVICE"),
    mountpoint: text(env, "SWAPFS_MOUNTPOINT"),
    runDir: text(env, "SWAPFS_RUN_DIR"),
    ablated: readAblated(env),
  };
}

/** Throws a UserError when it is not set. */
export function text(env: NodeJS.ProcessEnv, name: string): string {
  const value = env[name];
  if (value === undefined || value === "") {
    throw new UserError(exitCode.internal, `cannot start: ${name} is not set, swapfs mount starts this program`);
  }
  return value;
}

export function descriptor(env: NodeJS.ProcessEnv, name: string): number {
  const value = text(env, name);
  if (!/^\d+$/.test(value)) throw new UserError(exitCode.internal, `cannot start: ${name} is "${value}", not a descriptor`);
  return Number(value);
}

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
