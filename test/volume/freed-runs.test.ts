// Pages on their way to being free: in any number of runs, told to the device in the background or in steps, the rest of
// them at the close, or at the next mount.

import type { BlockDevice, DeviceRun } from "#src/volume/blockdevice";
import type { MemoryBlockDevice } from "../support/memory-device";
import { Volume } from "#src/volume/volume";
import { dataStart, fill, newFile, smallDevice } from "./small";

/** 64 MiB. */
const stepPages = 16384;

type Device = BlockDevice & MemoryBlockDevice;

/** A small volume, its data area sparse. `discardAsync`: how the device takes its time; without it discards are at once. */
function volumeOf(dataPages: number, discardAsync?: (run: DeviceRun) => Promise<void>): { device: Device; volume: Volume } {
  const device: Device = smallDevice({}, dataPages);
  device.discarded.length = 0;
  if (discardAsync) device.discardAsync = (page, count) => discardAsync({ page, count });
  const volume = Volume.open(device, { boot: 0 });
  volume.sweep();
  return { device, volume };
}

function remove(volume: Volume, ino: number): void {
  volume.release(volume.commit([{ kind: "drop-inode", ino }]));
}

/** Pages, sorted; each once. */
function pagesOf(runs: readonly DeviceRun[]): number[] {
  return [...new Set(runs.flatMap(({ page, count }) => Array.from({ length: count }, (_, n) => page + n)))].sort((a, b) => a - b);
}

const allOf = (dataPages: number): number[] => pagesOf([{ page: dataStart, count: dataPages }]);
const never = (): Promise<void> => new Promise(() => undefined);
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** What the next mount discards by itself, and how far it skips inode numbers. */
async function nextMount(device: Device): Promise<{ swept: number[]; nextIno: number }> {
  device.discarded.length = 0;
  delete device.discardAsync;
  const volume = Volume.open(device, { boot: 0 });
  volume.sweep();
  for (let soon = volume.reclaimed(); soon !== undefined; soon = volume.reclaimed()) await soon;
  const swept = pagesOf(device.discarded);
  const nextIno = volume.nextIno();
  volume.close();
  return { swept, nextIno };
}

test.each(["at once", "in the background"])("a file of 150,000 extents is freed, discarded %s", async (when) => {
  const runs = 150_000; // more than the arguments that a call takes
  let told = 0;
  const { device, volume } = volumeOf(2 * runs, when === "at once" ? undefined : async () => void (told += 1));
  device.discard = () => void (told += 1);
  const all = volume.allocate(2 * runs);
  for (let n = 0; n < runs; n += 1) volume.release([{ page: all[0]!.page + 2 * n, count: 1 }]);
  await volume.flush();
  await volume.reclaimed();
  expect([told, volume.stats().freeRuns]).toEqual([runs, runs]);
});

test("a terabyte is discarded in steps, with the event loop between", async () => {
  const dataPages = 2 ** 28;
  const { device, volume } = volumeOf(dataPages);
  volume.release(volume.allocate(dataPages));
  await volume.flush();
  for (let n = 0; n < 3; n += 1) await turn();
  const { length } = device.discarded;
  expect([length > 1, length < 10, Math.max(...device.discarded.map(({ count }) => count))]).toEqual([true, true, stepPages]);
  for (let soon = volume.reclaimed(); soon !== undefined; soon = volume.reclaimed()) await soon;
  expect([device.discarded.length, volume.stats().largestFreeRun]).toEqual([dataPages / stepPages, dataPages]);
});

test("close discards what waits, and what is under way", async () => {
  const { device, volume } = volumeOf(100, never);
  const [a, b] = [newFile(volume, "a"), newFile(volume, "b")];
  fill(volume, a, 0, 30);
  fill(volume, b, 0, 70);
  remove(volume, a);
  await volume.flush(); // its discard begins
  remove(volume, b);
  const reserved = volume.statfs().freePages;
  volume.close();
  expect([reserved, pagesOf(device.discarded)]).toEqual([100, allOf(100)]);
  expect((await nextMount(device)).swept).toEqual([]);
});

test("close discards what was reserved, or waits for requests, and will never be used", async () => {
  const { device, volume } = volumeOf(100, never);
  const ino = newFile(volume, "a");
  fill(volume, ino, 0, 30);
  const dropped = volume.commit([{ kind: "drop-inode", ino }]);
  const reserved = volume.allocate(70);
  volume.close();
  expect(pagesOf(device.discarded)).toEqual(allOf(100));
  // Whoever had them finds that out later.
  volume.release(dropped);
  volume.giveBack(reserved);
  expect([device.discarded.length, volume.statfs().freePages]).toEqual([1, 100]);
});

test("close takes its time and no more: the next mount goes on, and takes no inode number for lost", async () => {
  const dataPages = 4 * stepPages;
  const { device, volume } = volumeOf(dataPages, never);
  const ino = newFile(volume, "a");
  fill(volume, ino, 0, dataPages);
  remove(volume, ino);
  let now = 0;
  const clock = jest.spyOn(performance, "now").mockImplementation(() => now);
  const slow = jest.spyOn(device, "discard").mockImplementation((page, count) => {
    device.discarded.push({ page, count });
    now += 1500;
  });
  try {
    volume.close();
  } finally {
    clock.mockRestore();
    slow.mockRestore();
  }
  const before = pagesOf(device.discarded);
  expect(before).toHaveLength(2 * stepPages);
  const { swept, nextIno } = await nextMount(device);
  expect([swept, nextIno]).toEqual([allOf(dataPages), ino + 1]);
  expect((await nextMount(device)).swept).toEqual([]);
});

test("a mount that is closed before its sweep has ended leaves none of it", async () => {
  const { device } = volumeOf(3 * stepPages); // and is killed
  device.discardAsync = never;
  const volume = Volume.open(device, { boot: 0 });
  volume.sweep();
  volume.close();
  expect(pagesOf(device.discarded)).toEqual(allOf(3 * stepPages));
  expect((await nextMount(device)).swept).toEqual([]);
});
