// A test file of histories on one or several sources, with the proof that together they did what they are for.

import path from "node:path";

import { Cleanup } from "../../support/mounted-cleanup";
import { scratchDir } from "../../support/mounted-devices";
import { seedsFor } from "../../support/seeds";
import { SystemCalls } from "../../support/systemcalls";
import type { Place } from "./history";
import { historySeeds, runHistory } from "./run";
import { Tally } from "./tally";
import { workersMax } from "./togethersteps";

export interface Source {
  readonly name: string;
  readonly histories: number;
  make(cleanup: Cleanup, dir: string): Promise<Pick<Place, "source" | "args" | "slow">>;
}

/**
 * Least numbers in 100 histories: far above what a broken generator gives, and so far below what they are that chance alone
 * fails no run in a thousand. Fewer histories scatter too much for that: with them each is to have come once, and as many more are
 * taken as that needs.
 */
const leastIn100: Readonly<Record<string, number>> = {
  write: 100, "write O_DIRECT": 70, "write mapped": 40, "write = ETXTBSY": 6, "write O_DIRECT = ETXTBSY": 3, "write while swap_rw": 4,
  "clone = done": 80, "clone = ETXTBSY": 25, "changed after a clone": 40, "pages copied on write": 250,
  truncate: 70, "truncate = ETXTBSY": 6, "longer again": 5, allocate: 50, "allocate = ETXTBSY": 6, "allocate too much = ENOSPC": 4,
  punch: 50, "punch = ETXTBSY": 2, "zero range": 50, "zero range = ETXTBSY": 3,
  create: 100, unlink: 60, "unlink = EPERM": 5, "link = done": 30, "rename = done": 12, "rename = EPERM": 5, "rename over = done": 15,
  "rename over = EPERM": 3, "exchange = done": 3, open: 40, "close = done": 3,
  "mkswap = done": 50, "swapon = done": 5, "swapon = EBUSY": 15, "swapon = EINVAL": 60, "swapped on": 40, "swapoff = done": 5, "pages went out": 30,
  "refused: hole": 25, "refused: shared": 20, "refused: no-header": 30, "refused: too-small": 5, "refused: open-for-writing": 1,
  "pin = done": 30, "pin = REFUSED": 2, "unpin = done": 30, "activate = done": 30, "deactivate = done": 2,
  "kill the data plane": 3, "kill the control plane": 8, "kill in a write": 2, "kill in a clone": 1, "kill among names": 3,
  "files together": 20, "pages together": 10, "pages together while activated": 2, "calls together": 500, "killed while calls were under way": 5,
  "clone meanwhile": 6, "page cloned before": 10, "page cloned among": 8, "page cloned after": 4, "tails together": 30,
  "killed while a call was under way": 8, remount: 3, "remount with files that were kept": 2,
};

/** How often what must have come in so many histories. */
type Least = (histories: number) => Readonly<Record<string, number>>;

const everyKind: Least = (histories) =>
  (histories >= 100 ? leastIn100 : Object.fromEntries(Object.keys(leastIn100).map((what) => [what, 1])));

/** To be called at the top of a test file. `more`: how many more may be taken until what must have come has come. */
export function historiesOn(source: Source, { least = everyKind, more = 0 }: { least?: Least; more?: number } = {}): void {
  const { name, make } = source;
  const seeds = seedsFor(source.histories, "SWAPFS_HISTORIES");
  describe(`on ${name}`, () => {
    const cleanup = new Cleanup();
    const tally = new Tally();
    let place: Omit<Place, "cleanup">;

    beforeAll(async () => {
      const dir = await scratchDir(cleanup);
      const others = Array.from({ length: workersMax }, () => new SystemCalls(cleanup));
      place = { calls: new SystemCalls(cleanup), others, mountpoint: path.join(dir, "mnt"), empty: {}, ...(await make(cleanup, dir)) };
    });
    afterAll(() => cleanup.run());

    const agrees = async (seed: number): Promise<void> => {
      const work = (): Promise<void> => runHistory(place, seed, tally);
      await (place.slow ? place.slow.during(work) : work());
    };
    test.each(historySeeds(seeds))("a history agrees with the model, seed %d", agrees);

    test("every kind of step was taken, with every result, often enough", async () => {
      if (seeds.asked && seeds.count < 100) return; // a few, or a single one, asked for
      let missing = tally.missing(least(seeds.count));
      for (let at = 0; at < more && missing.length > 0; at += 1) {
        await agrees(seeds.first + seeds.count + at);
        missing = tally.missing(least(seeds.count));
      }
      expect(missing).toEqual([]);
    }, 30 * 60_000);
  });
}
