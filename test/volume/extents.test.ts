// ExtentMap against an array with one slot for each page.

import type { Extent, ExtentState } from "#src/volume/changes";
import { ExtentMap } from "#src/volume/extents";
import { Random, forSeeds } from "./random";

const pages = 200;
type Slot = { devicePage: number; state: ExtentState } | undefined;
const states: readonly ExtentState[] = ["written", "unwritten", "shared"];

test("ExtentMap: random replaces give what an array of pages gives", () => {
  forSeeds(40, (random) => {
    const map = new ExtentMap();
    const naive: Slot[] = new Array<Slot>(pages).fill(undefined);
    for (let n = 0; n < 120; n += 1) {
      const filePage = random.below(pages - 20);
      const count = 1 + random.below(20);
      const extents = someExtents(random, filePage, count);
      const before = map.length;
      const most = before + map.growth(filePage, count, extents);
      const removed = map.replace(filePage, count, extents);
      expect(asSlots(removed, filePage, count)).toEqual(naive.slice(filePage, filePage + count));
      naive.splice(filePage, count, ...asSlots(extents, filePage, count));
      expect(map.length).toBeLessThanOrEqual(most);
    }
    checkAgainst(map, naive, random);
  });
});

test("ExtentMap: many extents stay sorted, merged and fast", () => {
  const map = new ExtentMap();
  const random = new Random(1);
  const order = random.shuffle(Array.from({ length: 100_000 }, (_, n) => n));
  const started = performance.now();
  for (const n of order) map.replace(2 * n, 1, [{ filePage: 2 * n, devicePage: 1000 + 4 * n, count: 1, state: "written" }]);
  expect(map.length).toBe(100_000);
  expect(order.filter((n) => map.find(2 * n)?.devicePage !== 1000 + 4 * n || map.find(2 * n + 1) !== undefined)).toEqual([]);
  // A list that moved all that follows would take minutes.
  expect(performance.now() - started).toBeLessThan(20_000);
  expect(map.replace(0, 200_000, [])).toHaveLength(100_000);
  expect([map.length, map.pages, map.endPage]).toEqual([0, 0, 0]);
});

test("ExtentMap: neighbours merge only when file, device and state go on", () => {
  const map = new ExtentMap();
  const put = (filePage: number, devicePage: number, state: ExtentState): void =>
    void map.replace(filePage, 1, [{ filePage, devicePage, count: 1, state }]);
  put(0, 10, "written");
  put(2, 12, "written");
  put(1, 11, "written");
  expect([...map]).toEqual([{ filePage: 0, devicePage: 10, count: 3, state: "written" }]);
  put(3, 13, "unwritten");
  put(4, 20, "unwritten");
  expect(map.length).toBe(3);
  put(3, 13, "written");
  expect([...map][0]).toEqual({ filePage: 0, devicePage: 10, count: 4, state: "written" });
});

test("ExtentMap: file pages beyond 2^32 are exact", () => {
  const map = new ExtentMap();
  const filePage = 2 ** 50;
  map.replace(filePage, 3, [{ filePage, devicePage: 5, count: 3, state: "written" }]);
  expect(map.find(filePage + 2)).toEqual({ filePage, devicePage: 5, count: 3, state: "written" });
  expect([...map.holes(filePage - 1, 3)]).toEqual([{ page: filePage - 1, count: 1 }]);
});

test("ExtentMap: an extent at block 0 is refused", () => {
  expect(() => new ExtentMap().replace(0, 1, [{ filePage: 0, devicePage: 0, count: 1, state: "written" }])).toThrow("block 0 means hole");
});

function someExtents(random: Random, filePage: number, count: number): Extent[] {
  const extents: Extent[] = [];
  for (let at = filePage; at < filePage + count; ) {
    const length = Math.min(1 + random.below(5), filePage + count - at);
    if (random.chance(0.7)) extents.push({ filePage: at, devicePage: random.chance(0.5) ? at + 1 : 1 + random.below(500), count: length, state: random.pick(states) });
    at += length;
  }
  return extents;
}

function asSlots(extents: Iterable<Extent>, filePage: number, count: number): Slot[] {
  const slots = new Array<Slot>(count).fill(undefined);
  for (const extent of extents) {
    for (let n = 0; n < extent.count; n += 1) slots[extent.filePage + n - filePage] = { devicePage: extent.devicePage + n, state: extent.state };
  }
  return slots;
}

function checkAgainst(map: ExtentMap, naive: readonly Slot[], random: Random): void {
  expect(asSlots(map, 0, pages)).toEqual(naive);
  expect(map.pages).toBe(naive.filter((slot) => slot !== undefined).length);
  expect(map.endPage).toBe(naive.findLastIndex((slot) => slot !== undefined) + 1);
  const all = [...map];
  for (const [index, extent] of all.entries()) {
    const next = all[index + 1];
    if (next === undefined) continue;
    const goesOn = extent.filePage + extent.count === next.filePage && extent.devicePage + extent.count === next.devicePage && extent.state === next.state;
    expect(goesOn || next.filePage < extent.filePage + extent.count).toBe(false);
  }
  for (let n = 0; n < 20; n += 1) {
    const at = random.below(pages);
    const count = 1 + random.below(pages - at);
    expect(asSlots(map.range(at, count), at, count)).toEqual(naive.slice(at, at + count));
    const holes = [...map.holes(at, count)].flatMap((hole) => Array.from({ length: hole.count }, (_, k) => hole.page + k));
    expect(holes).toEqual(Array.from({ length: count }, (_, k) => at + k).filter((page) => naive[page] === undefined));
    expect(map.find(at)?.state).toBe(naive[at]?.state);
  }
}
