// swapfs bench --from: a run that was written before, as a page, a picture and a table.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { renderHtml } from "#src/report/html";
import { renderTable } from "#src/report/markdown";
import { renderSvg } from "#src/report/svg";
import { report } from "../report/fixture";
import { swapfs } from "../support/mounted-run";

const folder = mkdtempSync(path.join(tmpdir(), "swapfs-report-"));
const inFolder = (name: string): string => path.join(folder, name);
const written = (name: string): string => readFileSync(inFolder(name), "utf8");

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("one command writes the page and the picture and prints the table; a missed bound is its exit code", async () => {
  writeFileSync(inFolder("run.json"), JSON.stringify(report));
  const done = await swapfs(["bench", "--from", inFolder("run.json"), "--report", inFolder("run.html"), "--svg", inFolder("run.svg"), "--markdown", "--json", inFolder("again.json")]);
  expect(done).toMatchObject({ status: 70, stdout: renderTable(report) });
  expect(written("run.html")).toBe(renderHtml(report));
  expect(written("run.svg")).toBe(renderSvg(report));
  expect(JSON.parse(written("again.json"))).toEqual(report);
});

test("without bounds that are missed it is 0, and the figures are printed", async () => {
  const rows = report.rows.filter(({ group }) => group === "memory");
  writeFileSync(inFolder("memory.json"), JSON.stringify({ ...report, rows }));
  const done = await swapfs(["bench", "--from", inFolder("memory.json")]);
  expect(done).toMatchObject({ status: 0 });
  expect(done.stdout).toMatch(/locked: keeper \+ data plane/);
});

test("what is no report is refused, and nothing is written", async () => {
  writeFileSync(inFolder("old.json"), '{"rows":[]}');
  const old = await swapfs(["bench", "--from", inFolder("old.json"), "--report", inFolder("old.html")]);
  expect(old).toMatchObject({ status: 2 });
  expect(old.stderr).toBe(`swapfs: cannot read ${inFolder("old.json")}: its format is missing, not 3, measure again with this version\n`);
  expect(() => written("old.html")).toThrow(/ENOENT/);
  const none = await swapfs(["bench", "--from", inFolder("none.json")]);
  expect(none.stderr).toMatch(/^swapfs: cannot read .*none\.json: ENOENT/);
});
