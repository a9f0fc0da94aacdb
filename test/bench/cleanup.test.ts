// What a benchmark sets up is undone, whatever happens; and a device is not destroyed by mistake.

import { Cleanup } from "#src/bench/cleanup";
import { givenDevice } from "#src/bench/device";
import { identify } from "#src/bench/bench";

test("undoes in reverse order, goes on after an error, and says what is left", async () => {
  const cleanup = new Cleanup();
  const done: string[] = [];
  cleanup.add("first", () => done.push("first"));
  cleanup.add("second", () => {
    throw new TypeError("stuck");
  });
  cleanup.add("third", async () => done.push("third"));
  await expect(cleanup.undo()).rejects.toThrow("cannot clean up: second: stuck");
  expect(done).toEqual(["third", "first"]);
  await cleanup.undo();
});

test("undo(mark) leaves what was there before the mark", async () => {
  const cleanup = new Cleanup();
  const done: number[] = [];
  cleanup.add("1", () => done.push(1));
  const mark = cleanup.mark();
  cleanup.add("2", () => done.push(2));
  await cleanup.undo(mark);
  expect(done).toEqual([2]);
  await cleanup.undo();
  expect(done).toEqual([2, 1]);
});

test("givenDevice refuses what is no block device", () => {
  expect(() => givenDevice("/dev/null", 1)).toThrow(/cannot examine \/dev\/null/);
  expect(() => givenDevice("/nowhere", 1)).toThrow(/cannot examine/);
});

test("identify names the kernel and the commit", () => {
  const identity = identify();
  expect(identity.kernel).toMatch(/^\d+\.\d+/);
  expect(identity.commit).toMatch(/^[0-9a-f]{7,}\+?$|^unknown$/);
  expect(identity.cpus).toBeGreaterThan(0);
});
