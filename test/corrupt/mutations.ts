// Damage that looks whole: a mutated volume whose checksums are made right again, so that what is wrong is found by whoever
// decodes it and not by its CRC.

import { crc32c } from "#src/base/crc32c";
import { pageSize, sectorSize } from "#src/base/units";
import { checkpoint_disk, checkpointMagic, record_disk, recordMagic, superblock_disk } from "#src/volume/format";
import type { MemoryBlockDevice } from "../support/memory-device";
import type { Random } from "../volume/random";
import { dataStart, smallAreas, uuid } from "../volume/small";

const seed = crc32c(uuid);
const checkpointAt = (side: number): number => (2 + side * smallAreas.checkpointBlocks) * pageSize;
const journalAt = (half: number): number => (2 + 2 * smallAreas.checkpointBlocks + half * smallAreas.journalBlocks) * pageSize;
const journalBytes = smallAreas.journalBlocks * pageSize;
const capacity = (smallAreas.checkpointBlocks - 1) * pageSize;

/** One to four mutations, mostly of what is in use, then the checksums in most cases. */
export function mutate(device: MemoryBlockDevice, random: Random): void {
  for (let n = 1 + random.below(4); n > 0; n -= 1) random.pick([bit, byte, word, word, word, move, swapBlocks])(device, random);
  if (random.chance(0.9)) repairSums(device);
  if (random.chance(0.03)) device.byteLength = random.pick([0, 100, 2 * pageSize, random.below(device.byteLength), device.byteLength - 1]);
}

/** A byte that something is told by. */
function place(device: MemoryBlockDevice, random: Random): number {
  switch (random.below(8)) {
    case 0: return random.below(2) * pageSize + random.below(superblock_disk.size);
    case 1: return checkpointAt(random.below(2)) + random.below(checkpoint_disk.size);
    case 2: return random.below(dataStart * pageSize);
    case 3: case 4: return journalAt(random.below(2)) + random.below(journalBytes);
    default: {
      const at = checkpointAt(random.below(2));
      const used = device.read(at, pageSize).readUInt32LE(checkpoint_disk.offsets.payloadBytes);
      return at + pageSize + random.below(Math.max(1, Math.min(used, capacity)));
    }
  }
}

function bit(device: MemoryBlockDevice, random: Random): void {
  const at = place(device, random);
  device.poke(at, Buffer.from([device.read(at, 1)[0]! ^ (1 << random.below(8))]));
}

function byte(device: MemoryBlockDevice, random: Random): void {
  device.poke(place(device, random), Buffer.from([random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)])]));
}

function word(device: MemoryBlockDevice, random: Random): void {
  const at = place(device, random);
  const bytes = Buffer.alloc(random.pick([4, 8]));
  bytes.writeUInt32LE(random.pick([0, 1, 2, 3, 7, 8, 24, 512, 4096, 0x7fff_ffff, 0xffff_ffff, dataStart - 1, dataStart, dataStart + 192, random.below(400)]));
  if (bytes.length === 8) bytes.writeUInt32LE(random.pick([0, 0, 1, 0x1f_ffff, 0xffff_ffff]), 4);
  device.poke(at - (at % 4), bytes);
}

/** Bytes that belong elsewhere. */
function move(device: MemoryBlockDevice, random: Random): void {
  const length = 8 * (1 + random.below(16));
  const [from, to] = [place(device, random), place(device, random)];
  device.poke(to - (to % 8), device.read(from - (from % 8), length));
}

function swapBlocks(device: MemoryBlockDevice, random: Random): void {
  const [a, b] = [place(device, random), place(device, random)].map((at) => at - (at % pageSize));
  const [atA, atB] = [device.read(a!, pageSize), device.read(b!, pageSize)];
  device.poke(a!, atB);
  device.poke(b!, atA);
}

function repairSums(device: MemoryBlockDevice): void {
  for (const copy of [0, 1]) sum(device, copy * pageSize, pageSize, superblock_disk.offsets.crc32c, 0);
  for (const side of [0, 1]) {
    repairCheckpoint(device, checkpointAt(side));
    repairJournal(device, journalAt(side), device.read(checkpointAt(side), pageSize).readUInt32LE(checkpoint_disk.offsets.previous));
  }
}

function repairCheckpoint(device: MemoryBlockDevice, at: number): void {
  const { offsets } = checkpoint_disk;
  const head = device.read(at, pageSize);
  if (head.readUInt32LE(0) !== checkpointMagic) return;
  const bytes = head.readUInt32LE(offsets.payloadBytes);
  if (bytes <= capacity && head.readUInt32LE(offsets.payloadBytes + 4) === 0) {
    head.writeUInt32LE(crc32c(device.read(at + pageSize, bytes), seed), offsets.payloadCrc32c);
    device.poke(at, head);
  }
  sum(device, at, pageSize, offsets.crc32c, seed);
}

/** Each record follows the one before again. */
function repairJournal(device: MemoryBlockDevice, start: number, previous: number): void {
  const { offsets } = record_disk;
  for (let at = 0; at + record_disk.size <= journalBytes; ) {
    const head = device.read(start + at, record_disk.size);
    const bytes = head.readUInt32LE(offsets.bytes);
    if (head.readUInt32LE(0) !== recordMagic || bytes < record_disk.size || at + bytes > journalBytes) return;
    head.writeUInt32LE(previous, offsets.previous);
    device.poke(start + at, head);
    previous = sum(device, start + at, bytes, offsets.crc32c, seed);
    at += Math.ceil(bytes / sectorSize) * sectorSize;
  }
}

function sum(device: MemoryBlockDevice, at: number, length: number, field: number, from: number): number {
  const bytes = device.read(at, length);
  bytes.writeUInt32LE(0, field);
  const crc = crc32c(bytes, from);
  bytes.writeUInt32LE(crc, field);
  device.poke(at, bytes);
  return crc;
}
