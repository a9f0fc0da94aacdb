// A checkpoint in steps: little is encoded between two turns of the event loop, operations go on meanwhile, and whoever cannot
// wait, at whatever stage it is, finds a volume that is whole. test/crash/histories.test.ts cuts the same.

import * as codec from "#src/volume/codec";
import { checkDevice } from "#src/volume/fsck";
import { grow, shrink } from "#src/volume/resizing";
import { Volume } from "#src/volume/volume";
import { MemoryBlockDevice } from "../support/memory-device";
import { dumpVolume } from "./model";
import { Driver } from "./operations";
import { Turns, forSeedsInTurn } from "./random";
import { attributes, dataStart, fill, newFile, smallDevice, withKeptBack } from "./small";

const MiB = 2 ** 20;
const stepBytes = 4096;

/** Its flushes end when the test takes a turn. */
class SlowDevice extends MemoryBlockDevice {
  turns: Turns | undefined;

  override async flushAsync(): Promise<void> {
    await this.turns?.turn();
    this.flush();
  }
}

function open(device: MemoryBlockDevice, turns: Turns, bytes = stepBytes): Volume {
  if (device instanceof SlowDevice) device.turns = turns;
  return Volume.open(device, { boot: 0, steps: { bytes, turn: turns.turn } });
}

/** 3,000 files, and one of 10,000 extents. */
function large(turns: Turns): { device: MemoryBlockDevice; volume: Volume; ino: number } {
  const device = new MemoryBlockDevice(128 * MiB);
  Volume.format(device);
  const volume = open(device, turns);
  const ino = newFile(volume, "extents");
  const { page } = volume.allocate(20_000)[0]!;
  for (let n = 0; n < 10_000; n += 500) {
    const extents = Array.from({ length: 500 }, (_, k) => ({ filePage: 2 * (n + k), devicePage: page + 2 * (n + k), count: 1, state: "written" as const }));
    volume.commit([{ kind: "set-extents", ino, filePage: 2 * n, count: 1000, extents }]);
  }
  for (let n = 0; n < 3000; n += 1) newFile(volume, `file ${n}`);
  volume.checkpoint();
  return { device, volume, ino };
}

function touch(volume: Volume, ino: number): void {
  volume.commit([{ kind: "put-inode", ino, attributes: attributes(0o100600, { size: volume.stats().sequence }) }]);
}

/** Commits until a checkpoint begins. */
function begin(volume: Volume, ino: number): void {
  const { journalCapacity } = volume.stats();
  while (volume.stats().journalBytes < 0.75 * journalCapacity) touch(volume, ino);
  touch(volume, ino);
}

/** What is encoded for checkpoints: since it was last asked. */
function countItems(): () => { inodes: number; extents: number } {
  let count = { inodes: 0, extents: 0 };
  const encodeItem = codec.encodeItem;
  jest.spyOn(codec, "encodeItem").mockImplementation((into, at, item) => {
    if (item.kind === "put-inode") count.inodes += 1;
    if (item.kind === "set-extents") count.extents += item.extents.length;
    return encodeItem(into, at, item);
  });
  return () => {
    const counted = count;
    count = { inodes: 0, extents: 0 };
    return counted;
  };
}

afterEach(() => jest.restoreAllMocks());

test("between two turns few inodes and extents are encoded; commits and flushes meanwhile are answered before it ends", async () => {
  const turns = new Turns();
  const { device, volume, ino } = large(turns);
  begin(volume, ino);
  const counted = countItems();
  const before = volume.stats().checkpoints;
  let [rounds, inodesMax, extentsMax] = [0, 0, 0];
  for (; volume.stats().checkpoints === before; rounds += 1) {
    await turns.take();
    const { inodes, extents } = counted();
    inodesMax = Math.max(inodesMax, inodes);
    extentsMax = Math.max(extentsMax, extents);
    if (rounds % 4 > 0) continue;
    const made = newFile(volume, `meanwhile ${rounds}`);
    fill(volume, made, 0, 3);
    volume.commit([{ kind: "set-extents", ino, filePage: 5 * rounds, count: 1 + rounds, extents: [] }]);
    if (rounds === 40) await Promise.all([volume.flush(), turns.take()]);
    counted();
  }
  expect([inodesMax, extentsMax]).toEqual([Math.ceil(stepBytes / codec.inodeBytes(0)), 2048]);
  expect(rounds).toBeGreaterThan(100);
  const dump = dumpVolume(volume);
  expect(dumpVolume(Volume.open(device, { readOnly: true })) === dump).toBe(true);
  expect(checkDevice(device).findings).toEqual([]);
});

