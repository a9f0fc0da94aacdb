// Blocks on their way to being free: in any number of runs, told to the device in the background or at once.

import type { BlockDevice } from "#src/volume/blockdevice";
import { Discards } from "#src/volume/discards";
import { MemoryBlockDevice } from "#src/volume/memory-device";
import { Space } from "#src/volume/space";
import { VolumeState } from "#src/volume/state";
import { geometryOf, newSuperblock } from "#src/volume/superblock";
import { dataStart, smallAreas, uuid } from "./small";

/** More than the arguments that a call takes. */
const runs = 150_000;

/** A volume whose every second page has just been given up by a file, after the flush that makes that last. */
function givenUp(): { space: Space; released: ReturnType<Space["flushEnded"]> } {
  const space = new Space(geometryOf(newSuperblock("test", (dataStart + 2 * runs) * 4096, uuid, 0, smallAreas)), new VolumeState());
  const [all] = space.reserve(2 * runs);
  for (let n = 0; n < runs; n += 1) space.release([{ page: all!.page + 2 * n, count: 1 }]);
  space.flushBegins();
  return { space, released: space.flushEnded() };
}

test.each(["at once", "in the background"])("a file of 150,000 extents is freed, discarded %s", async (when) => {
  const { space, released } = givenUp();
  expect([released.length, space.allocator.freePages]).toEqual([runs, 0]);
  let told = 0;
  const device: BlockDevice = Object.assign(new MemoryBlockDevice(16 * 4096), { discard: () => void (told += 1) });
  if (when !== "at once") device.discardAsync = async () => void (told += 1);
  const discards = new Discards(device, space, true);
  discards.add(released);
  await discards.done();
  expect([told, space.allocator.freePages]).toEqual([runs, runs]);
});

test("the end comes while some wait: they are told at once", async () => {
  const { space, released } = givenUp();
  let told = 0;
  const device: BlockDevice = Object.assign(new MemoryBlockDevice(16 * 4096), { discard: () => void (told += 1), discardAsync: async () => void (told += 1) });
  const discards = new Discards(device, space, true);
  discards.add(released);
  await new Promise(setImmediate);
  const before = told;
  discards.end();
  await discards.done();
  expect(before).toBeGreaterThan(0);
  // The one that was under way when the end came is free at the next mount.
  expect(runs - space.allocator.freePages).toBeLessThan(2);
});
