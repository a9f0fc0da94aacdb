// The order of the test files names files that are there.

import { longOnes, orderOf } from "../support/sequencer";
import { sourceFiles } from "./sources";

test("every test file that is named as a long one is there, once", () => {
  const there = sourceFiles("test", ".test.ts").map(({ name }) => name.slice("test/".length, -".test.ts".length));
  expect(longOnes.filter((name) => !there.includes(name))).toEqual([]);
  expect(new Set(longOnes).size).toBe(longOnes.length);
});

test("orderOf: what is long stands first, all else as it stood", () => {
  const files = ["/x/dist-test/b.test.js", "/x/dist-test/mounted/noleak.test.js", "/x/dist-test/a.test.js", "/x/dist-test/native/sanitized-thread.test.js"];
  expect(orderOf(files, (file) => file)).toEqual([files[3], files[1], files[0], files[2]]);
});
