// fio, one run for a list of jobs on one target: the job file, and what its JSON says.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { UserError, exitCode } from "../base/errors";
import { runLong } from "../sys/tools";
import type { Latency } from "../report/model";
import type { BenchContext } from "./context";

export interface FioJob {
  /** the row that it gives */
  readonly row: string;
  readonly direction: "read" | "write";
  /** lines of its section: "rw=randread" */
  readonly lines: readonly string[];
}

/** `error`: an errno, 0 when all went well. */
type FioResult = { iops: number; bytesPerSecond: number; latency: Latency | undefined; error: number };

/** Of completion latency; at most twenty in fio. */
const percentiles = [1, 5, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95, 98, 99, 99.5, 99.9, 99.95, 99.99];

/** What lies in page caches (ntfs-3g: of its device) would be measured instead of the device. */
const dropCaches = "/bin/sh -c 'echo 1 >/proc/sys/vm/drop_caches'";

/** The result of each job by its row; jobs run one after the other. */
export async function runFio(context: BenchContext, target: string, byteLength: number, jobs: readonly FioJob[]): Promise<Map<string, FioResult>> {
  const file = join(context.folder, "jobs.fio");
  writeFileSync(file, jobFile(target, byteLength, jobs));
  const { code, stdout, stderr } = await runLong("fio", ["--output-format=json", file], context.signal, context.folder);
  context.signal.throwIfAborted();
  // A job that failed is told in the JSON, with its errno.
  if (!stdout.includes("{\n")) throw new UserError(exitCode.mountFailed, `cannot run fio: ${stderr.trim() || `exit code ${code}`}`);
  return readResults(stdout, jobs);
}

export function jobFile(target: string, byteLength: number, jobs: readonly FioJob[]): string {
  const global = [
    `filename=${target}`, `size=${byteLength}`, "thread=1", "group_reporting=1", "fallocate=none", `exec_prerun=${dropCaches}`,
    `percentile_list=${percentiles.join(":")}`,
  ];
  // Section names become names of fio's own files, so they are plain.
  const sections = jobs.flatMap((job, index) => ["", `[${sectionName(index)}]`, "stonewall", `rw=${job.direction}`, ...job.lines]);
  return ["[global]", ...global, ...sections, ""].join("\n");
}

interface Direction {
  readonly iops: number;
  readonly bw_bytes: number;
  readonly clat_ns?: { readonly percentile?: Record<string, number> };
}

interface Output {
  readonly jobs: readonly { readonly jobname: string; readonly error: number; readonly read: Direction; readonly write: Direction }[];
}

/** fio prints notes before its JSON. */
export function readResults(output: string, jobs: readonly FioJob[]): Map<string, FioResult> {
  const { jobs: found } = JSON.parse(output.slice(output.indexOf("{\n"))) as Output;
  const results = new Map<string, FioResult>();
  for (const [index, { row, direction }] of jobs.entries()) {
    const job = found.find(({ jobname }) => jobname === sectionName(index));
    if (!job) continue;
    const { iops, bw_bytes: bytesPerSecond, clat_ns } = job[direction];
    results.set(row, { iops, bytesPerSecond, latency: latencyOf(clat_ns?.percentile), error: job.error });
  }
  return results;
}

function latencyOf(percentile: Record<string, number> | undefined): Latency | undefined {
  if (!percentile) return undefined;
  const points = Object.entries(percentile).map(([at, ns]) => [Number(at), ns / 1000] as const);
  return { points: points.sort(([a], [b]) => a - b) };
}

function sectionName(index: number): string {
  return `job${index}`;
}
