// A bad sector of 4 KiB in the metadata, with what lay in it, after each operation of random histories: who accepts the loss sees in no
// file what another one wrote.

import { UserError } from "#src/base/errors";
import type { Change, Extent } from "#src/volume/changes";
import { Volume } from "#src/volume/volume";
import { MemoryBlockDevice } from "../support/memory-device";
import { seedsFor } from "../support/seeds";
import { Driver, files } from "../volume/operations";
import { Random, forSeedsInTurn } from "../volume/random";
import { created, newFile, smallAreas, uuid, withKeptBack } from "../volume/small";

const page = 4096;
const areas = { ...smallAreas, journalBlocks: 4 };
const journal = 2 + 2 * areas.checkpointBlocks;
const dataStart = journal + 2 * areas.journalBlocks;
const { count: histories } = seedsFor(12, "SWAPFS_SECTORS");
jest.setTimeout(10 * 60_000);

/** What pages hold: a number for each write, and who may see it. */
class Contents {
  readonly #seenBy: Set<number>[] = [new Set()];
  readonly #device: MemoryBlockDevice;

  constructor(device: MemoryBlockDevice) {
    this.#device = device;
  }

  /** File data is written before the record that says where it lies. */
  before(volume: Volume, changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.kind !== "set-extents") continue;
      const had = [...volume.inode(change.ino)!.extents.range(change.filePage, change.count)];
      for (const extent of change.extents) {
        if (extent.state === "shared") for (const at of pagesOf(extent)) this.#seenBy[contentAt(this.#device, at)]!.add(change.ino);
        else if (extent.state === "written" && !had.some((old) => old.state !== "unwritten" && old.devicePage === extent.devicePage)) this.write(change.ino, extent);
      }
    }
  }

  write(ino: number, extent: Extent): void {
    for (const at of pagesOf(extent)) {
      const bytes = Buffer.alloc(page);
      bytes.writeUInt32LE(this.#seenBy.push(new Set([ino])) - 1);
      this.#device.write(at * page, bytes);
    }
  }

  /** Pages of `volume` in which a file shows what another one wrote. */
  strange(volume: Volume): string[] {
    return files(volume).flatMap(({ ino, extents }) => [...extents].filter(({ state }) => state !== "unwritten").flatMap((extent) => pagesOf(extent)
      .map((at) => contentAt(volume.device, at)).filter((content) => content !== 0 && !this.#seenBy[content]!.has(ino))
      .map((content) => `ino ${ino} shows what ${[...this.#seenBy[content]!].join()} wrote`)));
  }
}

const pagesOf = ({ devicePage, count }: Extent): number[] => Array.from({ length: count }, (_, n) => devicePage + n);
const contentAt = (device: Volume["device"], at: number): number => device.read(at * page, 4).readUInt32LE();

class WritingDriver extends Driver {
  readonly contents: Contents;

  constructor(volume: Volume, random: Random, contents: Contents) {
    super(volume, random);
    this.contents = contents;
  }

  override commit(changes: Change[]): void {
    this.contents.before(this.volume, changes);
    super.commit(changes);
  }

  /** Writes in place, where a file alone has the page: what was shared is said to be its own afterwards. */
  overwrite(random: Random): void {
    const file = random.pick(files(this.volume));
    const extent = file && random.pick([...file.extents]);
    if (extent === undefined || extent.state === "unwritten") return;
    const { filePage, count } = extent;
    if (extent.state === "shared" && this.volume.soleRuns(extent.devicePage, count)[0]?.count !== count) return;
    this.contents.write(file!.ino, extent);
    if (extent.state === "shared") this.commit([{ kind: "set-extents", ino: file!.ino, filePage, count, extents: [{ ...extent, state: "written" }] }]);
  }
}

/** Of the superblock, of both checkpoints' beginnings, and the whole journal. */
const sectors = [0, 2, 3, 2 + areas.checkpointBlocks, 3 + areas.checkpointBlocks, ...Array.from({ length: 2 * areas.journalBlocks }, (_, n) => journal + n)];

function without(device: MemoryBlockDevice, sector: number): Volume | undefined {
  const damaged = device.clone();
  damaged.poke(sector * page, Buffer.alloc(page));
  try {
    return Volume.open(damaged, { boot: 0, acceptLoss: true });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return undefined;
  }
}

function newDevice(dataPages: number): MemoryBlockDevice {
  const device = new MemoryBlockDevice((dataStart + withKeptBack(dataPages)) * page);
  Volume.format(device, { uuid, created, areas });
  device.discard = () => undefined; // and shows what was there
  return device;
}

test("a full volume: what is deleted may be given out at once, and is not in the same sector of the journal as who gets it", () => {
  const device = newDevice(30);
  const volume = Volume.open(device, { boot: 0 });
  const contents = new Contents(device);
  const give = (ino: number): void => {
    const [run] = volume.allocate(30);
    const changes: Change[] = [{ kind: "set-extents", ino, filePage: 0, count: 30, extents: [{ filePage: 0, devicePage: run!.page, count: 30, state: "written" }] }];
    contents.before(volume, changes);
    volume.commit(changes);
  };
  for (let n = 0; n < 12; n += 1) {
    const ino = newFile(volume, `f${n}`);
    give(ino);
    for (const lost of sectors) {
      const opened = without(device, lost);
      if (opened !== undefined) expect([n, lost, contents.strange(opened)]).toEqual([n, lost, []]);
    }
    volume.release(volume.commit([{ kind: "set-extents", ino, filePage: 0, count: 30, extents: [] }]));
  }
  expect(volume.stats().checkpoints).toBeGreaterThan(1); // through both halves
});

test("no file shows what another one wrote, whichever sector of the metadata is lost, and whenever", async () => {
  let accepted = 0;
  await forSeedsInTurn(histories, async (random) => {
    const device = newDevice(30);
    const volume = Volume.open(device, { boot: 0 });
    const driver = new WritingDriver(volume, random, new Contents(device));
    for (let n = 0; n < 60; n += 1) {
      if (random.chance(0.3)) driver.overwrite(random);
      else driver.step();
      if (random.chance(0.3)) await volume.flush();
      if (random.chance(0.3)) await volume.reclaimed();
      for (const lost of sectors) {
        const opened = without(device, lost);
        if (opened === undefined) continue;
        accepted += 1;
        expect([n, lost, driver.contents.strange(opened)]).toEqual([n, lost, []]);
      }
    }
  });
  expect(accepted).toBeGreaterThan(histories * 60);
});
