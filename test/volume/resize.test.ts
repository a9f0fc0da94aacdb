// Growing and shrinking a volume in memory: what fits, what is refused, and every moment at which it may be cut.

import { perform } from "#src/volume/blockdevice";
import { checkpointSteps } from "#src/volume/checkpoint";
import { checkpointClean } from "#src/volume/format";
import { checkDevice, isSound } from "#src/volume/fsck";
import { loadState, loadSuperblock } from "#src/volume/replay";
import { apply } from "#src/volume/state";
import { cut, MemoryBlockDevice } from "../support/memory-device";
import { grow, shrink } from "#src/volume/resizing";
import type { TailParts } from "#src/volume/tail";
import { Volume } from "#src/volume/volume";
import { dumpVolume } from "./model";
import { Random } from "./random";
import { dataStart, fill, newFile, smallDevice, withKeptBack } from "./small";

const page = 4096;
const dataPages = 1024;
const bytesFor = (pages: number): number => (dataStart + withKeptBack(pages)) * page;

function parts(volume: Volume, pinned: readonly number[] = []): TailParts {
  return {
    volume, commit: (changes) => volume.commit(changes), exclusive: (_ino, work) => work(), free: (_ino, runs) => volume.release(runs),
    isPinned: (ino) => pinned.includes(ino), nameOf: (ino) => `file ${ino}`,
  };
}

/** Files of `counts` pages, one after the other, each page filled with a byte of its own. */
function makeFiles(volume: Volume, counts: readonly number[]): number[] {
  return counts.map((count, index) => {
    const ino = newFile(volume, `f${index}`);
    fill(volume, ino, 0, count);
    for (const { filePage, devicePage, count: pages } of volume.inode(ino)!.extents) {
      for (let n = 0; n < pages; n += 1) volume.device.write((devicePage + n) * page, contentOf(ino, filePage + n));
    }
    return ino;
  });
}

function contentOf(ino: number, filePage: number): Buffer {
  return Buffer.alloc(page, (ino * 31 + filePage * 7) % 251 + 1);
}

function drop(volume: Volume, ino: number, name: string): void {
  volume.release(volume.commit([{ kind: "drop-entry", parent: 1, name }, { kind: "drop-inode", ino }]));
}

function expectWhole(volume: Volume, inos: readonly number[]): void {
  for (const ino of inos) {
    for (const { filePage, devicePage, count } of volume.inode(ino)!.extents) {
      for (let n = 0; n < count; n += 1) {
        const held = volume.device.read((devicePage + n) * page, page);
        if (!held.equals(contentOf(ino, filePage + n))) throw new Error(`page ${filePage + n} of ino ${ino} holds ${held[0]}`);
      }
    }
  }
}

const progress = (): { moved: number; total: number } => ({ moved: 0, total: 0 });

test("grow: the new pages are free, and stay so when it is opened again", () => {
  const device = smallDevice({}, dataPages);
  const volume = Volume.open(device, { boot: 0 });
  const [ino] = makeFiles(volume, [1000]);
  expect(() => volume.allocate(500)).toThrow(expect.objectContaining({ code: "ENOSPC" }));
  expect(grow(volume, bytesFor(2048))).toMatchObject({ before: bytesFor(1024), bytes: bytesFor(2048), dataBytes: 2048 * page });
  expect(volume.statfs()).toMatchObject({ pages: 2048, freePages: 1048 });
  fill(volume, ino!, 1000, 1000);
  expect(volume.check().findings).toEqual([]);
  volume.close();
  const again = Volume.open(device, { boot: 0 });
  expect(again.warnings).toEqual([]);
  expect(again.statfs()).toMatchObject({ pages: 2048, freePages: 48 });
});

