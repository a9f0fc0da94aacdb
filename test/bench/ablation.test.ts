// The ablation: every step is measured, and what it adds is taken within rounds.

import { promises as fs } from "node:fs";
import path from "node:path";

import { ablationOf } from "#src/bench/ablation";
import { stepPlans, type Point } from "#src/bench/ablationsteps";
import type { BenchReport } from "#src/report/model";
import { leftIn, scratchDir } from "../support/mounted-devices";
import { withCleanup } from "../support/mounted-cleanup";
import { swapfs } from "../support/mounted-run";

const quickMs = 180_000;

function points(values: Partial<Record<Point, readonly number[]>>): Map<Point, Map<number, number>> {
  return new Map(Object.entries(values).map(([point, list]) => [point as Point, new Map([...list.entries()])]));
}

test("ablationOf: a step adds the median of the rounds' differences to its reference", () => {
  const { ablation } = ablationOf(points({ base: [10, 20, 30], time: [11, 25, 32], ask: [50, 60], commit: [150, 170, 190], whole: [400] }));
  expect(ablation).toMatchObject({ base: { median: 20 }, whole: { median: 400 } });
  const added = Object.fromEntries(ablation!.steps.map((step) => [step.id, [step.withStep.median, step.added.median]]));
  expect(added).toEqual({ time: [25, 2], commit: [170, 105], ask: [55, 40] });
});

test("ablationOf: without a base there is nothing to compare with", () => {
  expect(ablationOf(points({ ask: [50] }))).toEqual({});
});

test("bench ablation --quick: all steps have numbers, and nothing stays mounted", () => withCleanup(async (cleanup) => {
  const dir = await scratchDir(cleanup);
  const file = path.join(dir, "report.json");
  const done = await swapfs(["bench", "ablation", "--quick", "--no-log", "--json", file], { env: { TMPDIR: dir }, timeoutMs: quickMs });
  expect(done).toMatchObject({ status: 0 });
  const report = JSON.parse(await fs.readFile(file, "utf8")) as BenchReport;
  expect(report.ablation!.steps.map(({ id }) => id)).toEqual(stepPlans.map(({ id }) => id));
  for (const { median } of [report.ablation!.base, report.ablation!.whole!, ...report.ablation!.steps.map(({ withStep }) => withStep)]) {
    expect(median).toBeGreaterThan(0);
    expect(median).toBeLessThan(1e6);
  }
  for (const { name } of report.ablation!.steps) expect(done.stdout).toContain(name);
  expect(await leftIn(dir)).toEqual([]);
}), quickMs);

test("bench does not start where SWAPFS_ABLATE would slow down everybody", async () => {
  const done = await swapfs(["bench", "ablation", "--quick"], { env: { ...process.env, SWAPFS_ABLATE: "lock" } });
  expect(done).toMatchObject({ status: 2, stderr: expect.stringContaining("cannot measure with SWAPFS_ABLATE set") });
});
