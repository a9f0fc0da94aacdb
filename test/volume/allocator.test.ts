// The allocator against one flag for each page, and its policy.

import { Allocator, clusterPages } from "#src/volume/allocator";
import type { DeviceRun } from "#src/volume/blockdevice";
import { Random, forSeeds } from "./random";

function fresh(first: number, count: number): Allocator {
  const allocator = new Allocator();
  allocator.add(first, count);
  return allocator;
}

test("Allocator: never gives a page twice, never one that is not free, and counts", () => {
  forSeeds(20, (random) => {
    const first = 1 + random.below(40);
    const total = 4000;
    const allocator = fresh(first, total);
    const free = new Array<boolean>(first + total).fill(true).fill(false, 0, first);
    const held: DeviceRun[] = [];
    for (let n = 0; n < 200; n += 1) {
      if (random.chance(0.55)) {
        const count = 1 + random.below(random.chance(0.2) ? 1200 : 30);
        const left = allocator.pages;
        if (count > left) {
          expect(() => allocator.take(count)).toThrow("cannot allocate");
          expect(allocator.pages).toBe(left);
          continue;
        }
        const hint = random.chance(0.3) ? { near: random.below(first + total) } : { align: random.chance(0.2) };
        const runs = allocator.take(count, hint);
        expect(runs.reduce((sum, run) => sum + run.count, 0)).toBe(count);
        for (const run of runs) {
          for (let page = run.page; page < run.page + run.count; page += 1) {
            if (!free[page]) throw new Error(`page ${page} was given but not free`);
            free[page] = false;
          }
        }
        held.push(...runs);
      } else if (held.length > 0) {
        const [run] = held.splice(random.below(held.length), 1) as [DeviceRun];
        allocator.add(run.page, run.count);
        free.fill(true, run.page, run.page + run.count);
      }
      expect(allocator.pages).toBe(free.filter(Boolean).length);
    }
  });
});

test("Allocator: one run wherever one is large enough", () => {
  forSeeds(40, (random) => {
    const allocator = fragmented(random, 60);
    const largest = allocator.largest()!.count;
    const count = 1 + random.below(largest);
    expect(allocator.take(count, { align: random.chance(0.5) })).toHaveLength(1);
  });
});

test("Allocator: 2 MiB and more begins on a 2 MiB boundary, small ones fill the gaps before", () => {
  const allocator = fresh(700, 10_000);
  expect(allocator.take(512)).toEqual([{ page: 1024, count: 512 }]);
  expect(allocator.take(8)).toEqual([{ page: 700, count: 8 }]);
  expect(allocator.take(4, { align: true })).toEqual([{ page: 1536, count: 4 }]);
  expect(allocator.take(1000)).toEqual([{ page: 2048, count: 1000 }]);
});

test("Allocator: near continues the file, also a large one", () => {
  const allocator = fresh(100, 10_000);
  expect(allocator.take(600, { near: 300 })).toEqual([{ page: 300, count: 600 }]);
  expect(allocator.take(10, { near: 300 })).toEqual([{ page: 100, count: 10 }]);
});

test("Allocator: when fragmented, few runs, in whole clusters while there are any", () => {
  const allocator = new Allocator();
  allocator.add(500, 1100);
  allocator.add(2000, 700);
  allocator.add(4000, 30);
  const runs = allocator.take(1600);
  expect(runs[0]).toEqual({ page: 512, count: 2 * clusterPages });
  expect(runs.reduce((sum, run) => sum + run.count, 0)).toBe(1600);
  expect(runs.length).toBeLessThanOrEqual(4);
});

test("Allocator: 100,000 free runs stay fast", () => {
  const allocator = new Allocator();
  const random = new Random(3);
  for (const n of random.shuffle(Array.from({ length: 100_000 }, (_, k) => k))) allocator.add(10 + 4 * n, 2);
  const started = performance.now();
  for (let n = 0; n < 20_000; n += 1) allocator.take(1 + (n % 2));
  expect(allocator.take(50_000).length).toBeLessThanOrEqual(50_000);
  expect(performance.now() - started).toBeLessThan(15_000);
});

test("Allocator: block 0 is never free", () => {
  expect(() => fresh(0, 5)).toThrow("block 0 means hole");
});

function fragmented(random: Random, runs: number): Allocator {
  const allocator = new Allocator();
  let page = 1;
  for (let n = 0; n < runs; n += 1) {
    const count = 1 + random.below(900);
    allocator.add(page, count);
    page += count + 1 + random.below(50);
  }
  return allocator;
}
