// swapfs pressure: the memory workload on its own, on whatever swap is on.

import { Option, type Command } from "commander";
import { exitCode } from "../../base/errors";
import { table } from "../../base/table";
import { formatByteLength, parseByteLength } from "../../base/units";
import { runPressure, type PressureOptions, type PressureResult, type PressureProgress } from "../../sys/pressure";
import { readSwaps } from "../../sys/procswaps";
import { untilInterrupted, failed, parseCount, requireRoot, usageError } from "../common/outcome";
import { print, printJson, Progress } from "../common/output";

interface Options {
  readonly size: string;
  readonly resident: string;
  readonly seconds: string;
  readonly threads: string;
  readonly seed: string;
  readonly huge?: boolean;
  readonly json?: boolean;
}

export function define(command: Command): void {
  command
    .description("Fill memory beyond what may stay resident, read it back, touch it at random; verify every page.")
    .option("--size <size>", "memory to fill", "256M")
    .option("--resident <size>", "what may stay resident (a memory cgroup's limit)", "64M")
    .option("--seconds <seconds>", "random touches for so long", "5")
    .option("--threads <count>", "threads that touch", "1")
    .option("--seed <number>", "seed of the contents and of the touches", "1")
    .addOption(new Option("--huge", "ask for huge pages"))
    .option("--json", "print the figures as JSON")
    .addHelpText("after", `
Example:
  swapfs pressure --size 1G --resident 128M --seconds 10

It swaps on whatever is on (see swapon --show). Without a memory cgroup it pages out with MADV_PAGEOUT.

Exit codes: 0 every page verified, 2 usage, 12 no swap is on or too little, 70 bad pages or internal.`)
    .action(async (options: Options) => {
      const wanted = parse(options);
      requireRoot("limit the memory of the workload");
      requireSwap(wanted.byteLength - (wanted.residentBytes ?? 0));
      const progress = new Progress();
      const result = await untilInterrupted((signal) =>
        runPressure({ ...wanted, signal, onProgress: (step) => progress.show(progressText(step)) })).finally(() => progress.end());
      if (options.json) printJson(result);
      else printResult(result);
      process.exitCode = result.badPages === 0 ? exitCode.done : exitCode.internal;
    });
}

function parse(options: Options): PressureOptions {
  const count = (text: string, name: string): number => parseCount(text, name, [1, Infinity], "a positive whole number");
  const byteLength = parseByteLength(options.size, "--size");
  const residentBytes = parseByteLength(options.resident, "--resident");
  if (residentBytes < 2 ** 22) throw usageError(`cannot keep only ${formatByteLength(residentBytes)} resident: 4M is the least, give a larger --resident`);
  return {
    byteLength, residentBytes, seconds: count(options.seconds, "--seconds"), threads: count(options.threads, "--threads"),
    seed: count(options.seed, "--seed"), hugePages: options.huge ?? false,
  };
}

function requireSwap(byteLength: number): void {
  const free = readSwaps().reduce((sum, area) => sum + area.byteLength - area.usedBytes, 0);
  if (free >= byteLength) return;
  throw failed(`cannot page out ${formatByteLength(byteLength)}: ${formatByteLength(free)} of swap are free, swap on more (swapfs create FILE --size N --on)`);
}

function printResult(result: PressureResult): void {
  for (const line of table([
    ["how", result.method],
    ["memory", formatByteLength(result.bytes)],
    ["pages out", String(result.pagesOut)],
    ["pages in", String(result.pagesIn)],
    ["huge pages out", `${result.hugePagesWhole} whole, ${result.hugePagesSplit} split`],
    ["fill", `${megabytesPerSecond(result.bytes, result.fillSeconds)} MB/s`],
    ["read back", `${megabytesPerSecond(result.bytes, result.verifySeconds)} MB/s`],
    ["random touch", `${result.usPerTouch.toFixed(1)} us`],
    ["bad pages", String(result.badPages)],
  ])) print(line);
}

const phases = { fill: "filling memory", verify: "reading it back and verifying", touch: "touching pages at random" } as const;

export function progressText({ phase, done, total }: PressureProgress): string {
  if (total <= 0) return phases[phase];
  return `${phases[phase]} ${String(Math.floor((100 * done) / total)).padStart(3)} %`;
}

/** Decimal megabytes, as dd and fio print them. */
export function megabytesPerSecond(bytes: number, seconds: number): string {
  return seconds > 0 ? (bytes / 1e6 / seconds).toFixed(0) : "-";
}