test("grow and format wipe the device's ends, to the last byte, and nothing of what the volume had before", () => {
  const device = smallDevice({}, dataPages);
  const junk = (at: number, length: number): void => device.poke(at, Buffer.alloc(length, 0xa5));
  const volume = Volume.open(device, { boot: 0 });
  device.resize = () => (device.byteLength = bytesFor(1200) + 512);
  junk(bytesFor(1024) - page, device.resize(undefined) - bytesFor(1024) + page);
  grow(volume, undefined);
  expect(volume.geometry.blockCount).toBe(dataStart + withKeptBack(1200));
  expect(device.read(bytesFor(1024) - page, page)).toEqual(Buffer.alloc(page, 0xa5));
  const grown = bytesFor(1200) + 512 - bytesFor(1024);
  expect(device.read(bytesFor(1024), grown).equals(Buffer.alloc(grown))).toBe(true);
  device.resize = () => (device.byteLength = bytesFor(3000) + 512);
  junk(bytesFor(1200), device.resize(undefined) - bytesFor(1200));
  grow(volume, undefined);
  expect(device.read(bytesFor(3000) - 2 ** 21, 2 ** 21 + 512).lastIndexOf(0xa5)).toBe(511);
  junk(0, 2 ** 20);
  junk(bytesFor(3000), 512);
  Volume.format(device, { force: true });
  expect([device.read(page * 3 - 512, 512), device.read(bytesFor(3000), 512)]).toEqual([Buffer.alloc(512), Buffer.alloc(512)]);
});

test("grow: to what it has is nothing, to less is refused, to more than a device has as well", () => {
  const device = smallDevice({}, dataPages);
  const volume = Volume.open(device, { boot: 0 });
  expect(grow(volume, bytesFor(1024)).bytes).toBe(bytesFor(1024));
  expect(grow(volume, undefined).bytes).toBe(bytesFor(1024));
  expect(() => grow(volume, bytesFor(512))).toThrow(/has .* already, swapfs shrink makes it shorter/);
  device.resize = () => bytesFor(1024);
  expect(() => grow(volume, bytesFor(2048))).toThrow(/the device has only .*, enlarge it first/);
  expect(() => grow(volume, 2 ** 45)).toThrow(/too large/);
});

test("shrink: files move out of the tail with all they hold, and the rest is free", async () => {
  const device = smallDevice({}, dataPages);
  const volume = Volume.open(device, { boot: 0 });
  const [first, a, b] = makeFiles(volume, [400, 200, 150]);
  drop(volume, first!, "f0");
  const done = progress();
  expect(await shrink(parts(volume), bytesFor(450), done)).toMatchObject({ before: bytesFor(1024), bytes: bytesFor(450) });
  expect(done.total).toBeGreaterThan(250);
  expect(done.moved).toBe(done.total);
  expect(device.byteLength).toBe(bytesFor(450));
  expectWhole(volume, [a!, b!]);
  expect(volume.check().findings).toEqual([]);
  expect(volume.statfs()).toMatchObject({ pages: 450, freePages: 100 });
  fill(volume, a!, 200, 100);
  expect(() => volume.allocate(1)).toThrow(expect.objectContaining({ code: "ENOSPC" }));
  volume.close();
  expect(checkDevice(device).findings).toEqual([]);
});

test("shrink: a clone in the tail becomes a copy of its own, with the same contents, and the counts stay right", async () => {
  const device = smallDevice({}, dataPages);
  const volume = Volume.open(device, { boot: 0 });
  const [first, a] = makeFiles(volume, [500, 100]);
  const clone = newFile(volume, "clone");
  const shared = [...volume.inode(a!)!.extents].map((extent) => ({ ...extent, state: "shared" as const }));
  volume.commit([a!, clone].map((ino) => ({ kind: "set-extents", ino, filePage: 0, count: 100, extents: shared })));
  drop(volume, first!, "f0");
  await shrink(parts(volume), bytesFor(450), progress());
  const pageOf = (ino: number, filePage: number): Buffer => {
    const extent = volume.inode(ino)!.extents.find(filePage)!;
    return volume.device.read((extent.devicePage + filePage - extent.filePage) * page, page);
  };
  for (let n = 0; n < 100; n += 1) {
    expect(pageOf(a!, n).equals(contentOf(a!, n))).toBe(true);
    expect(pageOf(clone, n).equals(contentOf(a!, n))).toBe(true);
  }
  expect(volume.check().findings).toEqual([]);
  expect(volume.statfs()).toMatchObject({ pages: 450, freePages: 250 });
  volume.close();
  expect(checkDevice(device).findings).toEqual([]);
});

