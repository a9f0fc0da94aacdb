// Making and opening: what is refused, in which words, with which exit code.

import { UserError, exitCode } from "#src/base/errors";
import { crc32c } from "#src/base/crc32c";
import { MemoryBlockDevice } from "../support/memory-device";
import { superblock_disk } from "#src/volume/format";
import { foreignSignature } from "#src/volume/signatures";
import { areaSizes, decodeSuperblock, encodeSuperblock, type SuperblockFields } from "#src/volume/superblock";
import { Volume } from "#src/volume/volume";
import { newFile, smallDevice } from "./small";

const MiB = 2 ** 20;

function refusal(body: () => unknown): { exit: number; message: string } {
  try {
    body();
  } catch (error) {
    if (error instanceof UserError) return { exit: error.exit, message: error.message };
    throw error;
  }
  return { exit: 0, message: "" };
}

function changeSuperblocks(device: MemoryBlockDevice, field: keyof typeof superblock_disk.offsets, value: number): void {
  for (const copy of [0, 1]) {
    const block = device.read(copy * 4096, 4096);
    block.writeUInt32LE(value, superblock_disk.offsets[field]);
    block.writeUInt32LE(0, superblock_disk.offsets.crc32c);
    block.writeUInt32LE(crc32c(block), superblock_disk.offsets.crc32c);
    device.poke(copy * 4096, block);
  }
}

test("Volume.format: too small says how much is needed", () => {
  expect(refusal(() => Volume.format(new MemoryBlockDevice(3 * MiB, { name: "disk.img" })))).toEqual({
    exit: exitCode.usage, message: "cannot format disk.img: 3 MiB is too small, give at least 8 MiB",
  });
  Volume.format(new MemoryBlockDevice(8 * MiB));
});

test("Volume.format: metadata is a tenth of a small volume, a hundredth of a large one", () => {
  for (const [size, share] of [[8 * MiB, 0.51], [256 * MiB, 0.1], [20 * 1024 * MiB, 0.011], [16 * 2 ** 40 - 4096, 0.001]] as const) {
    const { checkpointBlocks, journalBlocks } = areaSizes(size);
    expect((2 * (checkpointBlocks + journalBlocks) * 4096) / size).toBeLessThan(share);
    expect(2 + 2 * (checkpointBlocks + journalBlocks)).toBeGreaterThan(4 * MiB / 4096); // where LUKS2 may have its second header
  }
});

test("Volume.format: refuses what holds something else unless it is told to destroy it", () => {
  const device = new MemoryBlockDevice(16 * MiB, { name: "/dev/sdb1" });
  device.poke(1024 + 0x38, Buffer.from([0x53, 0xef]));
  expect(refusal(() => Volume.format(device))).toEqual({
    exit: exitCode.usage, message: "cannot format /dev/sdb1: it holds an ext2, ext3 or ext4 filesystem, give --force to destroy it",
  });
  Volume.format(device, { force: true });
  expect(foreignSignature(device)).toBeUndefined();
  expect(refusal(() => Volume.format(device)).message).toContain("it holds a swapfs volume");
});

test("Volume.format: refuses a read-only device", () => {
  expect(refusal(() => Volume.format(new MemoryBlockDevice(16 * MiB, { readOnly: true }))).message).toContain("it is read-only");
});

test("Volume.open: no volume, another filesystem, both superblocks damaged", () => {
  const device = new MemoryBlockDevice(16 * MiB, { name: "x.img" });
  expect(refusal(() => Volume.open(device, { boot: 0 }))).toEqual({
    exit: exitCode.mountFailed, message: "cannot open x.img: it holds no swapfs volume, name another device, or make one with swapfs mount --format",
  });
  device.poke(64 * 1024 + 64, Buffer.from("_BHRfS_M"));
  expect(refusal(() => Volume.open(device, { boot: 0 })).message).toContain("it holds a Btrfs filesystem, not a swapfs volume");
  Volume.format(device, { force: true });
  for (const copy of [0, 1]) device.poke(copy * 4096 + 40, Buffer.from([0xff, 0xff]));
  expect(refusal(() => Volume.open(device, { boot: 0 }))).toMatchObject({ exit: exitCode.damaged });
  expect(refusal(() => Volume.open(new MemoryBlockDevice(4096), { boot: 0 })).message).toContain("too few for a swapfs volume");
});

