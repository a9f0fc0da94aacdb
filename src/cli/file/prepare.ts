// swapfs prepare FILE: makes a refused file acceptable where that is possible. The control plane does it; here is shown
// how far it is, and what the gate says in the end.

import { closeSync, fstatSync, openSync } from "node:fs";
import type { Command } from "commander";
import type { Verdict } from "../../activation/verdict";
import { exitCode } from "../../base/errors";
import type { PrepareOutcome } from "../../blocks/prepare/prepare";
import { checkFile, printVerdict, withTexts } from "./check";
import { complaint, runTool } from "../common/children";
import { interruptedExit, untilInterrupted } from "../common/interrupt";
import { volumeHolding } from "../common/mounted";
import { failed } from "../common/outcome";
import { print, printJson } from "../common/output";
import { followPrepare } from "./preparing";
import { progressStyle } from "../common/progressbar";

interface Options {
  readonly contiguous?: boolean;
  readonly mkswap?: boolean;
  readonly json?: boolean;
}

export function define(program: Command): void {
  program
    .command("prepare")
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
  const volume = volumeHolding(file);
  if (!volume) throw failed(`cannot prepare ${file}: it is not on a mounted swapfs volume, name a file below a mountpoint of swapfs status`);
  if (volume.engine !== "native") throw failed(`cannot prepare ${file}: the engine fuse-native cannot, mount it with --engine native`);
  const fd = open(file); // held until the end: umount is refused meanwhile
  try {
    const { ino } = fstatSync(fd);
    const question = { ino, contiguous: options.contiguous === true };
    const style = progressStyle(options.json);
    const outcome = await untilInterrupted((signal) => followPrepare(volume, question, { what: `prepare ${file}`, signal, style }));
    if (!outcome.stopped && options.mkswap === true) await writeHeader(file);
    return conclude(file, outcome, await checkFile(file), options);
  } finally {
    closeSync(fd);
  }
}

function open(file: string): number {
  try {
    return openSync(file, "r");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const state = code === "ENOENT" ? "there is no such file, correct the name"
      : code === "ENOTCONN" ? "the volume's processes are gone, umount it and mount it again" : code ?? String(error);
    throw failed(`cannot prepare ${file}: ${state}`);
  }
}

/** mkswap for a file whose only fault is that it has no header. */
async function writeHeader(file: string): Promise<void> {
  const { reasons } = await checkFile(file);
  if (reasons.length === 0 || !reasons.every(({ kind }) => kind === "no-header")) return;
  const ran = runTool("mkswap", [file]);
  if (ran.code !== 0) throw failed(`cannot write the swap header of ${file}: ${complaint(ran, "mkswap")}`);
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