test("shrink: a pinned file in the tail, or too little room, is refused and everything is as before", async () => {
  const volume = Volume.open(smallDevice({}, dataPages), { boot: 0 });
  const [, b] = makeFiles(volume, [300, 300]);
  const before = dumpVolume(volume);
  await expect(shrink(parts(volume, [b!]), bytesFor(400), progress())).rejects.toThrow(`file ${b} is in use as swap or pinned and lies behind the new end`);
  await expect(shrink(parts(volume), bytesFor(400), progress())).rejects.toThrow(/lie behind the new end and only .* are free before it/);
  await expect(shrink(parts(volume), bytesFor(2), progress())).rejects.toThrow(/its metadata and 1 MiB of data need/);
  await expect(shrink(parts(volume), bytesFor(2000), progress())).rejects.toThrow(/swapfs grow makes it longer/);
  expect(dumpVolume(volume)).toBe(before);
  fill(volume, b!, 300, 424);
  expect(volume.statfs().freePages).toBe(0);
});

test("shrink: a file that was swapped off a moment ago is waited for", async () => {
  const volume = Volume.open(smallDevice({}, dataPages), { boot: 0 });
  const [a, b] = makeFiles(volume, [300, 300]);
  drop(volume, a!, "f0");
  const swapped = [b!];
  setTimeout(() => swapped.pop(), 200);
  expect(await shrink(parts(volume, swapped), bytesFor(400), progress())).toMatchObject({ bytes: bytesFor(400) });
  expectWhole(volume, [b!]);
});

test("shrink: called off between two pieces it leaves the size and the files as they were", async () => {
  const volume = Volume.open(smallDevice({}, 8192), { boot: 0 });
  const [first, a] = makeFiles(volume, [4000, 4000]);
  drop(volume, first!, "f0");
  const controller = new AbortController();
  const done = progress();
  const counted = { ...parts(volume), commit: (changes: Parameters<TailParts["commit"]>[0]) => (controller.abort(new Error("off")), volume.commit(changes)) };
  await expect(shrink(counted, bytesFor(4500), done, controller.signal)).rejects.toThrow("off");
  expect(volume.geometry.blockCount).toBe(dataStart + withKeptBack(8192));
  expectWhole(volume, [a!]);
  expect(await shrink(parts(volume), bytesFor(4500), progress())).toMatchObject({ bytes: bytesFor(4500) });
  expectWhole(volume, [a!]);
});

/** Cuts the history of `work` after each of its steps, torn and reordered by three seeds. */
async function cutEverywhere(work: (volume: Volume) => Promise<void> | void, check: (opened: Volume) => void): Promise<number> {
  const device = smallDevice({}, dataPages);
  let volume = Volume.open(device, { boot: 0 });
  const inos = makeFiles(volume, [300, 200, 150]);
  drop(volume, inos[0]!, "f0");
  volume.close();
  const base = device.clone();
  const recorded = device.clone({ record: true });
  volume = Volume.open(recorded, { boot: 0 });
  await work(volume);
  const { steps } = recorded;
  const longest = new MemoryBlockDevice(Math.max(base.byteLength, recorded.byteLength));
  longest.write(0, base.read(0, base.byteLength));
  for (let count = 0; count <= steps.length; count += 1) {
    for (const seed of [1, 2, 3]) {
      const random = new Random(seed * 1000 + count);
      const after = cut(longest, steps.slice(0, count), random.next);
      if (!isSound(checkDevice(after))) throw new Error(`after ${count} of ${steps.length} steps: ${JSON.stringify(checkDevice(after).findings)}`);
      const opened = Volume.open(after, { boot: 0 });
      expectWhole(opened, inos.slice(1));
      check(opened);
      opened.close();
      const left = checkDevice(after).findings;
      if (left.length > 0) throw new Error(`after ${count} steps and a mount: ${JSON.stringify(left)}`);
    }
  }
  return steps.length;
}

test("a grow that is cut anywhere, sectors torn, leaves the old size or the new one", async () => {
  const seen = new Set<number>();
  const steps = await cutEverywhere(
    (volume) => void grow(volume, bytesFor(2048)), (opened) => void seen.add(opened.statfs().pages),
  );
  expect(steps).toBeGreaterThan(3);
  expect([...seen].sort()).toEqual([1024, 2048]);
});

test("a shrink that is cut anywhere, sectors torn, leaves the old size or the new one and every page of every file", async () => {
  const seen = new Set<number>();
  const steps = await cutEverywhere(
    async (volume) => void (await shrink(parts(volume), bytesFor(400), progress())),
    (opened) => void seen.add(opened.statfs().pages),
  );
  expect(steps).toBeGreaterThan(10);
  expect([...seen].sort()).toEqual([1024, 400]);
});

