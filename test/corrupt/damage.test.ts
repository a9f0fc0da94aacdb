// Damage: every byte of every structure, flipped. The volume opens as it was and says what is damaged, or refuses with
// exit code 11; never anything else, and never quietly something old.

import { UserError, exitCode } from "#src/base/errors";
import type { ExtentMap } from "#src/volume/extents";
import { checkDevice, isSound, type FindingKind } from "#src/volume/fsck";
import type { MemoryBlockDevice } from "../support/memory-device";
import { record_disk, superblock_disk, checkpoint_disk } from "#src/volume/format";
import { Volume } from "#src/volume/volume";
import { dumpVolume } from "../volume/model";
import { Driver } from "../volume/operations";
import { Random, forSeeds } from "../volume/random";
import { fill, newFile, smallAreas, smallDevice, attributes } from "../volume/small";

const page = 4096;
const checkpointAt = (side: number): number => (2 + side * smallAreas.checkpointBlocks) * page;
const journalAt = (half: number): number => (2 + 2 * smallAreas.checkpointBlocks + half * smallAreas.journalBlocks) * page;

interface Subject {
  readonly device: MemoryBlockDevice;
  readonly dump: string;
}

/** A volume that has seen checkpoints and was cut: both checkpoints good, records in both halves. */
function subject(): Subject {
  const device = smallDevice();
  const volume = Volume.open(device, { boot: 0 });
  const driver = new Driver(volume, new Random(5));
  for (let n = 0; n < 20; n += 1) driver.step();
  volume.checkpoint();
  for (let n = 0; n < 4; n += 1) driver.step();
  return { device, dump: dumpVolume(volume) };
}

function flip(device: MemoryBlockDevice, offset: number, mask: number): MemoryBlockDevice {
  const damaged = device.clone();
  damaged.poke(offset, Buffer.from([device.read(offset, 1)[0]! ^ mask]));
  return damaged;
}

/** Opens as it was, with a warning, and a mount repairs it. */
function expectRepaired({ dump }: Subject, damaged: MemoryBlockDevice, words: RegExp): void {
  const report = checkDevice(damaged);
  if (!isSound(report) || report.findings.length === 0) throw new Error(`fsck says ${JSON.stringify(report.findings)}`);
  const volume = Volume.open(damaged, { boot: 0 });
  if (!words.test(volume.warnings.join("\n"))) throw new Error(`the warnings are ${JSON.stringify(volume.warnings)}`);
  if (dumpVolume(volume) !== dump) throw new Error("the volume is not what it was");
  volume.close();
  const after = checkDevice(damaged).findings.filter((finding) => finding.severity !== "note");
  if (after.length > 0) throw new Error(`after the repair fsck says ${JSON.stringify(after)}`);
}

function expectDamaged(body: () => unknown, words: RegExp): void {
  let thrown: unknown;
  try {
    body();
  } catch (error) {
    thrown = error;
  }
  if (!(thrown instanceof UserError)) throw new Error(`a UserError was expected, not ${String(thrown)}`);
  expect([thrown.exit, thrown.message]).toEqual([exitCode.damaged, expect.stringMatching(words)]);
  expect(thrown.message).toContain("swapfs fsck");
}

test("a flipped bit anywhere in a superblock: the other copy is used, and this one written again", () => {
  const whole = subject();
  const random = new Random(1);
  for (const copy of [0, 1]) {
    for (let at = 0; at < superblock_disk.size + 40; at += 1) {
      expectRepaired(whole, flip(whole.device, copy * page + at, 1 << random.below(8)), new RegExp(`superblock ${copy} is damaged`));
    }
  }
});

test("a flipped bit anywhere in a checkpoint: the other one and the journal hold the same", () => {
  const whole = subject();
  const random = new Random(2);
  for (const side of [0, 1]) {
    const words = new RegExp(`checkpoint ${"AB"[side]} is damaged or was cut short`);
    const start = checkpointAt(side);
    const bytes = whole.device.read(start, page).readUInt32LE(checkpoint_disk.offsets.payloadBytes);
    const places = Array.from({ length: checkpoint_disk.size + 20 }, (_, at) => at);
    for (let n = 0; n < 200; n += 1) places.push(page + random.below(bytes));
    for (const at of places) expectRepaired(whole, flip(whole.device, start + at, 1 << random.below(8)), words);
  }
});

test("both checkpoints damaged: refused with exit 11, fsck says so, nothing is written", () => {
  const { device } = subject();
  const damaged = flip(flip(device, checkpointAt(0) + 30, 1), checkpointAt(1) + page + 5, 0x80);
  const before = damaged.read(0, damaged.byteLength);
  expectDamaged(() => Volume.open(damaged, { boot: 0 }), /both checkpoints are damaged/);
  expect(checkDevice(damaged).findings).toMatchObject([{ severity: "error", kind: "checkpoint" }]);
  expect(damaged.read(0, damaged.byteLength).equals(before)).toBe(true);
});

