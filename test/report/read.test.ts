// Reports that come from a file: what was written is read, anything else is refused with the place.

import { exitCode, UserError } from "#src/base/errors";
import type { Bound } from "#src/report/model";
import { boundText } from "#src/report/bound";
import { parseReport, reportJson } from "#src/report/read";
import { report } from "./fixture";

function refusal(json: string): string {
  try {
    parseReport(json, "f.json");
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).exit).toBe(exitCode.usage);
    return (error as UserError).message;
  }
  return "read";
}

/** The fixture with something changed. */
function changed(change: (copy: any) => void): string {
  const copy: unknown = JSON.parse(JSON.stringify(report));
  change(copy);
  return JSON.stringify(copy);
}

test("what is written is read", () => {
  expect(parseReport(JSON.stringify(report), "f.json")).toEqual(report);
});

test("what is written has a line for each row and contender, and is read", () => {
  const written = reportJson(report);
  expect(parseReport(written, "f.json")).toEqual(report);
  expect(written.split("\n").filter((line) => /^{"(id|group)":/.test(line))).toHaveLength(report.rows.length + report.contenders.length);
});

test("format 2, with bounds in words and a line for each number, is read as what it is now", () => {
  const worded = <T extends { readonly bound?: Bound }>(one: T): object => ({ ...one, ...(one.bound && { bound: boundText(one.bound) }) });
  const old = { ...report, format: 2, rows: report.rows.map((row) => ({ ...row, cells: row.cells.map(worded), ratios: row.ratios.map(worded) })) };
  expect(parseReport(JSON.stringify(old, undefined, 2), "f.json")).toEqual(report);
  const odd = JSON.stringify(old).replace('"at most 1.08"', '"about 1"');
  expect(refusal(odd)).toMatch(/ratios\[0\]\.bound is no object/);
});

test.each(["", "null", "[", '"text"', "12"])("%j is no report", (json) => {
  expect(refusal(json)).toBe("cannot read f.json: it is not JSON of a report, name a file that swapfs bench --json has written");
});

test("another format is named", () => {
  expect(refusal(changed((copy) => { copy.format = 4; }))).toBe("cannot read f.json: its format is 4, not 3, measure again with this version");
  expect(refusal("{}")).toContain("its format is missing, not 3");
});

test.each<[string, (copy: any) => void]>([
  ["rows is no list", (copy) => { delete copy.rows; }],
  ["rows[3].group is none of swap, ", (copy) => { copy.rows[3].group = "other"; }],
  ["rows[0].cells[1].summary.median is no number", (copy) => { copy.rows[0].cells[1].summary.median = null; }],
  ["rows[0].cells[1].summary.samples is no list of 1 or more", (copy) => { copy.rows[0].cells[1].summary.samples = []; }],
  ["rows[0].ratios[0].bound.side is none of at most, at least", (copy) => { copy.rows[0].ratios[0].bound.side = "about"; }],
  ["rows[0].ratios[0].met is neither true nor false", (copy) => { copy.rows[0].ratios[0].met = "yes"; }],
  ["identity.commit is no text", (copy) => { copy.identity.commit = 7; }],
  ["contenders[2] is no object", (copy) => { copy.contenders[2] = []; }],
  ["ablation.steps[9].added is no object", (copy) => { delete copy.ablation.steps[9].added; }],
])("the place is told: %s", (text, change) => {
  expect(refusal(changed(change))).toContain(`cannot read f.json: ${text}`);
});
