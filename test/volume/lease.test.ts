// The lease of a block view in the journal: what may be leased, what a leased file may not lose, and that at every cut either
// the lease is there and its blocks are nobody else's, or it is not; and that a swapfs that knows no leases opens neither.

import { AssertionError } from "#src/base/assert";
import type { DeviceRun } from "#src/volume/blockdevice";
import { checkDevice } from "#src/volume/fsck";
import { leaseChange, leaseOf, leasedPages, leaseXattr, ownRuns } from "#src/volume/lease";
import { decodeSuperblock, featureLeases } from "#src/volume/superblock";
import { Volume } from "#src/volume/volume";
import { cut, type MemoryBlockDevice } from "../support/memory-device";
import { Random } from "./random";
import { attributes, fill, newFile, smallDevice } from "./small";

const endOfLease = (ino: number) => ({ kind: "drop-xattr", ino, name: leaseXattr }) as const;

function runOf(volume: Volume, ino: number): DeviceRun {
  const { devicePage: page, count } = volume.inode(ino)!.extents.find(0)!;
  return { page, count };
}

function features(device: MemoryBlockDevice): unknown[] {
  return [0, 1].map((copy) => {
    const read = decodeSuperblock(device.read(copy * 4096, 4096), copy);
    return read.kind === "good" ? read.fields.featuresRequired : read.kind;
  });
}

/** A volume with the file `ino` of 20 pages. */
function made() {
  const device = smallDevice({ record: true });
  const volume = Volume.open(device, { boot: 0 });
  const ino = newFile(volume, "swap");
  fill(volume, ino, 0, 20);
  return { device, volume, ino };
}

test("a lease outlives journal and checkpoint, and the feature is required from the first one on, not before", () => {
  const { device, volume, ino } = made();
  expect(features(device)).toEqual([0, 0]);
  volume.commit([leaseChange(ino, runOf(volume, ino))]);
  expect(features(device)).toEqual([featureLeases, featureLeases]);
  expect(leaseOf(Volume.open(device, { readOnly: true }).inode(ino))).toEqual(runOf(volume, ino));
  for (let n = 0; n < 2; n += 1) volume.checkpoint();
  const again = Volume.open(device, { boot: 1 });
  expect(leaseOf(again.inode(ino))).toEqual(runOf(volume, ino));
  expect(checkDevice(device).findings).toEqual([expect.objectContaining({ severity: "note", kind: "lease", ino })]);
  again.commit([endOfLease(ino)]);
  expect(leaseOf(Volume.open(device, { readOnly: true }).inode(ino))).toBeUndefined();
  expect(checkDevice(device).findings).toEqual([]);
});

test("only a file's own blocks are leased, once; a leased file keeps them", () => {
  const { volume, ino } = made();
  const { page, count } = runOf(volume, ino);
  const other = newFile(volume, "other");
  fill(volume, other, 0, 1);
  for (const change of [
    leaseChange(ino, { page: page + 1, count }), leaseChange(ino, { page, count: count + 1 }), leaseChange(other, { page, count }),
    { ...leaseChange(ino, { page, count }), value: Buffer.alloc(3) }, leaseChange(1, { page, count }), leaseChange(99, { page, count }),
  ]) expect(() => volume.commit([change])).toThrow(AssertionError);
  volume.commit([leaseChange(ino, { page, count })]);
  expect(() => volume.commit([leaseChange(ino, { page, count })])).toThrow(/one lease/);
  expect(() => volume.commit([{ kind: "drop-inode", ino }])).toThrow(/leased/);
  expect(() => volume.commit([{ kind: "set-extents", ino, filePage: 19, count: 1, extents: [] }])).toThrow(/leased/);
  volume.commit([{ kind: "put-inode", ino, attributes: attributes(0o100600, { size: 123_456 }) }]); // longer, as ftruncate may make it
  volume.commit([endOfLease(ino)]);
  volume.release(volume.commit([{ kind: "drop-entry", parent: 1, name: "swap" }, { kind: "drop-inode", ino }]));
});

/** A volume, and 20 pages of it in three runs, the last of which lies first. */
function fragmented() {
  const { device, volume } = made();
  const other = newFile(volume, "other");
  fill(volume, other, 0, 30);
  const at = volume.inode(other)!.extents.find(0)!.devicePage;
  const runs = [{ page: at + 20, count: 5 }, { page: at + 26, count: 4 }, { page: at + 2, count: 11 }];
  volume.release(volume.commit([{ kind: "drop-entry", parent: 1, name: "other" }, { kind: "drop-inode", ino: other }]));
  return { device, volume, runs };
}

