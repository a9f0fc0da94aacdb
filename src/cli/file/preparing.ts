// The question `prepare` to the control plane, how far it is, and asked again when the control plane dies over it.

import type { StepKind } from "../../blocks/prepare/plan";
import type { PrepareOutcome, PrepareProgress } from "../../blocks/prepare/prepare";
import { ask, HungUp } from "../common/control";
import type { MountedVolume } from "../common/mounted";
import { failed } from "../common/outcome";
import { note } from "../common/output";
import { ProgressBar, type Style } from "../common/progressbar";

const words: Readonly<Record<StepKind, string>> = {
  allocate: "allocating", unshare: "unsharing", move: "moving", rewrite: "writing zeros",
};

const restartsMax = 20;

export interface Followed {
  /** "create /mnt/a", for messages */
  readonly what: string;
  readonly signal: AbortSignal;
  readonly style: Style;
}

/** Asks, and asks again when the control plane has died over it: what was done by then is kept. */
export async function followPrepare(
  { runDir }: Pick<MountedVolume, "runDir">, question: { ino: number; contiguous: boolean }, { what, signal, style }: Followed,
): Promise<PrepareOutcome> {
  const bar = new ProgressBar(style);
  const event = (told: unknown): void => {
    const { kind, done, total } = told as PrepareProgress;
    bar.show({ what: words[kind], done, total });
  };
  try {
    for (let restarts = 0; ; restarts += 1) {
      try {
        return (await ask(runDir, { command: "prepare", ...question }, { event, signal })) as PrepareOutcome;
      } catch (error) {
        if (!(error instanceof HungUp) || restarts === restartsMax || signal.aborted) throw about(what, error);
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

function about(what: string, error: unknown): unknown {
  if (!(error instanceof Error) || !error.message.startsWith("cannot prepare: ")) return error;
  return failed(`cannot ${what}: ${error.message.slice("cannot prepare: ".length)}`);
}