test("commits that leave no turn do their share, and the half is full after the checkpoint is done", async () => {
  const turns = new Turns();
  const { device, volume, ino } = large(turns);
  begin(volume, ino);
  const counted = countItems();
  const before = volume.stats().checkpoints;
  let [inodesMax, commits] = [0, 0];
  for (; volume.stats().checkpoints === before; commits += 1) {
    touch(volume, ino);
    inodesMax = Math.max(inodesMax, counted().inodes);
  }
  expect([inodesMax < 60, commits > 300]).toEqual([true, true]);
  expect(dumpVolume(Volume.open(device, { readOnly: true })) === dumpVolume(volume)).toBe(true);
  for (let n = 0; n < 9; n += 1) await turns.take(); // what had begun has nothing left to do
  expect([volume.stats().checkpoints, checkDevice(device).findings]).toEqual([before + 1, []]);
});

const whoCannotWait: [string, (volume: Volume, ino: number) => unknown][] = [
  ["another checkpoint", (volume) => volume.checkpoint()],
  ["a full half", (volume, ino) => { for (let n = 0; n < 20; n += 1) touch(volume, ino); }],
  ["a grow", (volume) => grow(volume, (dataStart + 4096) * 4096)],
  ["a shrink", (volume) => shrink({
    volume, commit: (changes) => volume.commit(changes), exclusive: (_ino, work) => work(), free: (_ino, runs) => volume.release(runs),
    isPinned: () => false, nameOf: String,
  }, (dataStart + withKeptBack(300)) * 4096, { moved: 0, total: 0 })],
  ["the close", () => undefined],
];

test.each(whoCannotWait)("%s at every stage of it: nothing is lost, both checkpoints are good", async (_, work) => {
  let stage = 0;
  for (let ended = false; !ended; stage += 1) {
    const turns = new Turns();
    const device = smallDevice({}, 600).clone({}, SlowDevice as never) as SlowDevice;
    device.resize = (length) => (device.byteLength = length ?? device.byteLength);
    const volume = open(device, turns, 100);
    const [ino] = ["a", "b", "c", "d"].map((name) => newFile(volume, name));
    fill(volume, ino!, 0, 250);
    fill(volume, ino! + 1, 0, 250);
    volume.release(volume.commit([{ kind: "set-extents", ino: ino!, filePage: 0, count: 240, extents: [] }]));
    volume.checkpoint(); // which frees them: what a flush of so short a half would fill it up for
    begin(volume, ino!);
    const before = volume.stats().checkpoints;
    for (let n = 0; n < stage; n += 1) {
      await turns.take();
      if (n % 3 === 2) touch(volume, ino!);
    }
    ended = volume.stats().checkpoints > before;
    let working = true;
    void Promise.resolve(work(volume, ino!)).finally(() => (working = false));
    while (working) await turns.take();
    const dump = dumpVolume(volume);
    volume.close();
    for (let n = 0; n < 5; n += 1) await turns.take();
    expect(checkDevice(device).findings).toEqual([]);
    expect(dumpVolume(Volume.open(device, { readOnly: true }))).toBe(dump);
  }
  expect(stage).toBeGreaterThan(6);
});

test("whatever changes between two items of it, it holds what the volume is at its end", async () => {
  let checkpoints = 0;
  await forSeedsInTurn(30, async (random) => {
    const turns = new Turns();
    const device = new SlowDevice((4 + 2 * 80 + 2 * 24 + 300) * 4096);
    Volume.format(device, { areas: { checkpointBlocks: 80, journalBlocks: 24 } });
    const volume = open(device, turns, 1);
    const driver = new Driver(volume, random);
    for (let n = 0; n < 500; n += 1) {
      driver.step();
      const before = volume.stats().checkpoints;
      if (random.chance(0.5)) await turns.take();
      if (volume.stats().checkpoints === before) continue;
      if (dumpVolume(Volume.open(device.clone(), { readOnly: true })) !== dumpVolume(volume)) throw new Error("it holds something else");
      checkpoints += 1;
    }
  });
  expect(checkpoints).toBeGreaterThan(30);
});

test("a device that fails in the middle: the volume is read-only, and nothing waits for ever", async () => {
  const turns = new Turns();
  const device = smallDevice();
  const volume = open(device, turns, 100);
  const ino = newFile(volume, "f");
  begin(volume, ino);
  device.writesLeft = 0;
  for (let n = 0; n < 20 && !volume.readOnly; n += 1) await turns.take();
  expect(() => touch(volume, ino)).toThrow(expect.objectContaining({ code: "EROFS" }));
  await expect(volume.flush()).rejects.toMatchObject({ code: "EIO" });
});

test("a host that has no room for what a checkpoint in steps may take gets it at once, of what there is", () => {
  const device = new MemoryBlockDevice(2 ** 30);
  Volume.format(device);
  const volume = open(device, new Turns());
  const ino = newFile(volume, "f");
  device.backingLeft = 0;
  begin(volume, ino);
  const { journalCapacity, checkpoints } = volume.stats();
  for (let n = 0; n < journalCapacity / 512; n += 1) touch(volume, ino);
  expect(volume.stats().checkpoints).toBeGreaterThan(checkpoints);
  volume.close();
  expect(checkDevice(device).findings).toEqual([]);
});
