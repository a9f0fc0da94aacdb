// Runs histories one after the other on one source, and counts what happened in them.

import { withCleanup } from "../../support/mounted-cleanup";
import type { Seeds } from "../../support/seeds";
import { compare } from "./compare";
import { dataSteps } from "./datasteps";
import { deathSteps } from "./deathsteps";
import { History, type Place } from "./history";
import { makeFull, nameSteps } from "./namesteps";
import { raceSteps } from "./racesteps";
import type { Step, Steps } from "./stepping";
import { swapSteps } from "./swapsteps";
import type { Tally } from "./tally";
import { togetherSteps } from "./togethersteps";

const stepsMin = 30;
const stepsMax = 60;
const filesAtFirst = 3;
/** Far longer than one takes, and shorter than Jest's patience: a call that is never answered is told with its steps. */
const historyMs = 120_000;
const abandonMs = 2_000;

const steps = [...dataSteps, ...nameSteps, ...swapSteps, ...deathSteps, ...togetherSteps];
type Weighted = readonly (readonly [string, Step])[];
const weigh = (some: Steps): Weighted => some.flatMap(([name, step, weight]) => Array.from({ length: weight }, () => [name, step] as const));
const usual = weigh(steps);
/** A third of the steps are races then. */
const racing = weigh([...steps, ...raceSteps]);

/** Half of them are the same at every run, unless it was asked for so many (SWAPFS_HISTORIES=n) or for that one. */
export function historySeeds(seeds: Seeds): number[] {
  return Array.from({ length: seeds.count }, (_, at) => (!seeds.asked && at < seeds.count / 2 ? at : seeds.first + at));
}

/** The volume is empty before it and after it, and not mounted. */
export async function runHistory(place: Omit<Place, "cleanup">, seed: number, tally: Tally): Promise<void> {
  await withCleanup((cleanup) => runSteps(new History({ ...place, cleanup }, seed, tally), seed));
}

async function runSteps(h: History, seed: number): Promise<void> {
  try {
    await limited(takeSteps(h), historyMs);
  } catch (error) {
    const said = (error as Error).message;
    const taken = h.log.map((what) => `\n  ${what}`).join("");
    await limited(h.abandon(), abandonMs).catch(() => undefined); // behind a call that is never answered it is not either
    (error as Error).message = `seed ${seed} (alone: SWAPFS_SEED=${seed}): ${said}\nafter${taken}\nthe log ends with\n${await h.lastLines()}`;
    throw error;
  }
}

async function takeSteps(h: History): Promise<void> {
  await h.begin();
  for (let at = 0; at < filesAtFirst; at += 1) await makeFull(h);
  for (let left = stepsMin + h.random.below(stepsMax - stepsMin + 1); left > 0; ) {
    const [name, step] = h.random.pick(h.place.slow === undefined ? usual : racing);
    const done = await step(h);
    if (done === undefined) continue;
    left -= 1;
    count(h.tally, name, done);
    if (left % 5 === 0) await compare(h, `with ${left} steps to go`);
  }
  h.tally.add("pages copied on write", h.model.copied);
  await h.end();
}

function count(tally: Tally, name: string, done: string): void {
  tally.add(name);
  const result = /= ([A-Z]+|\d+)$/.exec(done)?.[1];
  if (result !== undefined) tally.add(`${name} = ${/^\d/.test(result) ? "done" : result}`);
}

function limited(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not over after ${ms / 1000} s`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