test("a flipped bit in a record that was flushed: refused with exit 11, and opened by who accepts the loss", async () => {
  const device = smallDevice();
  const volume = Volume.open(device, { boot: 0 });
  for (const name of ["a", "b", "c"]) newFile(volume, name);
  await volume.flush();
  newFile(volume, "later");
  const random = new Random(3);
  // Sector 0 holds the record of the opening, 1 to 3 those of a, b and c.
  for (let at = 0; at < record_disk.size + 120; at += 1) {
    const damaged = flip(device, journalAt(0) + 2 * 512 + at, 1 << random.below(8));
    expectDamaged(() => Volume.open(damaged, { boot: 0 }), /journal record 3 is damaged and 2 follow it/);
    if (at % 16 !== 0) continue;
    expect(isSound(checkDevice(damaged))).toBe(false);
    expect(Volume.open(damaged, { readOnly: true }).warnings.join()).toContain("record 3 is damaged");
    expect(checkDevice(damaged).findings.map(({ message }) => message)).toEqual([
      "journal record 3 is damaged, 2 later records are lost: every change from 2023-11-14T22:13:20.000Z to 2023-11-14T22:13:20.000Z"
      + " of the files named here, and what 1 unreadable records changed, perhaps of others",
      "lost: what changed in / (inode 1)", "lost: what changed in /c (inode 4, new)", "lost: what changed in /later (inode 5, new)",
    ]);
    const accepted = Volume.open(damaged, { boot: 0, acceptLoss: true });
    expect([...accepted.inode(1)!.entries!.keys()]).toEqual(["a"]);
    accepted.close();
    expect(checkDevice(damaged).findings).toEqual([]);
  }
});

test("a record that was not flushed and did not arrive: what came before is there, with a warning", () => {
  const device = smallDevice();
  const volume = Volume.open(device, { boot: 0 });
  for (const name of ["a", "b", "c"]) newFile(volume, name);
  const damaged = flip(device, journalAt(0) + 2 * 512 + 50, 4);
  const opened = Volume.open(damaged, { boot: 0 });
  expect(opened.warnings.join()).toContain("journal record 3 was not flushed, 1 later records are lost");
  expect([...opened.inode(1)!.entries!.keys()]).toEqual(["a"]);
});

test("records and checkpoints in the wrong place are not taken for others", () => {
  const { device, dump } = subject();
  forSeeds(100, (random) => {
    const misdirected = device.clone();
    const sector = device.read(journalAt(random.below(2)) + 512 * random.below(16), 512);
    const to = journalAt(random.below(2)) + 512 * random.below(16);
    if (device.read(to, 512).some((byte) => byte !== 0)) return;
    misdirected.poke(to, sector);
    const opened = Volume.open(misdirected, { readOnly: true });
    if (dumpVolume(opened) !== dump) throw new Error("a misdirected record was applied");
  });
  const swapped = device.clone();
  swapped.poke(checkpointAt(0), device.read(checkpointAt(1), page));
  swapped.poke(page, device.read(0, page));
  expect(checkDevice(swapped).findings.map((finding) => finding.kind)).toEqual(expect.arrayContaining(["superblock", "checkpoint"]));
  expect(dumpVolume(Volume.open(swapped, { boot: 0 }))).toBe(dump);
});

test("random damage of whole sectors of the metadata: as it was, or before unflushed commits, or refused", () => {
  forSeeds(300, (random) => {
    const device = smallDevice();
    const volume = Volume.open(device, { boot: 0 });
    const dumps = [dumpVolume(volume)];
    const driver = new Driver(volume, random);
    for (let n = 0; n < 12; n += 1) {
      driver.step();
      dumps.push(dumpVolume(volume));
      if (random.chance(0.2)) volume.checkpoint();
    }
    for (let n = 1 + random.below(3); n > 0; n -= 1) {
      const sector = Buffer.from(Array.from({ length: 512 }, () => random.below(256)));
      device.poke(512 * random.below((2 + 2 * smallAreas.checkpointBlocks + 4) * 8), random.chance(0.5) ? sector : Buffer.alloc(512));
    }
    try {
      const opened = Volume.open(device, { boot: 0 });
      if (!dumps.includes(dumpVolume(opened))) throw new Error("the volume is what it never was");
      if (opened.check().findings.some((finding) => finding.severity === "error")) throw new Error("fsck finds errors");
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      expect(error.exit).toBe(exitCode.damaged);
    }
  });
});

test("a record whose CRC is right but that does not apply: refused with exit 11, not a crash", () => {
  const device = smallDevice();
  const volume = Volume.open(device, { boot: 0 });
  const ino = newFile(volume, "a");
  // The state is changed behind the volume's back, so that the next record makes no sense to a replay.
  const entries = volume.inode(1)!.entries as Map<string, { ino: number; type: number }>;
  entries.set("ghost", { ino, type: 8 });
  volume.commit([{ kind: "drop-entry", parent: 1, name: "ghost" }, { kind: "put-inode", ino, attributes: attributes(0o100600) }]);
  expectDamaged(() => Volume.open(device, { boot: 0 }), /does not apply/);
});

