// Power cuts: after every prefix of a random history's writes, the last one torn at every sector, and with unflushed
// writes lost in any order, the volume opens, fsck finds it sound, it is what it was after one of the commits, and
// nothing that was flushed is missing. Half of the histories write their checkpoints in steps, with commits between them.

import { checkDevice, isSound } from "#src/volume/fsck";
import { MemoryBlockDevice, cut } from "../support/memory-device";
import type { DeviceStep as Step } from "#src/volume/blockdevice";
import { Volume } from "#src/volume/volume";
import { sectorSize } from "#src/base/units";
import { seedsFor } from "../support/seeds";
import { dumpVolume } from "../volume/model";
import { Driver } from "../volume/operations";
import { Random, Turns, forSeedsInTurn } from "../volume/random";
import { smallAreas, smallDevice } from "../volume/small";

const { count: histories, single } = seedsFor(160, "SWAPFS_CUTS");
const commits = 16;
jest.setTimeout(30 * 60_000);

interface History {
  readonly base: MemoryBlockDevice;
  readonly steps: readonly Step[];
  /** What the volume was after record `sequence`. */
  readonly dumps: ReadonlyMap<number, string>;
  /** For each step: the record up to which everything was flushed before it. */
  readonly flushed: readonly number[];
}

let images = 0;

test("every prefix and every torn write of hundreds of histories opens, is sound, and holds what was flushed", async () => {
  await forSeedsInTurn(histories, async (random) => {
    const history = await makeHistory(random);
    const device = history.base.clone();
    for (const [index, step] of history.steps.entries()) {
      if (step.kind === "flush") continue;
      const sectors = random.shuffle(changedSectors(device, step));
      for (const at of sectors) {
        device.poke(step.offset + at, step.bytes.subarray(at, at + sectorSize));
        checkCut(device, history, index);
      }
    }
    checkReopen(device, history);
  });
  if (!single) expect(images).toBeGreaterThan(histories * commits);
});

test("unflushed writes that reach the device in any order, or never, lose nothing that was flushed", async () => {
  await forSeedsInTurn(histories / 4, async (random) => {
    const history = await makeHistory(random);
    for (let round = 0; round < 6; round += 1) {
      const count = 1 + random.below(history.steps.length);
      const device = cut(history.base, history.steps.slice(0, count), random.next);
      checkCut(device, history, count - 1);
      checkEitherCheckpoint(device, history, count - 1);
      checkReopen(device, history);
    }
  });
});

test("a volume that was cut goes on: cut again, and damaged, while it repairs itself", async () => {
  await forSeedsInTurn(histories / 4, async (random) => {
    let history = await makeHistory(random);
    let count = 1 + random.below(history.steps.length);
    let device = cut(history.base, history.steps.slice(0, count), random.next);
    for (let round = 0; round < 3; round += 1) {
      history = await continueHistory(device, random, { dumps: history.dumps, durable: history.flushed[count - 1]! });
      count = 1 + random.below(history.steps.length);
      device = cut(history.base, history.steps.slice(0, count), random.next);
      checkCut(device, history, count - 1);
      checkEitherCheckpoint(device, history, count - 1);
      if (random.chance(0.5) && bothGood(device)) device = withDamaged(device, random.pick([0, 1]));
    }
  });
});

function makeHistory(random: Random): Promise<History> {
  const device = smallDevice();
  return record(device, { dumps: new Map(), durable: 0 }, random, (volume) => new Driver(volume, random));
}

/** What a history before the cut knows: damage before the repair is done may lead back to a state of that one. */
interface Earlier {
  readonly dumps: ReadonlyMap<number, string>;
  /** everything up to this record was flushed */
  readonly durable: number;
}

/** Opens what a cut left, recording from there; the model begins with what was found. */
function continueHistory(device: MemoryBlockDevice, random: Random, earlier: Earlier): Promise<History> {
  return record(device, earlier, random, (volume) => {
    const driver = new Driver(volume, random);
    for (const inode of volume.inodes()) {
      const { target, parent } = inode;
      driver.model.apply([{ kind: "put-inode", ino: inode.ino, attributes: inode, target, parent }]);
      if (inode.extents.length > 0) {
        const extents = [...inode.extents];
        driver.model.apply([{ kind: "set-extents", ino: inode.ino, filePage: 0, count: inode.extents.endPage, extents }]);
      }
      for (const [name, value] of inode.xattrs) driver.model.apply([{ kind: "put-xattr", ino: inode.ino, name, value }]);
      for (const [name, entry] of inode.entries ?? []) driver.model.apply([{ kind: "put-entry", parent: inode.ino, name, ...entry }]);
    }
    return driver;
  });
}

