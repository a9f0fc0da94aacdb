// What the docs show of a run: the table and the picture come from docs/bench.json and from nothing else.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { renderTable } from "#src/report/markdown";
import { parseReport } from "#src/report/read";
import { renderSvg } from "#src/report/svg";
import { light } from "#src/report/charts/palette";
import { kindsOf } from "#src/report/verdict";
import { report } from "./fixture";

const project = join(__dirname, "../..");
const page = readFileSync(join(project, "docs/performance.md"), "utf8");
const marks = { begin: "<!-- bench:begin -->", end: "<!-- bench:end -->" } as const;
const measured = join(project, "docs/bench.json");

test("docs/performance.md and docs/bench.svg are what docs/bench.json gives", () => {
  expect(existsSync(measured)).toBe(page.includes(marks.begin));
  if (!page.includes(marks.begin)) return;
  const run = parseReport(readFileSync(measured, "utf8"), measured);
  expect(page).toContain(`${marks.begin}\n${renderTable(run)}${marks.end}`);
  expect(readFileSync(join(project, "docs/bench.svg"), "utf8")).toBe(renderSvg(run));
});

test("the table has a line for each kind of bound, with the worst row of it", () => {
  const lines = renderTable(report).split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| row"));
  expect(lines).toHaveLength(kindsOf(report).length);
  expect(lines.filter((line) => line.includes("memory"))).toEqual([expect.stringMatching(/^\| memory: locked: keeper \+ data plane \| swapfs [\d.]+ MiB \|  \|  \| at most 32 \| met \|$/)]);
  const touches = lines.filter((line) => /^\| swap: .*swapfs [\d.]+ us\/page \| raw device [\d.]+ us\/page \| [\d.]+ \([\d.]+ to [\d.]+\) \| at most 1 \|/.test(line));
  expect(touches).toEqual([expect.stringMatching(/\*\*missed in \d of 2 rows\*\* \|$/)]);
});

test("every line of the table has six cells, whatever stands in a name", () => {
  const odd = { ...report, contenders: report.contenders.map((contender) => ({ ...contender, name: `${contender.name} | <x>` })) };
  for (const line of renderTable(odd).split("\n").filter((each) => each.startsWith("| "))) {
    expect(line.split(/(?<!\\)\|/)).toHaveLength(8);
    expect(line).not.toContain("<x>");
  }
});

test("the picture is the same each time, and holds a bar and a whisker for each cell that was measured", () => {
  const svg = renderSvg(report);
  expect(renderSvg(report)).toBe(svg);
  const rows = ["random touch, 1 thread, huge pages off", "4 KiB random read, depth 1, 1 job", "swapon of 1 GiB, 1 extent"]
    .map((name) => report.rows.find((row) => row.name === name)!);
  for (const { name } of rows) expect(svg).toContain(`>${name}</text>`);
  const cells = rows.flatMap((row) => row.cells);
  expect(svg.split(`stroke="${light.whisker}"`).length - 1).toBe(cells.filter(({ summary }) => summary).length);
  expect(svg.split("✕ refused").length - 1).toBe(cells.filter(({ refused }) => refused).length);
  expect(svg).not.toMatch(/<script|class=|zr\d|NaN|undefined/);
  expect(svg).toContain("A CPU &lt;/script&gt;");
});

test("a run that measured less gives a picture all the same", () => {
  expect(renderSvg({ ...report, rows: report.rows.filter(({ group }) => group === "io") })).toContain("4 KiB random read, depth 1");
  expect(renderSvg({ ...report, rows: [] })).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
});
