// Power cuts with file data: a device that keeps some of what was not flushed and loses the rest, in any order. After each
// cut every page of every file holds what was once written to it, at least as new as the last flush, or the zeros that it
// had before: never what a block held for somebody else.

import { MemoryBlockDevice, cut } from "../support/memory-device";
import type { DeviceStep as Step } from "#src/volume/blockdevice";
import type { Change } from "#src/volume/changes";
import { SortedChunks } from "#src/volume/chunks";
import * as extentsModule from "#src/volume/extents";
import { Volume } from "#src/volume/volume";
import { seedsFor } from "../support/seeds";
import { Random, Turns, forSeeds } from "../volume/random";
import { attributes, dataStart, fill, newFile, smallDevice } from "../volume/small";

const { count: histories } = seedsFor(150, "SWAPFS_CUTS");
const filePages = 6;
const dataPages = 120;
const staleByte = 0xee;
jest.setTimeout(30 * 60_000);

/** What page `n` of a file has held, oldest first, and how many steps of the device had been taken by then. */
interface Version {
  readonly value: number;
  readonly after: number;
}

class Scene {
  readonly base: MemoryBlockDevice;
  readonly device: MemoryBlockDevice;
  readonly volume: Volume;
  readonly inos: number[];
  readonly versions = new Map<string, Version[]>();
  /** Steps after which everything before was flushed. */
  readonly flushes: number[] = [];
  readonly #random: Random;
  readonly #turns = new Turns();
  #next = 1;

  constructor(random: Random) {
    this.#random = random;
    const start = smallDevice({}, dataPages);
    start.poke(dataStart * 4096, Buffer.alloc(dataPages * 4096, staleByte));
    const before = Volume.open(start, { boot: 1 });
    this.inos = ["a", "b", "c"].map((name) => newFile(before, name));
    before.close();
    this.base = start.clone();
    this.device = start.clone({ record: true });
    const { turn } = this.#turns;
    this.volume = Volume.open(this.device, { boot: 1, ...(random.chance(0.5) && { steps: { bytes: 1 + random.below(400), turn } }) });
    for (const ino of this.inos) for (let page = 0; page < filePages; page += 1) this.versions.set(`${ino}:${page}`, [{ value: 0, after: 0 }]);
    this.flushes.push(this.device.steps.length);
  }

  async step(): Promise<void> {
    const ino = this.#random.pick(this.inos);
    const page = this.#random.below(filePages);
    const count = 1 + this.#random.below(filePages - page);
    const what = this.#random.below(10);
    if (what < 6) this.#write(ino, page, count);
    else if (what < 7) this.#clone(ino, page, count);
    else if (what < 8 && this.#random.chance(0.5)) this.#commit(ino, page, count, [], () => 0);
    else if (what < 8 && this.#random.chance(0.5)) this.volume.checkpoint();
    else await this.#flush();
    if (this.#random.chance(0.5)) await this.#turns.take();
  }

  /** New data always goes to new blocks, as that of an append, a copy on write or a move does. */
  #write(ino: number, page: number, count: number): void {
    const value = this.#next++ % 30 * filePages + 1;
    let at = page;
    const extents = this.volume.allocate(count).map((run) => {
      const extent = { filePage: at, devicePage: run.page, count: run.count, state: "written" as const };
      for (let n = 0; n < run.count; n += 1) this.device.write((run.page + n) * 4096, Buffer.alloc(4096, value + at + n));
      at += run.count;
      return extent;
    });
    this.#commit(ino, page, count, extents, (n) => value + n);
  }

  /** Another file's pages share the blocks, as copy_file_range(2) has it: one record, both shared. */
  #clone(ino: number, page: number, count: number): void {
    const to = this.#random.pick(this.inos.filter((other) => other !== ino));
    const shared = [...this.volume.inode(ino)!.extents.range(page, count)].map((extent) => ({ ...extent, state: "shared" as const }));
    if (shared.length === 0) return;
    const source: Change = { kind: "set-extents", ino, filePage: page, count, extents: shared };
    this.#commit(to, page, count, shared, (n) => this.versions.get(`${ino}:${n}`)!.at(-1)!.value, [source]);
  }

  #commit(ino: number, page: number, count: number, extents: Extract<Change, { kind: "set-extents" }>["extents"], value: (page: number) => number, first: Change[] = []): void {
    const size = filePages * 4096;
    this.volume.release(this.volume.commit([
      ...first,
      { kind: "set-extents", ino, filePage: page, count, extents },
      { kind: "put-inode", ino, attributes: attributes(0o100600, { size }) },
    ]));
    for (let n = page; n < page + count; n += 1) this.versions.get(`${ino}:${n}`)!.push({ value: value(n), after: this.device.steps.length });
  }

  async #flush(): Promise<void> {
    await this.volume.flush();
    await this.volume.reclaimed();
    this.flushes.push(this.device.steps.length);
  }
}

/** What was written to the page when everything up to step `flushed` was durable, or later. */
function allowed(versions: readonly Version[], flushed: number): number[] {
  const known = versions.findLastIndex((version) => version.after <= flushed);
  return versions.slice(known).map((version) => version.value);
}

