// Medians, ratios, rows and their text.

import { pairedRow, soloRow, type BenchReport } from "#src/report/row";
import { pairedRatio, summarize } from "#src/report/stats";
import { logLine, reportLines, short } from "#src/report/text";

test("summarize: odd, even, one", () => {
  expect(summarize([3, 1, 2])).toMatchObject({ median: 2, min: 1, max: 3 });
  expect(summarize([4, 1, 2, 3]).median).toBe(2.5);
  expect(summarize([7])).toEqual({ median: 7, min: 7, max: 7, samples: [7] });
  expect(() => summarize([])).toThrow(/invariant/);
});

test("pairedRatio is the median of the pairs, not the ratio of the medians", () => {
  expect(pairedRatio([10, 40, 90], [10, 20, 100]).median).toBe(1);
  expect(() => pairedRatio([1], [1, 2])).toThrow(/invariant/);
});

const touch = pairedRow(
  { group: "swap", name: "random touch", unit: "us", better: "less" }, [11, 12], "raw zram", [10, 12],
  { text: "within 5 %", holds: ({ ratio }) => ratio <= 1.05 });
const locked = soloRow(
  { group: "memory", name: "locked: keeper + data plane", unit: "MiB", better: "less" }, [30],
  { text: "at most 32", holds: ({ ours }) => ours <= 32 });
const report: BenchReport = {
  identity: { date: "2026-01-31 10:00", commit: "1a2b3c4", kernel: "6.18.0", cpu: "A CPU", cpus: 2, memoryBytes: 0 },
  device: "zram", pairs: 2, rows: [touch, locked],
};

test("a row knows whether its bound is met", () => {
  expect(touch.met).toBe(true);
  const { group, name, unit, better } = locked;
  const head = { group, name, unit, better };
  expect(soloRow(head, [3], { text: "0", holds: ({ ours }) => ours === 0 }).met).toBe(false);
  expect(soloRow(head, [3]).met).toBeUndefined();
});

test("reportLines names commit, kernel, CPU and every ratio", () => {
  const text = reportLines(report).join("\n");
  expect(text).toContain("swapfs 1a2b3c4, Linux 6.18.0, 2 x A CPU, on zram");
  expect(text).toMatch(/random touch +us +11\.5 \(11 to 12\) +11 \(10 to 12\) +raw zram +1\.05 +within 5 % +met/);
  expect(text).toMatch(/locked: keeper \+ data plane +MiB +30 +at most 32 +met/);
});

test("logLine has as many columns as docs/performance.md", () => {
  const head = require("node:fs").readFileSync(`${__dirname}/../../docs/performance.md`, "utf8").split("\n").find((line: string) => line.startsWith("| date"));
  expect(logLine(report).split("|").length).toBe(head.split("|").length);
  expect(logLine(report)).toContain("| 11.5 / 11 |");
});

test("short keeps three digits that matter", () => {
  expect([0.123456, 1.5, 12.34, 1234.5, 7].map(short)).toEqual(["0.12", "1.50", "12.3", "1235", "7"]);
});
