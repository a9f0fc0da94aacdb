// What the simulation has found, told step by step.

import { pageSize } from "#src/base/units";
import { prepare } from "#src/blocks/prepare/prepare";
import { OpsFixture } from "../support/ops-fixture";
import { fileOf, patterned } from "../support/preparing";

/** Calls `meanwhile` in the first flush: that of the search for a run that is long enough. */
function duringFlush(f: OpsFixture, meanwhile: () => Promise<unknown>): void {
  const flush = f.device.flushAsync.bind(f.device);
  f.device.flushAsync = async () => {
    f.device.flushAsync = flush;
    await meanwhile();
    await flush();
  };
}

test("prepare --contiguous: a file that is cut while a run is looked for is not copied behind the end of that run", async () => {
  const f = new OpsFixture({ pages: 2100 });
  const a = await fileOf(f, "a", patterned(4));
  const between = await fileOf(f, "between", patterned(3, 2));
  await f.write(a, 4 * pageSize, patterned(7, 3)); // in two pieces
  const whole = await f.read(a, 0, 11 * pageSize);
  // The only run that has room for what is left of the file ends where the last file begins.
  const gap = await fileOf(f, "gap", patterned(10, 4));
  const last = await fileOf(f, "last", patterned(4, 5));
  const filler = await fileOf(f, "filler", Buffer.alloc(1));
  await f.fallocate(filler, 0, 0, f.volume.statfs().freePages * pageSize);
  await f.truncate(gap, 0);
  await f.fs.volume.flush();
  duringFlush(f, () => f.truncate(a, 10 * pageSize + 2048));
  await prepare(f.fs, a, { contiguous: true }).catch(() => undefined);
  expect((await f.read(last, 0, 4 * pageSize)).equals(patterned(4, 5))).toBe(true);
  expect((await f.read(between, 0, 3 * pageSize)).equals(patterned(3, 2))).toBe(true);
  expect((await f.read(a, 0, 10 * pageSize)).equals(whole.subarray(0, 10 * pageSize))).toBe(true);
  expect(f.volume.check().findings.filter(({ severity }) => severity === "error")).toEqual([]);
});
