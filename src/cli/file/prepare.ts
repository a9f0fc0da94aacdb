// swapfs prepare FILE: makes a refused file acceptable where that is possible. The control plane does it; here is shown
// how far it is, and what the gate says in the end.

import { closeSync, openSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import type { Command } from "commander";
import type { Verdict } from "../../activation/verdict";
import { exitCode } from "../../base/errors";
import { countOf, formatByteLength } from "../../base/units";
import type { StepKind } from "../../blocks/prepare/plan";
import type { PrepareOutcome, PrepareProgress } from "../../blocks/prepare/prepare";
import { ask, askStarting, HungUp } from "../common/control";
import { requireWritable, type MountedVolume } from "../common/mounted";
import { interruptedExit, untilInterrupted, failed, usageError } from "../common/outcome";
import { print, printJson, note } from "../common/output";
import { progressStyle, ProgressBar, type Style } from "../common/progressbar";
import { checkFile, printVerdict, withTexts } from "./check";
import { needsHeader, writeHeader } from "./header";
import { findTarget, type Target } from "./pinning";

interface Options {
  readonly contiguous?: boolean;
  readonly mkswap?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

export function define(command: Command): void {
  command
    .description("Make a refused file acceptable: allocates holes, gives it blocks of its own, writes what the host of an image would have to convert. Its contents stay.")
    .argument("<file>", "a file on a mounted volume that is not open for writing and not swapped on")
    .option("--contiguous", "move it into one piece as well")
    .option("--mkswap", "write a swap header when it has none and holds nothing but zeros")
    .option("--force", "with --mkswap: write the header over whatever the file holds")
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
  if (options.force && !options.mkswap) throw usageError("cannot use --force without --mkswap: it is about the swap header alone, add --mkswap or leave it out");
  const target = findTarget(file, "prepare");
  const { volume, ino } = target;
  requireWritable(volume, file, "prepare");
  const fd = openSync(file, "r"); // held until the end: umount is refused meanwhile
  try {
    const header = options.mkswap === true && needsHeader(file, options.force ?? false);
    const question = { ino, contiguous: options.contiguous === true };
    const style = progressStyle(options.json);
    const outcome = await untilInterrupted((signal) => followPrepare(volume, question, { what: `prepare ${file}`, signal, style }));
    const madeHeader = header && !outcome.stopped && await addHeader(file, target);
    return conclude(file, { ...outcome, madeHeader }, await checkFile(file, target), options);
  } finally {
    closeSync(fd);
  }
}

/** For a file whose only fault is that it has no header. False: not written. */
async function addHeader(file: string, target: Target): Promise<boolean> {
  const { reasons } = await checkFile(file, target);
  if (reasons.length === 0 || !reasons.every(({ kind }) => kind === "no-header")) return false;
  writeHeader(file);
  return true;
}

type Done = PrepareOutcome & { readonly madeHeader: boolean };

function conclude(file: string, outcome: Done, verdict: Verdict, options: Options): number {
  if (options.json) printJson({ ...outcome, verdict: withTexts(file, verdict) });
  else {
    print(`${file}: ${doneText(outcome)}`);
    if (!outcome.stopped) printVerdict(file, verdict);
  }
  if (outcome.stopped) return interruptedExit;
  return verdict.accepted ? exitCode.done : exitCode.notActivatable;
}

function doneText({ pages, stopped, madeHeader }: Done): string {
  const { allocate, unshare, move, rewrite } = pages;
  const parts = [[allocate, "allocated"], [unshare, "unshared"], [move, "moved"], [rewrite, "written with zeros"]] as const;
  const done = [
    ...parts.filter(([count]) => count > 0).map(([count, word]) => `${countOf(count, "page")} ${word}`),
    ...(madeHeader ? ["swap header written"] : []),
  ].join(", ");
  if (stopped) return `stopped, ${done === "" ? "nothing was done yet" : `${done}: that is kept`}; run it again to go on`;
  return done === "" ? "nothing to do" : done;
}

const words: Readonly<Record<StepKind, string>> = {
  allocate: "allocating", unshare: "unsharing", move: "moving", rewrite: "writing zeros",
};

const restartsMax = 20;
/** The keeper starts another control plane within this time. */
const startMs = 20_000;

/** Asks, and asks again when the control plane has died over it: what was done by then is kept. `what`: "create /mnt/a", for messages. */
export async function followPrepare(
  volume: Pick<MountedVolume, "runDir" | "image">, question: { ino: number; contiguous: boolean },
  { what, signal, style }: { what: string; signal: AbortSignal; style: Style },
): Promise<PrepareOutcome> {
  const bar = new ProgressBar(style);
  const event = (told: unknown): void => {
    const { kind, done, total } = told as PrepareProgress;
    bar.show({ what: words[kind], done, total });
  };
  try {
    for (let restarts = 0; ; restarts += 1) {
      try {
        return (await ask(volume.runDir, { command: "prepare", ...question }, { event, signal })) as PrepareOutcome;
      } catch (error) {
        if (!(error instanceof HungUp) || restarts === restartsMax || signal.aborted) throw about(volume, what, error);
        bar.end();
        note("the control plane was started again, going on");
        await askStarting(volume.runDir, { command: "swaps" }, startMs);
      }
    }
  } finally {
    bar.end();
  }
}

function about({ image }: Pick<MountedVolume, "image">, what: string, error: unknown): unknown {
  if (!(error instanceof Error) || !error.message.startsWith("cannot prepare: ")) return error;
  if (image !== undefined && /\bENOSPC\b/.test(error.message)) return failed(`cannot ${what}: ${hostFull(image)}`);
  return failed(`cannot ${what}: ${error.message.slice("cannot prepare: ".length)}`);
}

function hostFull(image: string): string {
  const folder = dirname(image);
  const { bavail, bsize } = statfsSync(folder);
  return `the filesystem of ${folder}, where the volume's image lies, is full (${formatByteLength(bavail * bsize)} free): make room there, or take a smaller file`;
}
