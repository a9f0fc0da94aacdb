// The plan of a preparation against a naive model that looks at one page at a time.

import { allocatePagesMax, contiguousPages, copyPagesMax, planMove, planSteps, type ImageRun, type StepKind } from "#src/blocks/prepare/plan";
import { fiemapFlags } from "#src/base/fiemap";
import { unreadyIn } from "#src/blocks/prepare/image";
import { ExtentMap } from "#src/volume/extents";
import type { ExtentState } from "#src/volume/changes";
import { Random, forSeeds } from "../volume/random";

const states: readonly ExtentState[] = ["written", "unwritten", "shared"];
const imageStates: readonly ImageRun["state"][] = ["unbacked", "unwritten", "shared"];

interface Made {
  readonly pages: number;
  readonly extents: ExtentMap;
  readonly image: ImageRun[];
}

function make(random: Random): Made {
  const extents = new ExtentMap();
  const pages = 1 + random.below(120);
  let device = 10;
  for (let page = random.below(4); page < pages + 5; ) {
    const count = 1 + random.below(9);
    if (random.chance(0.3)) device += random.below(20);
    if (random.chance(0.8)) extents.replace(page, count, [{ filePage: page, devicePage: device, count, state: random.pick(states) }]);
    page += count;
    device += count;
  }
  const image: ImageRun[] = [];
  for (let page = 0; page < pages + 20; page += 1 + random.below(12)) {
    const count = 1 + random.below(8);
    if (random.chance(0.4)) image.push({ page, count, state: random.pick(imageStates) });
    page += count;
  }
  return { pages, extents, image };
}

/** What a page needs, by its two layers alone. */
function needed({ extents, image }: Made, page: number): StepKind | undefined {
  const extent = extents.find(page);
  if (extent === undefined) return "allocate";
  const run = image.find((one) => page >= one.page && page < one.page + one.count);
  if (extent.state === "shared" || run?.state === "shared") return "unshare";
  return run && "rewrite";
}

test("each page gets what it needs, once, in order, and nothing else is touched", () => {
  forSeeds(400, (random) => {
    const made = make(random);
    const planned = new Map<number, StepKind>();
    let last = -1;
    for (const step of planSteps(made.pages, made.extents, made.image)) {
      expect(step.page).toBeGreaterThan(last);
      expect(step.count).toBeGreaterThan(0);
      last = step.page + step.count - 1;
      for (let page = step.page; page <= last; page += 1) planned.set(page, step.kind);
    }
    for (let page = 0; page < made.pages; page += 1) expect([page, planned.get(page)]).toEqual([page, needed(made, page)]);
    expect(Math.max(-1, ...planned.keys())).toBeLessThan(made.pages);
  });
});

test("what lies in one piece from the beginning is counted page by page", () => {
  forSeeds(400, (random) => {
    const { pages, extents } = make(random);
    const at = (page: number): number | undefined => {
      const extent = extents.find(page);
      return extent === undefined || extent.state === "shared" ? undefined : extent.devicePage + page - extent.filePage;
    };
    let expected = 0;
    while (expected < pages && at(expected) !== undefined && (expected === 0 || at(expected) === at(expected - 1)! + 1)) expected += 1;
    expect(contiguousPages(pages, extents)).toBe(expected);
  });
});

test("steps are as long as one commit may be", () => {
  const extents = new ExtentMap();
  extents.replace(0, 5000, [{ filePage: 0, devicePage: 9, count: 5000, state: "shared" }]);
  const steps = planSteps(5000 + allocatePagesMax + 1, extents, []);
  expect(steps.map(({ kind, count }) => [kind, count])).toEqual([
    ...Array.from({ length: 4 }, () => ["unshare", copyPagesMax]), ["unshare", 5000 - 4 * copyPagesMax],
    ["allocate", allocatePagesMax], ["allocate", 1],
  ]);
  expect(planMove(10, 10 + copyPagesMax + 1)).toEqual([
    { kind: "move", page: 10, count: copyPagesMax }, { kind: "move", page: 10 + copyPagesMax, count: 1 },
  ]);
  expect(planMove(10, 10)).toEqual([]);
});

test("a file of 100,000 extents over an image of as many runs is planned without a look at every pair", () => {
  const extents = new ExtentMap();
  const image: ImageRun[] = [];
  for (let n = 0; n < 100_000; n += 1) {
    extents.replace(n, 1, [{ filePage: n, devicePage: 10 + 2 * n, count: 1, state: "written" }]);
    image.push({ page: n, count: 1, state: "unwritten" });
  }
  const before = process.cpuUsage();
  expect(planSteps(100_000, extents, image)).toHaveLength(Math.ceil(100_000 / 2048));
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1e6).toBeLessThan(5);
});

test("a page of an image is ready when all of it is written and nobody else's", () => {
  const { unwritten, shared, merged, last } = fiemapFlags;
  const image = Float64Array.from([
    40960, 1, 8192, 0, 49152, 2, 1024, unwritten, 50176, 3, 7168, merged, 65536, 4, 4096, shared | unwritten, 69632, 5, 4096, last | shared,
  ]);
  const extent = (filePage: number, devicePage: number, count: number) => ({ filePage, devicePage, count, state: "written" as const });
  expect(unreadyIn([extent(0, 10, 10)], image)).toEqual([
    { page: 2, count: 1, state: "unwritten" }, { page: 4, count: 2, state: "unbacked" },
    { page: 6, count: 2, state: "shared" }, { page: 8, count: 2, state: "unbacked" },
  ]);
  expect(unreadyIn([extent(100, 17, 1), extent(101, 10, 2), extent(200, 16, 1)], image)).toEqual([
    { page: 100, count: 1, state: "shared" }, { page: 200, count: 1, state: "shared" },
  ]);
  expect(unreadyIn([], image)).toEqual([]);
});