test("Volume.open: what was put over a part of a volume is refused, and nothing is written", () => {
  const other = new MemoryBlockDevice(16 * MiB);
  Volume.format(other);
  const cases: [string, (device: MemoryBlockDevice) => void, RegExp][] = [
    ["mkswap", (device) => device.poke(0, Buffer.concat([Buffer.alloc(4086), Buffer.from("SWAPSPACE2")])), /holds a swap area over a part/],
    ["an md member in block 1", (device) => device.poke(4096, Buffer.concat([Buffer.from("\xfc\x4e\x2b\xa9", "latin1"), Buffer.alloc(300)])), /holds a RAID member over a part/],
    ["zeros over block 0", (device) => device.poke(0, Buffer.alloc(4096)), /only the superblock's copy.*dd if=/],
    ["unknown bytes over block 0", (device) => device.poke(0, Buffer.alloc(4096, "?")), /block 0 is not ours/],
    ["a copy that says another time, and another length", (device) => {
      const { fields } = decodeSuperblock(device.read(4096, 4096), 1) as { fields: SuperblockFields };
      device.poke(4096, encodeSuperblock({ ...fields, created: fields.created - 1, blockCount: fields.blockCount - 9 }, 1));
    }, /two superblocks are of two volumes/],
    ["another volume's copy", (device) => device.poke(4096, other.read(4096, 4096)), /two superblocks are of two volumes/],
  ];
  for (const [what, put, says] of cases) {
    const device = smallDevice();
    put(device);
    const before = device.read(0, device.byteLength);
    expect([what, refusal(() => Volume.open(device, { boot: 0 }))]).toEqual([what, { exit: String(says).includes("over a part") ? exitCode.mountFailed : exitCode.damaged, message: expect.stringMatching(says) }]);
    expect(device.read(0, device.byteLength).equals(before)).toBe(true);
  }
});

test("Volume.open: the remedy for a block 0 that was wiped brings the volume back", () => {
  const device = smallDevice();
  device.poke(0, device.read(4096, 4096));
  expect(Volume.open(device, { boot: 0 }).warnings.join()).toContain("superblock 0 is damaged");
});

test("Volume.open: a newer version or unknown required features say so, and are never damage", () => {
  const device = smallDevice();
  changeSuperblocks(device, "version", 2);
  const newer = refusal(() => Volume.open(device, { boot: 0 }));
  expect(newer.exit).toBe(exitCode.mountFailed);
  expect(newer.message).toContain("its format version is 2, this swapfs knows 1; use a newer swapfs");
  changeSuperblocks(device, "version", 1);
  changeSuperblocks(device, "featuresRequired", 4);
  expect(refusal(() => Volume.open(device, { boot: 0 })).message).toContain("it uses features 0x4 that this swapfs does not know");
  changeSuperblocks(device, "featuresRequired", 0);
  changeSuperblocks(device, "featuresReadOnly", 1);
  expect(refusal(() => Volume.open(device, { boot: 0 })).message).toContain("features 0x1");
  expect(Volume.open(device, { readOnly: true }).inode(1)).toBeDefined();
});

test("Volume.open: a device that became shorter, and a read-only one", () => {
  const device = smallDevice();
  const short = new MemoryBlockDevice(device.byteLength - 4096);
  short.poke(0, device.read(0, short.byteLength));
  expect(refusal(() => Volume.open(short, { boot: 0 }))).toMatchObject({ exit: exitCode.damaged });
  expect(refusal(() => Volume.open(short, { boot: 0 })).message).toMatch(/the volume has .* the device only/);
  expect(refusal(() => Volume.open(smallDevice().clone({ readOnly: true }), { boot: 0 })).message).toContain("it is read-only");
});

test("Volume.format: a volume made over another one takes none of its records", () => {
  const device = smallDevice();
  const volume = Volume.open(device, { boot: 0 });
  for (let n = 0; n < 5; n += 1) newFile(volume, `old${n}`);
  Volume.format(device, { force: true, areas: { checkpointBlocks: 72, journalBlocks: 2 } });
  expect(Volume.open(device, { boot: 0 }).statfs().inodes).toBe(1);
});
