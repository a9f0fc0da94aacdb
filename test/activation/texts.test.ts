import { Refusals } from "#src/activation/refusals";
import { rangesText, reasonText, verdictText } from "#src/activation/texts";
import type { Reason, Verdict } from "#src/activation/verdict";

const refused = (ino: number, ...reasons: Reason[]): Verdict => ({ accepted: false, ino, pages: 16, extents: 1, reasons });
const hole: Reason = { kind: "hole", layer: "file", ranges: [{ page: 3, count: 1 }, { page: 8, count: 4 }] };

test("reasonText: a hole names its pages, the kernel's words and the remedy", () => {
  expect(reasonText(hole)).toEqual({
    text: "5 pages of the file not allocated: pages 3, 8-11",
    kernel: "swapon: swapfile has holes",
    remedy: expect.stringContaining("swapfs prepare FILE"),
  });
});

test("rangesText: many runs are counted, not listed", () => {
  const ranges = Array.from({ length: 11 }, (_, i) => ({ page: i * 2, count: 1 }));
  expect(rangesText(ranges)).toBe("pages 0, 2, 4, 6, 8, 10, 12, 14, and 3 more runs");
});

test("verdictText: every reason is in the line", () => {
  const text = verdictText(refused(5, hole, { kind: "open-for-writing", pids: [51, 52] }, { kind: "no-header" }));
  expect(text).toContain("3, 8-11");
  expect(text).toContain("pids 51, 52");
  expect(text).toContain("Unable to find swap-space signature");
});

test("reasonText: a writer outside the pid namespace has no pid to show", () => {
  expect(reasonText({ kind: "open-for-writing", pids: [0] }).text).toContain("outside this pid namespace");
});

test("Refusals: the last ones are kept, and an accepted file has none to show", () => {
  const refusals = new Refusals(2);
  for (const ino of [1, 2, 3]) refusals.add(refused(ino, hole), 9, 1000 + ino);
  expect(refusals.last().map(({ ino }) => ino)).toEqual([2, 3]);
  expect(refusals.textOf(1)).toBeUndefined();
  expect(refusals.textOf(3)).toContain("not allocated");
  refusals.clear(3);
  expect(refusals.textOf(3)).toBeUndefined();
});
