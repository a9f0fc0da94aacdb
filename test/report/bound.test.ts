// Bounds: their words, and on which side of them something is.

import type { Bound } from "#src/report/model";
import { boundText, isWithin, isWorse, parseBound } from "#src/report/bound";

const most: Bound = { side: "at most", value: 1.03 };
const least: Bound = { side: "at least", value: 5 };

test("a bound holds at its own value", () => {
  expect([isWithin(most, 1.03), isWithin(most, 1.031), isWithin(least, 5), isWithin(least, 4.99)]).toEqual([true, false, true, false]);
});

test("worse is nearer to the bound, or further beyond it, whatever its words are", () => {
  expect([isWorse(most, 1.01, 1), isWorse(most, 1, 1.01), isWorse(least, 6, 7), isWorse(least, 7, 6)]).toEqual([true, false, true, false]);
  expect(isWorse({ ...most, remark: "at least this once" }, 1.01, 1)).toBe(true);
});

test.each<[string, Bound]>([
  ["at most 1.03", most], ["at least 5", least], ["at most 0", { side: "at most", value: 0 }],
  ["at most 6 (1 + log10 of the extents)", { side: "at most", value: 6, remark: "1 + log10 of the extents" }],
])("%s", (text, bound) => {
  expect([boundText(bound), parseBound(text)]).toEqual([text, bound]);
});

test("other words are no bound", () => {
  for (const text of ["", "about 5", "at most", "at most five"]) expect(parseBound(text)).toBeUndefined();
});
