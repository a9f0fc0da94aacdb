// RunSet and References against one counter for each page.

import { References } from "#src/volume/references";
import { RunSet } from "#src/volume/runs";
import { forSeeds } from "./random";

const pages = 300;

test("RunSet: adds, removes and finds what a set of pages does", () => {
  forSeeds(20, (random) => {
    const runs = new RunSet();
    const naive = new Array<boolean>(pages).fill(false);
    for (let n = 0; n < 200; n += 1) {
      const page = random.below(pages - 12);
      const count = 1 + random.below(12);
      const inside = naive.slice(page, page + count);
      expect(runs.intersects(page, count)).toBe(inside.includes(true));
      const parts = runs.within(page, count).flatMap((part) => Array.from({ length: part.count }, (_, k) => part.page + k));
      expect(parts).toEqual(inside.flatMap((is, k) => (is ? [page + k] : [])));
      if (!inside.includes(true)) {
        runs.add(page, count);
        naive.fill(true, page, page + count);
      } else if (!inside.includes(false)) {
        runs.remove(page, count);
        naive.fill(false, page, page + count);
      } else expect(() => runs.remove(page, count)).toThrow("removed from a set that holds them");
    }
    const all = [...runs];
    expect(all.flatMap((run) => Array.from({ length: run.count }, (_, k) => run.page + k))).toEqual(naive.flatMap((is, page) => (is ? [page] : [])));
    for (const [index, run] of all.entries()) expect(all[index + 1]?.page === run.page + run.count).toBe(false);
    const longest = Math.max(0, ...all.map((run) => run.count));
    expect(runs.largest()?.count ?? 0).toBe(longest);
    for (let count = 1; count <= longest + 1; count += 1) expect(runs.firstFit(count)).toEqual(all.find((run) => run.count >= count));
  });
});

test("References: users of every page, and the runs that nobody uses any more", () => {
  forSeeds(20, (random) => {
    const references = new References();
    const naive = new Array<number>(pages).fill(1);
    for (let n = 0; n < 150; n += 1) {
      const page = 1 + random.below(pages - 13);
      const count = 1 + random.below(12);
      if (random.chance(0.5)) {
        references.add(page, count);
        for (let k = page; k < page + count; k += 1) naive[k]! += 1;
        continue;
      }
      const unused = references.drop(page, count).flatMap((run) => Array.from({ length: run.count }, (_, k) => run.page + k));
      expect(unused).toEqual(Array.from({ length: count }, (_, k) => page + k).filter((at) => naive[at] === 1));
      for (let k = page; k < page + count; k += 1) naive[k] = Math.max(1, naive[k]! - 1);
    }
    expect(naive.map((_, page) => references.users(page))).toEqual(naive);
  });
});
