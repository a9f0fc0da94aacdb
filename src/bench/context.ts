// What every group of the benchmark is given, and how its contenders take turns.

import { setImmediate } from "node:timers/promises";
import { messageOf } from "../base/errors";
import type { Ablation, Contender, Row } from "../report/model";
import type { Cleanup } from "./cleanup";
import type { ContenderId } from "./contenders";
import { addImageDevice, addZram, givenDevice, hasZram, type BenchDevice } from "./device";
import type { Samples } from "./samples";

export interface BenchContext {
  /** scratch folder, removed at the end */
  readonly folder: string;
  readonly cleanup: Cleanup;
  readonly signal: AbortSignal;
  readonly rounds: number;
  /** as little as shows that every row can be measured */
  readonly quick: boolean;
  /** of the group "pressure" */
  readonly minutes: number;
  readonly givenDevice: string | undefined;
  /** progress, overwritten by the next one */
  readonly say: (text: string) => void;
  /** stays on the screen */
  readonly note: (text: string) => void;
}

/** What a group hands back. */
export interface GroupResult {
  readonly contenders: readonly Contender[];
  readonly rows: readonly Row[];
  readonly ablation?: Ablation;
}

/** Says what comes next, and is where Ctrl-C takes effect when what lies between two steps is synchronous. */
export async function nextStep(context: BenchContext, text: string): Promise<void> {
  await setImmediate();
  context.signal.throwIfAborted();
  context.say(text);
}

/** Says what comes next, with an estimate of the rest from what the steps so far have taken. */
export function steps(context: BenchContext, group: string, total: number): (text: string) => Promise<void> {
  const began = performance.now();
  let done = 0;
  return async (text) => {
    const left = ((performance.now() - began) / done) * (total - done);
    const estimate = done < 3 ? "" : `, about ${spanText(left / 1000)} left of ${group}`;
    done += 1;
    await nextStep(context, `${group}: ${text} (${done} of ${total}${estimate})`);
  };
}

function spanText(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds / 5) * 5} s` : `${Math.round(seconds / 60)} min`;
}

/** A new device, or the one that was given, for contenders that each find it empty. */
export async function deviceFor(context: BenchContext, byteLength: number): Promise<BenchDevice> {
  if (context.givenDevice !== undefined) return givenDevice(context.givenDevice, byteLength);
  return hasZram() ? addZram(byteLength, context.cleanup) : addImageDevice(context.folder, byteLength, context.cleanup);
}

/** Everything that `work` set up is undone when it has ended, whichever way. */
export async function undoing<T>(context: BenchContext, work: () => Promise<T>): Promise<T> {
  const mark = context.cleanup.mark();
  try {
    return await work();
  } finally {
    await context.cleanup.undo(mark);
  }
}

/** The same for what may not be possible here (a filesystem that the kernel lacks): then the reason, which is noted as well. */
export function trying(context: BenchContext, what: string, work: () => Promise<void>): Promise<string | undefined> {
  return undoing(context, () => work().then(() => undefined, (error: unknown) => {
    context.signal.throwIfAborted();
    context.note(`${what}: ${messageOf(error)}`);
    return messageOf(error);
  }));
}

/** One contender's turn. What it cannot do is the reason shown in `rows`. */
export async function turn(
  context: BenchContext, samples: Samples, who: ContenderId, rows: readonly string[], work: () => Promise<void>,
): Promise<void> {
  const reason = await trying(context, who, work);
  if (reason !== undefined) for (const row of rows) samples.refuse(row, who, reason);
}

/** The order of a round: rotated, and backwards in every second one, so that nobody always follows the same neighbour. */
export function turnsOf<T>(contenders: readonly T[], round: number): T[] {
  if (contenders.length === 0) return [];
  const start = round % contenders.length;
  const turned = [...contenders.slice(start), ...contenders.slice(0, start)];
  return round % 2 === 0 ? turned : turned.reverse();
}
