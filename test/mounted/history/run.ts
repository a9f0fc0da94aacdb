// Runs histories one after the other on one source, and counts what happened in them.

import { withCleanup } from "../../support/mounted-cleanup";
import { steps, type Step } from "./steps";
import { History, type Place } from "./history";
import type { Tally } from "./tally";

const stepsMin = 20;
const stepsMax = 40;

const weighted: readonly (readonly [string, Step])[] = steps.flatMap(([name, step, weight]) => Array.from({ length: weight }, () => [name, step] as const));

/** Half of them are the same at every run. With SWAPFS_SEED=n that one alone. */
export function historySeeds(count: number): number[] {
  const one = process.env["SWAPFS_SEED"];
  if (one !== undefined) return [Number(one)];
  const first = Math.floor(Math.random() * 2 ** 31);
  return Array.from({ length: count }, (_, at) => (at < count / 2 ? at : first + at));
}

/** The volume is empty before it and after it, and not mounted. */
export async function runHistory(place: Omit<Place, "cleanup">, seed: number, tally: Tally): Promise<void> {
  await withCleanup((cleanup) => runSteps(new History({ ...place, cleanup }, seed, tally), seed));
}

async function runSteps(h: History, seed: number): Promise<void> {
  try {
    await h.begin();
    for (let left = stepsMin + h.random.below(stepsMax - stepsMin + 1); left > 0; ) {
      const [name, step] = h.random.pick(weighted);
      const done = await step(h);
      if (done === undefined) continue;
      left -= 1;
      h.tally.add(name);
      const result = /= ([A-Z]+|\d+)$/.exec(done)?.[1];
      if (result !== undefined) h.tally.add(`${name} = ${/^\d/.test(result) ? "done" : result}`);
      if (left % 10 === 0) await h.compare(`with ${left} steps to go`);
    }
    h.tally.add("pages copied on write", h.model.copied);
    await h.end();
  } catch (error) {
    (error as Error).message = `seed ${seed}: ${(error as Error).message}\nafter\n  ${h.log.join("\n  ")}`;
    throw error;
  }
}
