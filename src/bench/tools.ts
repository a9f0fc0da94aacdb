// Programs that the benchmark runs, the CLI among them: a mount is driven from outside, as a person drives it.

import { spawnSync, type SpawnSyncOptions } from "node:child_process";
import { join } from "node:path";
import { UserError, exitCode } from "../base/errors";
import { toolEnvironment } from "../base/searchpath";

/** swapfs map of a file in 10,000 pieces takes a few MiB. */
const outputBytesMax = 2 ** 26;

/** Runs a program that must succeed; returns what it printed. In a session of its own: Ctrl-C ends us, not a swapoff. */
export function must(command: string, args: readonly string[]): string {
  const options: SpawnSyncOptions & { detached: boolean } = {
    encoding: "utf8", detached: true, maxBuffer: outputBytesMax, env: toolEnvironment(),
  };
  const ran = spawnSync(command, args, options);
  if (ran.status === 0) return String(ran.stdout);
  const said = ran.error?.message ?? (String(ran.stderr).trim() || String(ran.stdout).trim() || `exit code ${ran.status}`);
  throw new UserError(exitCode.mountFailed, `cannot run ${command} ${args.join(" ")}: ${said}`);
}

/** Seconds that `must` takes. */
export function timed(command: string, args: readonly string[]): number {
  const start = process.hrtime.bigint();
  must(command, args);
  return Number(process.hrtime.bigint() - start) / 1e9;
}

const cli = join(__dirname, "..", "cli", "main.js");

export function swapfs(...args: readonly string[]): string {
  return must(process.execPath, [cli, ...args]);
}

interface ProcessFacts {
  readonly residentBytes: number;
  readonly lockedBytes: number;
}

export interface Status {
  readonly requests: Record<string, number>;
  readonly volume: { readonly checkpointMs: number };
  readonly processes: { readonly keeper: ProcessFacts; readonly dataPlane: ProcessFacts; readonly controlPlane: ProcessFacts };
}

/** How many extents a file has, as swapfs counts them. */
export function extentsOf(file: string): number {
  return (JSON.parse(swapfs("map", file, "--json")) as { extents: unknown[] }).extents.length;
}

/** Costs no request of the filesystem. */
export function statusOf(mountpoint: string): Status {
  const { volumes } = JSON.parse(swapfs("status", mountpoint, "--json")) as { volumes: Status[] };
  return volumes[0]!;
}

export function requestsOf(mountpoint: string): number {
  return Object.values(statusOf(mountpoint).requests).reduce((sum, count) => sum + count, 0);
}