class RecordingDevice extends MemoryBlockDevice {
  readonly flushed: number[] = [];
  /** Of the last record that was committed. */
  sequence = (): number => 0;
  durable = 0;
  turn: () => Promise<void> = async () => undefined;

  override write(offset: number, bytes: Uint8Array): void {
    super.write(offset, bytes);
    this.flushed.push(this.durable);
  }

  override flush(): void {
    super.flush();
    this.durable = this.sequence();
    this.flushed.push(this.durable);
  }

  override async flushAsync(): Promise<void> {
    await this.turn();
    this.flush();
  }
}

async function record(start: MemoryBlockDevice, earlier: Earlier, random: Random, drive: (volume: Volume) => Driver): Promise<History> {
  const base = start.clone();
  const device = start.clone({ record: true }, RecordingDevice);
  const before = Volume.open(start, { readOnly: true });
  device.durable = earlier.durable;
  const found = before.stats().sequence;
  const dumps = new Map([...earlier.dumps].filter(([sequence]) => sequence < found)).set(found, dumpVolume(before));
  const turns = random.chance(0.5) ? new Turns() : undefined;
  const volume = Volume.open(device, { boot: 0, ...(turns && { steps: { bytes: 1 + random.below(1500), turn: turns.turn } }) });
  device.sequence = () => volume.stats().sequence;
  device.turn = turns?.turn ?? device.turn;
  const driver = drive(volume);
  let noted = found;
  const note = (): void => { // the records since the last one, of which a flush may have added one
    for (const { sequence } = volume.stats(); noted <= sequence; noted += 1) dumps.set(noted, driver.model.dump());
  };
  note();
  driver.beforeCommit = note;
  for (let n = 0; n < (turns === undefined ? commits : 2 * commits); n += 1) {
    driver.step();
    note();
    expect(dumpVolume(volume)).toBe(driver.model.dump());
    if (random.chance(turns === undefined ? 0.15 : 0.03)) volume.checkpoint();
    while (turns !== undefined && random.chance(0.6)) await turns.take();
    note();
  }
  if (turns !== undefined && random.chance(0.2)) volume.close();
  note();
  return { base, steps: [...device.steps], dumps, flushed: [...device.flushed] }; // what a flush under way adds is not noted any more
}

/** Offsets in `step` of sectors that differ from what the device holds. */
function changedSectors(device: MemoryBlockDevice, step: Extract<Step, { kind: "write" }>): number[] {
  const changed: number[] = [];
  for (let at = 0; at < step.bytes.length; at += sectorSize) {
    const now = device.read(step.offset + at, sectorSize);
    if (now.compare(step.bytes, at, at + sectorSize) !== 0) changed.push(at);
  }
  return changed;
}

function checkCut(device: MemoryBlockDevice, history: History, index: number): void {
  images += 1;
  const volume = Volume.open(device, { readOnly: true });
  const { sequence } = volume.stats();
  if (sequence < history.flushed[index]!) throw new Error(`step ${index}: record ${history.flushed[index]} was flushed, ${sequence} was found`);
  const dump = history.dumps.get(sequence);
  if (dumpVolume(volume) !== dump) throw new Error(`step ${index}: the volume is not what it was after record ${sequence}`);
  const wrong = volume.check().findings.filter((finding) => finding.severity === "error");
  if (wrong.length > 0) throw new Error(`step ${index}: fsck says ${JSON.stringify(wrong)}`);
}

/** While both checkpoints are good, either may be damaged, and what was flushed is still there. */
function checkEitherCheckpoint(device: MemoryBlockDevice, history: History, index: number): void {
  if (!bothGood(device)) return;
  for (const side of [0, 1]) checkCut(withDamaged(device, side), history, index);
}

function bothGood(device: MemoryBlockDevice): boolean {
  return !checkDevice(device).findings.some((finding) => finding.kind === "checkpoint");
}

function withDamaged(device: MemoryBlockDevice, side: number): MemoryBlockDevice {
  const damaged = device.clone();
  const head = (2 + side * smallAreas.checkpointBlocks) * 4096;
  damaged.poke(head + 20, Buffer.from([device.read(head + 20, 1)[0]! ^ 0x10]));
  return damaged;
}

/** Opening for writing repairs, keeps the state, and leaves nothing for fsck to find. */
function checkReopen(device: MemoryBlockDevice, history: History): void {
  const before = Volume.open(device, { readOnly: true });
  const volume = Volume.open(device, { boot: 0 });
  if (dumpVolume(volume) !== history.dumps.get(before.stats().sequence)) throw new Error("opening changed the volume");
  volume.close();
  const report = checkDevice(device);
  const wrong = report.findings.filter((finding) => finding.severity !== "note");
  if (wrong.length > 0 || !isSound(report)) throw new Error(`after a repair fsck says ${JSON.stringify(wrong)}`);
}
