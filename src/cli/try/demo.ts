// swapfs demo: the main job, shown and verified in about half a minute, and every trace of it removed.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { Cleanup } from "../../bench/cleanup";
import { exitCode } from "../../base/errors";
import { formatByteLength, parseByteLength } from "../../base/units";
import { table } from "../../base/table";
import { runOnLoop, runOnSwapfs, type DemoOptions, type DemoRun } from "./demorun";
import { untilInterrupted } from "../common/interrupt";
import { failed } from "../common/outcome";
import { note, print, printJson, Progress } from "../common/output";
import { megabytesPerSecond, progressText } from "./pressuretext";

interface Options {
  readonly size: string;
  readonly resident: string;
  readonly seconds: string;
  readonly json?: boolean;
}

export function define(command: Command): void {
  command
    .description("Mount a volume in a temporary directory, swap on a file of it, fill and verify memory, clean up.")
    .option("--size <size>", "memory to fill", "256M")
    .option("--resident <size>", "what may stay resident", "64M")
    .option("--seconds <seconds>", "random touches for so long, on each of the two", "6")
    .option("--json", "print the figures as JSON")
    .addHelpText("after", `
Example:
  swapfs demo

Shows the same figures for the raw loop device below. TMPDIR says where it works. Ctrl-C cleans up as well.

Exit codes: 0 every page verified, 2 usage, 12 something could not be set up, 70 bad pages or internal.`)
    .action(async (options: Options) => {
      const runs = await untilInterrupted((signal) => demo(options, signal));
      const verified = runs.every((run) => run.badPages === 0 && run.pagesOut > 0);
      if (options.json) printJson({ verified, runs });
      else printRuns(runs, verified);
      process.exitCode = verified ? exitCode.done : exitCode.internal;
    });
}

async function demo(given: Options, signal: AbortSignal): Promise<DemoRun[]> {
  const progress = new Progress();
  const options: DemoOptions = {
    byteLength: parseByteLength(given.size, "--size"), residentBytes: parseByteLength(given.resident, "--resident"),
    seconds: Number(given.seconds) || 6, signal,
    onStep: (text) => progress.note(text),
    onProgress: (step) => progress.show(progressText(step)),
  };
  const cleanup = new Cleanup();
  const folder = mkdtempSync(join(tmpdir(), "swapfs-demo-"));
  cleanup.add(`remove ${folder}`, () => rmSync(folder, { recursive: true, force: true }));
  try {
    note(`fills and verifies ${formatByteLength(options.byteLength)} while ${formatByteLength(options.residentBytes)} stay resident`);
    const mark = cleanup.mark();
    const ours = await runOnSwapfs(folder, options, cleanup);
    await undo(cleanup, mark);
    return [ours, await runOnLoop(folder, options, cleanup)];
  } finally {
    progress.end();
    await undo(cleanup, 0);
  }
}

async function undo(cleanup: Cleanup, mark: number): Promise<void> {
  const left = await cleanup.run(mark);
  if (left.length > 0) throw failed(`cannot clean up: ${left.join("; ")}`);
}

function printRuns(runs: readonly DemoRun[], verified: boolean): void {
  const names = { swapfs: "file on swapfs", loop: "raw loop device" } as const;
  const row = (name: string, of: (run: DemoRun) => string): string[] => [name, ...runs.map((run) => of(run).padStart(16))];
  print();
  for (const line of table([
    row("", (run) => names[run.on]),
    row("pages out", (run) => String(run.pagesOut)),
    row("pages in", (run) => String(run.pagesIn)),
    row("fill, MB/s", (run) => megabytesPerSecond(run.bytes, run.fillSeconds)),
    row("read back, MB/s", (run) => megabytesPerSecond(run.bytes, run.verifySeconds)),
    row("random touch, us", (run) => run.usPerTouch.toFixed(1)),
    row("bad pages", (run) => String(run.badPages)),
    row("FUSE requests", (run) => (run.on === "swapfs" ? String(run.fuseRequests) : "-")),
  ])) print(line);
  print();
  print(verified
    ? "Verified: every page came back as it was written. Everything was cleaned up."
    : "NOT verified: pages came back different, or none was paged out. Do not swap on this machine; run swapfs doctor.");
}
