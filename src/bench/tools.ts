// Programs that the benchmark runs, the CLI among them: a mount is driven from outside, as a person drives it.

import { join } from "node:path";
import { UserError, exitCode } from "../base/errors";
import { runTool } from "../sys/tools";

/** Runs a program that must succeed; returns what it printed. */
export function must(command: string, args: readonly string[]): string {
  const { code, stdout, stderr } = runTool(command, args);
  if (code === 0) return stdout;
  throw new UserError(exitCode.mountFailed, `cannot run ${command} ${args.join(" ")}: ${stderr.trim() || stdout.trim() || `exit code ${code}`}`);
}

/** Seconds that `must` takes. */
export function timed(command: string, args: readonly string[]): number {
  return secondsOf(() => must(command, args));
}

export function secondsOf(work: () => unknown): number {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
}

const cli = join(__dirname, "..", "cli", "main.js");

export function swapfs(...args: readonly string[]): string {
  return must(process.execPath, [cli, ...args]);
}

export interface Status {
  readonly requests: Record<string, number>;
  readonly volume: { readonly checkpointMs: number };
  readonly processes: Readonly<Record<"keeper" | "dataPlane" | "controlPlane", { readonly residentBytes: number; readonly lockedBytes: number }>>;
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
