// Medians, ratios and their text.

import { readFileSync } from "node:fs";
import type { BenchReport } from "#src/report/model";
import { pairedRatio, summarize } from "#src/report/stats";
import { compact, factorText, short } from "#src/report/numbers";
import { logLine } from "#src/report/logline";
import { reportLines } from "#src/report/text";
import { report as fixture } from "./fixture";

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

const report: BenchReport = {
  format: 3,
  identity: { date: "2026-01-31 10:00", commit: "1a2b3c4", kernel: "6.18.0", cpu: "A CPU", cpus: 2, memoryBytes: 0 },
  device: "zram", rounds: 2,
  contenders: [{ id: "swapfs", name: "swapfs", ours: true }, { id: "device", name: "raw device", ours: false }],
  rows: [
    {
      group: "swap", name: "random touch, 1 thread, huge pages off", unit: "us/page", better: "less",
      cells: [{ contender: "swapfs", summary: summarize([11, 12]) }, { contender: "device", summary: summarize([10, 12]) }],
      ratios: [{ contender: "swapfs", against: "device", summary: summarize([1.1, 1]), bound: { side: "at most", value: 1.03 }, met: false }],
    },
    {
      group: "memory", name: "locked: keeper + data plane", unit: "MiB", better: "less", ratios: [],
      cells: [{ contender: "swapfs", summary: summarize([30]), bound: { side: "at most", value: 32 }, met: true }, { contender: "device", refused: "no such thing" }],
    },
  ],
};

test("reportLines names commit, kernel, CPU, every value, bound and reason", () => {
  const text = reportLines(report).join("\n");
  expect(text).toContain("swapfs 1a2b3c4, Linux 6.18.0, 2 x A CPU, on zram");
  expect(text).toMatch(/\n +swapfs +raw device\nrandom touch, 1 thread, huge pages off, us\/page +11\.5 \(11 to 12\) +11\n/);
  expect(text).toContain("  MISSED: swapfs / raw device 1.05, at most 1.03 (random touch, 1 thread, huge pages off)");
  expect(text).toMatch(/locked: keeper \+ data plane, MiB +30 +\[1\]\n +\[1\] raw device: no such thing\n/);
  expect(text).toContain("  met: swapfs 30, at most 32 (locked: keeper + data plane)");
});

test("reportLines tells each reason once, and how many rows missed a bound", () => {
  const lines = reportLines(fixture, 200);
  expect(lines.filter((line) => line.includes("this kernel refuses a swapfile on btrfs here"))).toHaveLength(1);
  expect(lines).toContainEqual(expect.stringMatching(/^ {2}MISSED in \d of 2 rows, at worst: swapfs \/ raw device [\d.]+, at most 1 \(random touch, 4 threads/));
  expect(lines).toContainEqual(expect.stringMatching(/^ {2}met in all 12 rows, at worst: swapfs --loop \/ loop over ext4, direct/));
});

test.each([80, 120, 200])("at %i columns no table is wider than the terminal, and no contender is left out", (width) => {
  const lines = reportLines(fixture, width);
  const tables = lines.slice(1).filter((line) => !/^ {2}(\[\d+\]|met|MISSED|.*in the kernel)/.test(line));
  expect(tables.filter((line) => line.length > width)).toEqual([]);
  for (const row of fixture.rows) {
    const shown = lines.filter((line) => line.startsWith(`${row.name}${row.unit === "" ? "" : `, ${row.unit}`} `)).join(" ");
    for (const { summary } of row.cells) if (summary) expect(shown).toContain(` ${short(summary.median)}`);
  }
  for (const { name, kernelStep } of fixture.ablation!.steps) expect(lines).toContainEqual(expect.stringMatching(new RegExp(`${name}.*${kernelStep.replace(/[()]/g, ".")}`)));
});

test("logLine has as many columns as the table at the end of docs/performance.md, where it is appended", () => {
  const head = readFileSync(`${__dirname}/../../docs/performance.md`, "utf8").split("\n").findLast((line) => line.startsWith("| date"))!;
  expect(logLine(report).split("|").length).toBe(head.split("|").length);
  expect(logLine(report)).toContain("| 11.5 / 11 |");
});

test("short keeps three digits that matter", () => {
  expect([0.123456, 1.5, 12.34, 1234.5, 7, 0.00213, 0].map(short)).toEqual(["0.12", "1.50", "12.3", "1235", "7", "0.0021", "0"]);
  expect(short(undefined)).toBe("-");
  expect([999, 12_345, 1_000_000].map(compact)).toEqual(["999", "12.3k", "1M"]);
});

test("factorText says faster where it is, whichever way the unit goes", () => {
  expect([factorText(0.2, "less"), factorText(5, "more"), factorText(1.02, "less"), factorText(0, "less")]).toEqual(["5× faster", "5× faster", "1.02×", "0.00×"]);
});