/** A second cut, while the first opening repairs: what it has done so far must not make stale blocks trusted. */
function cutAgain(device: MemoryBlockDevice, random: Random): MemoryBlockDevice {
  const recording = device.clone({ record: true });
  Volume.open(recording, { boot: 2 });
  return cut(device, recording.steps.slice(0, random.below(recording.steps.length + 1)), random.next);
}

function checkCut(scene: Scene, count: number, first: MemoryBlockDevice, random: Random): void {
  const device = random.chance(0.5) ? first : cutAgain(first, random);
  const flushed = scene.flushes.filter((after) => after <= count).at(-1) ?? 0;
  const volume = Volume.open(device, { boot: 3 });
  for (const [key, versions] of scene.versions) {
    const [ino, page] = key.split(":").map(Number) as [number, number];
    const extent = volume.inode(ino)!.extents.find(page);
    const bytes = extent === undefined || extent.state === "unwritten"
      ? Buffer.alloc(4096) : device.read((extent.devicePage + page - extent.filePage) * 4096, 4096);
    const fine = allowed(versions, flushed).some((value) => bytes.every((byte) => byte === value));
    if (!fine) {
      throw new Error(`cut after step ${count}, flushed to ${flushed}: page ${page} of ino ${ino} holds ${new Set(bytes)}, not one of ${allowed(versions, flushed)}`);
    }
  }
  const wrong = volume.check().findings.filter((finding) => finding.severity === "error");
  expect(wrong).toEqual([]);
  volume.close();
}

test("no cut shows what a block held before, and none loses what was flushed", async () => {
  const scenes: [Random, Scene][] = [];
  forSeeds(histories, (random) => void scenes.push([random, new Scene(random)]));
  for (const [random, scene] of scenes) {
    for (let n = 0; n < 24; n += 1) await scene.step();
    for (let round = 0; round < 8; round += 1) {
      const count = 1 + random.below(scene.device.steps.length);
      checkCut(scene, count, cut(scene.base, scene.device.steps.slice(0, count) as Step[], random.next), random);
    }
  }
});

test("without the rule the same histories show stale blocks: the test can fail", async () => {
  let stale = 0;
  const scenes: [Random, Scene][] = [];
  forSeeds(40, (random) => void scenes.push([random, new Scene(random)]));
  for (const [random, scene] of scenes) {
    for (let n = 0; n < 24; n += 1) await scene.step();
    for (let round = 0; round < 8; round += 1) {
      const device = cut(scene.base, scene.device.steps.slice(0, 1 + random.below(scene.device.steps.length)), random.next);
      const volume = Volume.open(device, { readOnly: true }); // no boot: everything is trusted
      for (const inode of volume.inodes()) {
        for (const extent of inode.extents) {
          if (extent.state !== "unwritten" && device.read(extent.devicePage * 4096, 4096).includes(staleByte)) stale += 1;
        }
      }
    }
  }
  expect(stale).toBeGreaterThan(0);
});

test("what the same boot wrote is trusted: a killed process loses nothing", () => {
  const device = smallDevice();
  const volume = Volume.open(device, { boot: 7 });
  const ino = newFile(volume, "kept");
  const [run] = volume.allocate(1);
  volume.commit([{ kind: "set-extents", ino, filePage: 0, count: 1, extents: [{ filePage: 0, devicePage: run!.page, count: 1, state: "written" }] }]);
  expect(Volume.open(device.clone(), { boot: 7 }).inode(ino)!.extents.find(0)).toMatchObject({ state: "written" });
  expect(Volume.open(device.clone(), { boot: 8 }).inode(ino)!.extents.find(0)).toMatchObject({ state: "unwritten" });
});

/** Opens in another boot, after one undurable commit of `count` pages for each of `extents`. Returns how often runs and extents were looked at. */
function stepsAfterCut(extents: number, count: number): number {
  const device = smallDevice({}, 4 * extents * count);
  const volume = Volume.open(device, { boot: 1 });
  const write = (ino: number): void => {
    for (let n = 0; n < extents; n += 1) fill(volume, ino, 2 * n * count, count);
  };
  write(newFile(volume, "durable"));
  volume.checkpoint();
  write(newFile(volume, "lost"));
  const spies = (["floor", "from", "replace"] as const).map((name) => jest.spyOn(SortedChunks.prototype, name));
  const clip = jest.spyOn(extentsModule, "clip");
  const lost = Volume.open(device, { boot: 2 });
  const steps = [...spies, clip].reduce((sum, spy) => sum + spy.mock.calls.length, 0);
  jest.restoreAllMocks();
  const states = [...lost.inodes()].filter((inode) => inode.extents.length > 0).map((inode) => [...inode.extents].map((extent) => extent.state));
  expect(states).toEqual([Array(extents).fill("written"), Array(extents).fill("unwritten")]);
  return steps;
}

test("the check after a cut takes steps for extents, not for pages: terabytes are as fast as megabytes", () => {
  const small = stepsAfterCut(8, 4);
  expect(stepsAfterCut(8, 2 ** 12)).toBeLessThan(1.1 * small);
  expect(stepsAfterCut(8, 2 ** 25)).toBeLessThan(1.1 * small); // 8 * 128 GiB, twice
  expect(small).toBeLessThan(3 * stepsAfterCut(4, 4));
});
