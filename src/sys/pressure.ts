// Runs native/pressure inside a memory cgroup of its own, so that it must swap while the machine has memory to spare.

import * as path from "node:path";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { UserError, exitCode, messageOf } from "../base/errors";
import { MemoryCgroup, memoryHierarchy } from "./memorycgroup";

export interface PressureOptions {
  readonly byteLength: number;
  /** What stays resident, default 64 MiB. */
  readonly residentBytes?: number;
  readonly touches?: number;
  /** Random touches for so long instead of so many. */
  readonly seconds?: number;
  readonly threads?: number;
  readonly seed?: number;
  readonly hugePages?: boolean;
  /** Sixteen bytes of ASCII that every page then carries at each multiple of 256. */
  readonly marker?: string;
  readonly onProgress?: (progress: PressureProgress) => void;
  /** Kills the workload and removes its cgroup; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface PressureProgress {
  readonly phase: "fill" | "verify" | "touch";
  /** Pages, or touches in the phase "touch". */
  readonly done: number;
  readonly total: number;
}

export interface PressureResult {
  /** How pages were pushed out: by the limit of a cgroup, or by madvise(MADV_PAGEOUT) where there is none. */
  readonly method: "cgroup v1" | "cgroup v2" | "pageout";
  readonly bytes: number;
  readonly pages: number;
  readonly badPages: number;
  readonly fillSeconds: number;
  readonly verifySeconds: number;
  readonly touches: number;
  readonly touchSeconds: number;
  readonly usPerTouch: number;
  readonly threads: number;
  /** Of the whole machine, meanwhile. */
  readonly pagesOut: number;
  readonly pagesIn: number;
  /** Huge pages that went out in one piece, and those that the kernel split before: as it does for every swapfile. */
  readonly hugePagesWhole: number;
  readonly hugePagesSplit: number;
}

const program = path.join(__dirname, "../../native/build/swapfs-pressure");
const residentBytesDefault = 64 * 2 ** 20;
const statisticsMs = 250;
let groups = 0;

/** Fills, verifies and touches memory. Resolves also when pages were bad: look at badPages. */
export async function runPressure(options: PressureOptions): Promise<PressureResult> {
  options.signal?.throwIfAborted();
  const hierarchy = memoryHierarchy();
  const group = hierarchy && MemoryCgroup.create(
    hierarchy, `swapfs-pressure-${process.pid}-${(groups += 1)}`, options.residentBytes ?? residentBytesDefault);
  const statistics = group && setInterval(() => group.addUpStatistics(), statisticsMs);
  try {
    const before = swapCounts();
    const printed = await runProgram(programArguments(options, group), options);
    return { ...printed, method: group ? `cgroup v${group.version}` : "pageout", ...swapCountsSince(before) };
  } finally {
    clearInterval(statistics);
    await group?.remove();
  }
}

function programArguments(options: PressureOptions, group: MemoryCgroup | undefined): string[] {
  const { byteLength, touches, seconds, threads, seed, marker } = options;
  const given = Object.entries({ bytes: byteLength, touches, seconds, threads, seed, marker }).filter(([, value]) => value !== undefined);
  return [
    ...given.flatMap(([name, value]) => [`--${name}`, String(value)]),
    ...(options.hugePages ? ["--huge"] : []),
    ...(group ? ["--cgroup-procs", group.procsFile] : ["--pageout"]),
  ];
}

type Printed = Omit<PressureResult, "method" | "pagesOut" | "pagesIn">;

async function runProgram(words: string[], options: PressureOptions): Promise<Printed> {
  const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"] });
  const kill = (): void => void child.kill("SIGKILL");
  options.signal?.addEventListener("abort", kill);
  try {
    const complaints: string[] = [];
    createInterface(child.stderr).on("line", (line) => takeLine(line, options, complaints));
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    const [code, signal] = await endOf(child);
    options.signal?.throwIfAborted();
    if (code !== 0 && code !== 1) throw failure(code, signal, complaints);
    return JSON.parse(output) as Printed;
  } finally {
    options.signal?.removeEventListener("abort", kill);
    kill();
  }
}

function takeLine(line: string, options: PressureOptions, complaints: string[]): void {
  if (!line.startsWith("{")) complaints.push(line);
  else if (line.startsWith('{"phase"')) options.onProgress?.(JSON.parse(line) as PressureProgress);
}

/** Exit code, and the signal that ended it. */
async function endOf(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  try {
    return (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  } catch (error) {
    throw new UserError(exitCode.internal, `cannot run ${program}: ${messageOf(error)}, run ./mount.sh --setup`);
  }
}

function failure(code: number | null, signal: NodeJS.Signals | null, complaints: string[]): UserError {
  const how = signal === null ? `it exits with ${code}` : `${signal} ended it`;
  const why = complaints.join("; ") || (signal === "SIGKILL" ? "memory and swap are full: give more swap or fewer bytes" : "no reason given");
  return new UserError(exitCode.internal, `cannot run the memory workload: ${how}, ${why}`);
}

/** Pages swapped since boot, /proc/vmstat. Counted by mm for all swap areas together. */
type SwapCounts = Pick<PressureResult, "pagesOut" | "pagesIn" | "hugePagesWhole" | "hugePagesSplit">;

export function swapCounts(): SwapCounts {
  return parseVmstat(readFileSync("/proc/vmstat", "utf8"));
}

export function parseVmstat(text: string): SwapCounts {
  const value = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
  return {
    pagesOut: value("pswpout"), pagesIn: value("pswpin"), hugePagesWhole: value("thp_swpout"), hugePagesSplit: value("thp_swpout_fallback"),
  };
}

export function swapCountsSince(before: SwapCounts, now: SwapCounts = swapCounts()): SwapCounts {
  return {
    pagesOut: now.pagesOut - before.pagesOut, pagesIn: now.pagesIn - before.pagesIn,
    hugePagesWhole: now.hugePagesWhole - before.hugePagesWhole, hugePagesSplit: now.hugePagesSplit - before.hugePagesSplit,
  };
}