test("a lease of several runs: of these in this order, over all of which it lasts", () => {
  const { device, volume, runs } = fragmented();
  const given = volume.allocate(volume.statfs().freePages);
  const ino = newFile(volume, "pieces");
  let filePage = 0;
  const extents = runs.map(({ page, count }) => {
    const extent = { filePage, devicePage: page, count, state: "written" as const };
    filePage += count;
    return extent;
  });
  expect(given).toHaveLength(1);
  volume.commit([{ kind: "put-inode", ino, attributes: attributes(0o100600, { size: 20 * 4096 }) }, { kind: "set-extents", ino, filePage: 0, count: 20, extents }]);
  expect(ownRuns(volume.inode(ino)!, 20)).toEqual(runs);
  expect([ownRuns(volume.inode(ino)!, 7), ownRuns(volume.inode(ino)!, 21)]).toEqual([[runs[0], { page: runs[1]!.page, count: 2 }], undefined]);
  const [a, b, c] = runs as [DeviceRun, DeviceRun, DeviceRun];
  for (const wrong of [[b, a, c], [a, b, { page: c.page, count: 12 }], [{ page: a.page, count: 4 }, b, c], []]) {
    expect(() => volume.commit([leaseChange(ino, ...wrong)])).toThrow(AssertionError);
  }
  volume.commit([leaseChange(ino, ...runs)]);
  volume.checkpoint();
  const again = Volume.open(device, { boot: 1 });
  expect([leaseOf(again.inode(ino)), leasedPages(again.inode(ino))]).toEqual([{ page: c.page, count: a.page + 10 - c.page }, 20]);
  expect(checkDevice(device).findings).toEqual([expect.objectContaining({ severity: "note", kind: "lease", ino })]);
  for (const page of [0, 10, 19]) expect(() => again.commit([{ kind: "set-extents", ino, filePage: page, count: 1, extents: [] }])).toThrow(/leased/);
  again.commit([endOfLease(ino)]);
  again.commit([{ kind: "set-extents", ino, filePage: 19, count: 1, extents: [] }]);
});

test.each([
  ["says nothing", Buffer.alloc(3)], ["has impossible numbers", Buffer.alloc(16, 0xff)], ["names blocks that are not the file's", Buffer.alloc(16, 1)],
])("a lease that %s is damage: told by fsck, not opened for writing", (_, value) => {
  const { volume, ino } = made();
  const device = withLease(volume, ino, value);
  expect(checkDevice(device).findings).toContainEqual(expect.objectContaining({ severity: "error", kind: "inode", ino }));
  expect(() => Volume.open(device, { boot: 0 })).toThrow(/lease of a block view/);
  Volume.open(device, { readOnly: true });
});

/** As no code of ours writes it: past the checks, in a checkpoint. */
function withLease(volume: Volume, ino: number, value: Buffer): MemoryBlockDevice {
  (volume.inode(ino) as unknown as { setXattr(name: string, value: Buffer): void }).setXattr(leaseXattr, value);
  volume.checkpoint();
  return volume.device as MemoryBlockDevice;
}

test("at every cut and in any order of unflushed writes: a lease that is there keeps its blocks, and requires the feature", () => {
  const { device, volume, ino } = made();
  volume.checkpoint();
  const base = device.clone();
  const from = device.steps.length;
  const run = runOf(volume, ino);
  const durable: (boolean | undefined)[] = []; // by step: whether the lease was durable then; undefined: on its way
  const during = (state: boolean | undefined): void => {
    while (durable.length < device.steps.length - from) durable.push(state);
  };
  for (let round = 0; round < 3; round += 1) {
    volume.commit([leaseChange(ino, run)]);
    volume.checkpoint();
    during(undefined);
    for (let n = 0; n < 12; n += 1) newFile(volume, `held-${round}-${n}`);
    during(true);
    volume.commit([endOfLease(ino)]);
    if (round === 1) volume.checkpoint();
    during(undefined);
  }
  const steps = device.steps.slice(from);
  const random = new Random(7);
  const seen = new Set<boolean>();
  for (let count = 0; count <= steps.length; count += 1) {
    for (let round = 0; round < 4; round += 1) {
      const found = round === 0 ? prefix(base, steps, count) : cut(base, steps.slice(0, count), random.next);
      const leased = checkLeased(found, ino, run);
      seen.add(leased);
      if (durable[count - 1] === true) expect([count, leased]).toEqual([count, true]);
    }
  }
  expect(seen.size).toBe(2);
});

function prefix(base: MemoryBlockDevice, steps: MemoryBlockDevice["steps"], count: number): MemoryBlockDevice {
  const device = base.clone();
  for (const step of steps.slice(0, count)) if (step.kind === "write") device.poke(step.offset, step.bytes);
  return device;
}

/** Whether it is leased; whatever is free is given out, and none of it is the run. */
function checkLeased(device: MemoryBlockDevice, ino: number, { page, count }: DeviceRun): boolean {
  const required = features(device);
  const volume = Volume.open(device, { boot: 0 });
  const leased = leaseOf(volume.inode(ino)) !== undefined;
  if (leased) expect(required).toEqual([featureLeases, featureLeases]);
  const [one, two] = features(device);
  expect(one).toBe(two); // a change of both that was cut short is finished, or undone
  const given = volume.allocate(volume.statfs().freePages);
  expect(given.filter((run) => run.page < page + count && page < run.page + run.count)).toEqual([]);
  return leased;
}