test("blocks outside the data area, or of two files that do not share them: not opened for writing, but read", () => {
  const at = (devicePage: number, state: "written" | "shared" = "written") => [{ filePage: 0, devicePage, count: 2, state }];
  const cases: [string, (own: number) => ReturnType<typeof at>, FindingKind][] = [
    ["the journal", () => at(journalAt(0) / page), "extent-outside"],
    ["the superblock's copy and checkpoint A", () => at(1), "extent-outside"],
    ["beyond the end", () => at(smallDevice().byteLength / page - 1), "extent-outside"],
    ["another file's", (own) => at(own), "extent-overlap"],
    ["another file's, called shared by one of the two", (own) => at(own, "shared"), "extent-overlap"],
  ];
  for (const [what, extents, kind] of cases) {
    const device = smallDevice();
    const volume = Volume.open(device, { boot: 0 });
    fill(volume, newFile(volume, "a"), 0, 2);
    const own = [...[...volume.inodes()].at(-1)!.extents][0]!.devicePage;
    const ino = newFile(volume, "b");
    // Behind the volume's back: a commit would not take them.
    (volume.inode(ino)!.extents as ExtentMap).replace(0, 2, extents(own));
    volume.close();
    const before = device.read(0, device.byteLength);
    expectDamaged(() => Volume.open(device, { boot: 0 }), /files own blocks that are not theirs.*--format --force/);
    expect(Volume.open(device, { readOnly: true }).whyReadOnly).toMatchObject({ exit: exitCode.damaged });
    expect([what, device.read(0, device.byteLength).equals(before)]).toEqual([what, true]);
    expect([...Volume.open(device, { readOnly: true }).inode(1)!.entries!.keys()]).toEqual(["a", "b"]);
    expect(checkDevice(device).findings).toMatchObject([{ severity: "error", kind }]);
  }
});

test("who accepts the loss is not shown what a lost record's file wrote into a block that another one had", async () => {
  const device = smallDevice();
  const volume = Volume.open(device, { boot: 0 });
  const [a, b] = [newFile(volume, "a"), newFile(volume, "b")];
  fill(volume, a, 0, 4);
  fill(volume, b, 0, 2);
  await volume.flush();
  const kept = [...volume.inode(b)!.extents][0]!;
  const free = [...volume.inode(a)!.extents].map(({ devicePage, count }) => ({ devicePage, count }));
  const lost = volume.stats().journalBytes;
  volume.release(volume.commit([{ kind: "set-extents", ino: a, filePage: 0, count: 4, extents: [] }]));
  await volume.flush();
  await volume.reclaimed();
  const secret = newFile(volume, "secret");
  for (const { devicePage, count } of free) expect(volume.adopt({ page: devicePage, count })).toBe(true);
  const extents = free.map((run) => ({ ...run, filePage: 0, state: "written" as const }));
  expect(extents).toHaveLength(1);
  volume.commit([{ kind: "set-extents", ino: secret, filePage: 0, count: 4, extents }]);
  await volume.flush();
  expect(device.read(journalAt(0) + lost, 4).readUInt32LE()).not.toBe(0);
  const damaged = flip(device, journalAt(0) + lost + 40, 1);
  let deaths = 0;
  for (let whole = false; !whole; deaths += 1) {
    const cut = damaged.clone();
    cut.writesLeft = deaths;
    try {
      Volume.open(cut, { boot: 0, acceptLoss: true }).close();
      whole = true;
    } catch {
      cut.writesLeft = Infinity; // it died there
    }
    for (const acceptLoss of [false, true]) {
      try {
        const again = Volume.open(cut.clone(), { boot: 0, acceptLoss });
        expect([deaths, [...again.inode(a)!.extents].map(({ state }) => state)]).toEqual([deaths, ["unwritten"]]);
      } catch (error) {
        if (acceptLoss || !(error instanceof UserError)) throw error;
      }
    }
  }
  expect(deaths).toBeGreaterThan(5);
  const accepted = Volume.open(damaged, { boot: 0, acceptLoss: true });
  expect([...accepted.inode(a)!.extents].map(({ state }) => state)).toEqual(["unwritten"]);
  expect([...accepted.inode(b)!.extents]).toEqual([kept]);
  accepted.close();
  expect([...Volume.open(damaged, { readOnly: true }).inode(a)!.extents].map(({ state }) => state)).toEqual(["unwritten"]);
  expect(checkDevice(damaged).findings).toEqual([]);
});

test("who accepts the loss keeps what an fsync before it answered for, whatever boot the machine is in", async () => {
  const device = smallDevice();
  const volume = Volume.open(device, { boot: 1 });
  const a = newFile(volume, "a");
  fill(volume, a, 0, 4);
  await volume.flush();
  const lost = volume.stats().journalBytes;
  newFile(volume, "lost");
  newFile(volume, "later");
  await volume.flush();
  newFile(volume, "tells that all of it was durable");
  await volume.flush();
  const damaged = flip(device, journalAt(0) + lost + 40, 1);
  expectDamaged(() => Volume.open(damaged.clone(), { boot: 2 }), /is damaged and/);
  const accepted = Volume.open(damaged, { boot: 2, acceptLoss: true });
  expect([...accepted.inode(a)!.extents].map(({ state, count }) => [state, count])).toEqual([["written", 4]]);
});