test("shrink: a file that is deleted while it is moved does not end it", async () => {
  const device = smallDevice({}, dataPages);
  const volume = Volume.open(device, { boot: 0 });
  const [first, gone, kept] = makeFiles(volume, [700, 200, 100]);
  drop(volume, first!, "f0");
  const copy = device.copyPages!.bind(device);
  let deleted = false;
  device.copyPages = async (...args) => {
    await copy(...args);
    if (!deleted) drop(volume, gone!, "f1");
    deleted = true;
  };
  await shrink(parts(volume), bytesFor(400), progress());
  expect([deleted, volume.statfs().pages, volume.inode(gone!)]).toEqual([true, 400, undefined]);
  expectWhole(volume, [kept!]);
  expect(volume.check().findings).toEqual([]);
});

test("what libblkid looks at from the end is given to no file: when made, grown and shrunk", async () => {
  const device = smallDevice({}, 4096);
  const volume = Volume.open(device, { boot: 0 });
  const tail = (): Buffer => device.read(device.byteLength - 2 ** 21, 2 ** 21);
  const junkEverywhere = (): void => { // in all that a file may have, and deletes it: the device does not discard
    device.discard = () => undefined;
    const ino = newFile(volume, "junk");
    fill(volume, ino, 0, volume.statfs().freePages);
    for (const { devicePage, count } of volume.inode(ino)!.extents) device.write(devicePage * page, Buffer.alloc(count * page, 0xa5));
    drop(volume, ino, "junk");
  };
  const expectBlank = async (pages: number): Promise<void> => {
    junkEverywhere();
    await volume.flush();
    expect([volume.statfs(), tail().includes(0xa5)]).toEqual([expect.objectContaining({ pages, freePages: pages }), false]);
    expect(volume.check().findings).toEqual([]);
  };
  await expectBlank(4096);
  grow(volume, bytesFor(4200)); // by less than it keeps back
  await expectBlank(4200);
  await shrink(parts(volume), bytesFor(3200), progress());
  await expectBlank(3200);
  volume.close();
  expect(checkDevice(device)).toMatchObject({ findings: [], usedPages: 0, freePages: 3200 });
});

test("a volume of before, with files at its end, is sound; they keep their blocks, and a shrink moves them", async () => {
  const device = smallDevice({}, dataPages);
  let volume = Volume.open(device, { boot: 0 });
  const ino = newFile(volume, "old");
  volume.commit([{ kind: "set-extents", ino, filePage: 0, count: 40, extents: [{ filePage: 0, devicePage: volume.allocate(40)[0]!.page, count: 40, state: "written" }] }]);
  const { dataEnd } = volume.geometry;
  volume.close();
  putAtEnd(device, ino, dataEnd - 10);
  expect(checkDevice(device)).toMatchObject({ findings: [], usedPages: 40, freePages: dataPages - 10 });
  volume = Volume.open(device, { boot: 0 });
  for (let n = 0; n < 40; n += 1) device.write((dataEnd - 10 + n) * page, contentOf(ino, n));
  expect(volume.statfs()).toMatchObject({ pages: dataPages + 30, freePages: dataPages - 10 });
  expect(volume.notOwn(volume.inode(ino)!.extents)).toEqual([]);
  volume.release(volume.commit([{ kind: "set-extents", ino, filePage: 30, count: 10, extents: [] }]));
  await volume.flush();
  expect(volume.statfs()).toMatchObject({ pages: dataPages + 20, freePages: dataPages - 10 });
  expect(volume.check().findings).toEqual([]);
  await shrink(parts(volume), bytesFor(dataPages) - page, progress());
  expectWhole(volume, [ino]);
  expect(volume.statfs()).toMatchObject({ pages: dataPages - 1, freePages: dataPages - 31 });
  volume.close();
  expect(checkDevice(device).findings).toEqual([]);
});

/** As a version would have left it that gave files all blocks to the last one. */
function putAtEnd(device: MemoryBlockDevice, ino: number, devicePage: number): void {
  const { geometry } = loadSuperblock(device, true);
  const { state, cursor } = loadState(device, geometry);
  const [extent] = [...state.inodes.get(ino)!.extents];
  apply(state, { kind: "set-extents", ino, filePage: 0, count: extent!.count, extents: [{ ...extent!, devicePage }] });
  for (const side of [0, 1] as const) perform(device, checkpointSteps(geometry, state, side, cursor, checkpointClean));
}
