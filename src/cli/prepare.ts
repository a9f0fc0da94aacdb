// swapfs prepare FILE: makes a refused file acceptable where that is possible. The control plane does it; here is shown
// how far it is, and what the gate says in the end.

import { closeSync, fstatSync, openSync } from "node:fs";
import type { Command } from "commander";
import type { Verdict } from "../activation/verdict";
import { exitCode } from "../base/errors";
import type { PrepareOutcome, PrepareProgress } from "../ops/prepare/prepare";
import type { StepKind } from "../ops/prepare/plan";
import { checkFile, printVerdict, withTexts } from "./check";
import { complaint, runTool } from "./children";
import { ask, HungUp } from "./control";
import { interruptedExit, untilInterrupted } from "./interrupt";
import { volumeHolding, type MountedVolume } from "./mounted";
import { failed } from "./outcome";
import { note, print, printJson } from "./output";
import { ProgressBar } from "./progressbar";

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
    const outcome = await untilInterrupted((signal) => follow(file, volume, { ino, contiguous: options.contiguous === true }, signal, options));
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

const words: Readonly<Record<StepKind, string>> = {
  allocate: "allocating", unshare: "unsharing", move: "moving", rewrite: "writing zeros",
};

const restartsMax = 20;

/** Asks, and asks again when the control plane has died over it: what was done by then is kept. */
async function follow(
  file: string, { runDir }: MountedVolume, question: { ino: number; contiguous: boolean }, signal: AbortSignal, options: Options,
): Promise<PrepareOutcome> {
  const bar = new ProgressBar(options.json ? "json" : process.stderr.isTTY ? "terminal" : "lines");
  const event = (told: unknown): void => {
    const { kind, done, total } = told as PrepareProgress;
    bar.show({ what: words[kind], done, total });
  };
  try {
    for (let restarts = 0; ; restarts += 1) {
      try {
        return (await ask(runDir, { command: "prepare", ...question }, { event, signal })) as PrepareOutcome;
      } catch (error) {
        if (!(error instanceof HungUp) || restarts === restartsMax || signal.aborted) throw about(file, error);
        bar.end();
        note("the control plane was started again, going on");
        await answering(runDir);
      }
    }
  } finally {
    bar.end();
  }
}

/** Waits until the control plane that the keeper has started answers. */
async function answering(runDir: string): Promise<void> {
  const end = Date.now() + 20_000;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    try {
      return void (await ask(runDir, { command: "swaps" }));
    } catch (error) {
      if (Date.now() >= end) throw error;
    }
  }
}

function about(file: string, error: unknown): unknown {
  if (!(error instanceof Error) || !error.message.startsWith("cannot prepare: ")) return error;
  return failed(`cannot prepare ${file}: ${error.message.slice("cannot prepare: ".length)}`);
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
