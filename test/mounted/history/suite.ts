// A test file of histories on one kind of source, with the proof that they did what they are for.

import path from "node:path";

import { Cleanup } from "../../support/mounted-cleanup";
import { scratchDir } from "../../support/mounted-devices";
import { SystemCalls } from "../../support/systemcalls";
import type { Place } from "./history";
import { historySeeds, runHistory } from "./run";
import { Tally } from "./tally";

export type MakeSource = (cleanup: Cleanup, dir: string) => Promise<Pick<Place, "source" | "args">>;

/** Least numbers in 100 histories: far below what they are, far above what a broken generator gives. */
const leastIn100: Readonly<Record<string, number>> = {
  create: 100, write: 80, "write O_DIRECT": 50, "write mapped": 20, "write = ETXTBSY": 8, "write O_DIRECT = ETXTBSY": 5, "write mapped = ETXTBSY": 5,
  "clone = done": 50, "clone = ETXTBSY": 20, truncate: 50, "truncate = ETXTBSY": 8, allocate: 50, "allocate = ETXTBSY": 8,
  "allocate too much = ENOSPC": 5, punch: 50, "punch = ETXTBSY": 8, "zero range": 40, "zero range = ETXTBSY": 5, unlink: 30, "unlink = EPERM": 8,
  rename: 40, "rename = EPERM": 5, "mkswap = done": 30, "swapon = done": 5, "swapon = EBUSY": 10, "swapon = EINVAL": 60, "swapped on": 60,
  "refused: hole": 30, "refused: shared": 3, "refused: no-header": 20, "refused: too-small": 10,
  "swapoff = done": 5, "swap out": 10, "kill the data plane": 20, "kill the control plane": 20, "kill in a write": 10, "kill in a clone": 1,
  "killed while a call was under way": 6, remount: 20,
  "pages copied on write": 20,
};

/** To be called at the top of a test file. */
export function historiesOn(sourceName: string, makeSource: MakeSource, count: number): void {
  describe(`on ${sourceName}`, () => {
    const cleanup = new Cleanup();
    const tally = new Tally();
    let place: Omit<Place, "cleanup">;

    beforeAll(async () => {
      const dir = await scratchDir(cleanup);
      place = { calls: new SystemCalls(cleanup), mountpoint: path.join(dir, "mnt"), ...(await makeSource(cleanup, dir)) };
    });
    afterAll(() => cleanup.run());

    const seeds = historySeeds(count);
    test.each(seeds)("a history agrees with the model, seed %d", (seed) => runHistory(place, seed, tally));

    test("every kind of step was taken, with every result, often enough", () => {
      if (seeds.length < count) return; // a single one, asked for
      expect(tally.missing(scaled(count / 100))).toEqual([]);
    });
  });
}

function scaled(by: number): Record<string, number> {
  return Object.fromEntries(Object.entries(leastIn100).map(([what, least]) => [what, Math.floor(least * by)]));
}
