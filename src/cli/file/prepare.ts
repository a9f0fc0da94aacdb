// swapfs prepare FILE: makes a refused file acceptable where that is possible. The control plane does it; here is shown
// how far it is, and what the gate says in the end.

import { closeSync, openSync } from "node:fs";
import type { Command } from "commander";
import type { Verdict } from "../../activation/verdict";
import { exitCode } from "../../base/errors";
import type { PrepareOutcome } from "../../blocks/prepare/prepare";
import { checkFile, printVerdict, withTexts } from "./check";
import { mustRun } from "../common/children";
import { interruptedExit, untilInterrupted } from "../common/interrupt";
import { print, printJson } from "../common/output";
import { findTarget } from "./pinning";
import { followPrepare } from "./preparing";
import { progressStyle } from "../common/progressbar";

interface Options {
  readonly contiguous?: boolean;
  readonly mkswap?: boolean;
  readonly json?: boolean;
}

export function define(command: Command): void {
  command
    .description("Make a refused file acceptable: allocates holes, gives it blocks of its own, writes what the host of an image would have to convert. Its contents stay.")
    .argument("<file>", "a file on a mounted volume that is not open for writing and not swapped on")
    .option("--contiguous", "move it into one piece as well")
    .option("--mkswap", "write a swap header when it has none")
    .option("--json", "print the outcome as JSON, progress as JSON lines on stderr")
    .addHelpText("after", `
Examples:
  swapfs prepare /mnt/swap/a
  swapfs prepare /mnt/swap/copy --contiguous --mkswap

Ctrl-C ends it after the step that is under way; what is done is kept, and another run goes on from there.

Exit codes: 0 swapon would accept it now, 2 usage, 10 still refused, 12 not done, 70 internal, 130 after Ctrl-C.`)
    .action(async (file: string, options: Options) => {
      process.exitCode = await prepareFile(file, options);
    });
}

async function prepareFile(file: string, options: Options): Promise<number> {
  const { volume, ino } = findTarget(file, "prepare");
  const fd = openSync(file, "r"); // held until the end: umount is refused meanwhile
  try {
    const question = { ino, contiguous: options.contiguous === true };
    const style = progressStyle(options.json);
    const outcome = await untilInterrupted((signal) => followPrepare(volume, question, { what: `prepare ${file}`, signal, style }));
    if (!outcome.stopped && options.mkswap === true) await writeHeader(file);
    return conclude(file, outcome, await checkFile(file), options);
  } finally {
    closeSync(fd);
  }
}

/** mkswap for a file whose only fault is that it has no header. */
async function writeHeader(file: string): Promise<void> {
  const { reasons } = await checkFile(file);
  if (reasons.length === 0 || !reasons.every(({ kind }) => kind === "no-header")) return;
  mustRun("mkswap", [file], `write the swap header of ${file}`);
}

function conclude(file: string, outcome: PrepareOutcome, verdict: Verdict, options: Options): number {
  if (options.json) printJson({ ...outcome, verdict: withTexts(file, verdict) });
  else {
    print(`${file}: ${doneText(outcome)}`);
    if (!outcome.stopped) printVerdict(file, verdict);
  }
  if (outcome.stopped) return interruptedExit;
  return verdict.accepted ? exitCode.done : exitCode.notActivatable;
}

function doneText({ pages, stopped }: PrepareOutcome): string {
  const { allocate, unshare, move, rewrite } = pages;
  const parts = [[allocate, "allocated"], [unshare, "unshared"], [move, "moved"], [rewrite, "written with zeros"]] as const;
  const done = parts.filter(([count]) => count > 0).map(([count, word]) => `${count} pages ${word}`).join(", ");
  if (stopped) return `stopped, ${done === "" ? "nothing was done yet" : `${done}: that is kept`}; run it again to go on`;
  return done === "" ? "nothing to do" : done;
}
