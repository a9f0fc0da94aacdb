// The superblock: block 0, and a copy in block 1. Written when the volume is made or resized (Volume.resize), and again
// only to repair a copy.
//
// Invariants, checked before every write and after every read:
// - magic, version 1, block size 4096, the copy's own number, CRC-32C of the whole block
// - areas follow each other without gaps: superblocks 0 and 1, checkpoint A, checkpoint B, journal A, journal B, data
// - a checkpoint area has at least two blocks (header, payload), a journal half at least one
// - dataStart < blockCount < 2^32, so that block 0 and all metadata come before the first data block

import { assert } from "../base/assert";
import { crc32c } from "../base/crc32c";
import { UserError, exitCode } from "../base/errors";
import type { ValuesOf } from "../base/struct";
import { formatByteLength, pageSize, sectorSize, wholePages } from "../base/units";
import type { Step } from "./blockdevice";
import { decoded, formatVersion, superblockMagic, superblock_disk } from "./format";
import { tailBytes } from "./signatures";

export type SuperblockFields = ValuesOf<typeof superblock_disk>;
/** 0 is A, 1 is B: of checkpoints and of journal halves. */
export type Side = 0 | 1;
export const sideName = (side: Side): string => (side === 0 ? "A" : "B");
export const otherSide = (side: Side): Side => (side === 0 ? 1 : 0);

/** Blocks may be leased to a block view (lease.ts): who does not know would give them to another file. */
export const featureLeases = 1;
/** Required features that this version knows. */
export const knownRequired = featureLeases;
export const knownReadOnly = 0;

/** What every other part needs of the superblock. Blocks are 4096 bytes. */
export interface Geometry {
  readonly uuid: Buffer;
  /** Seed of every CRC of this volume: a record of an earlier volume on the same device is no record. */
  readonly seed: number;
  readonly blockCount: number;
  readonly dataStart: number;
  /** Blocks from here on are given to no file any more. */
  readonly dataEnd: number;
  /** First block of the checkpoint areas A and B. */
  readonly checkpoint: readonly [number, number];
  readonly checkpointBlocks: number;
  /** First block of the journal halves A and B. */
  readonly journal: readonly [number, number];
  /** In each half. */
  readonly journalSectors: number;
}

export interface AreaSizes {
  readonly checkpointBlocks: number;
  readonly journalBlocks: number;
}

const MiB = 2 ** 20;
export const volumeBytesMin = 8 * MiB;
const volumeBytesMax = (2 ** 32 - 1) * pageSize;

/**
 * Areas for a volume of `byteLength`: about a tenth of a small one, a hundredth of a large one, and at least so much that file data
 * begins behind what libblkid looks at (headBytes). A checkpoint of 4 MiB holds 19,000 files, a journal half of 4 MiB takes 8,000 small
 * commits between two checkpoints.
 */
export function areaSizes(byteLength: number): AreaSizes {
  const checkpoint = Math.max(1.25 * MiB, Math.min(byteLength / 32, 4 * MiB), Math.min(byteLength / 256, 256 * MiB));
  const journal = Math.max(0.75 * MiB, Math.min(byteLength / 64, 4 * MiB), Math.min(byteLength / 512, 8 * MiB));
  return { checkpointBlocks: wholePages(checkpoint), journalBlocks: wholePages(journal) };
}

/** The superblock of a new volume. Throws a UserError (usage) when `byteLength` is too small or too large. */
export function newSuperblock(name: string, byteLength: number, uuid: Buffer, created: number, sizes?: AreaSizes): SuperblockFields {
  if (byteLength < volumeBytesMin && sizes === undefined) {
    const least = formatByteLength(volumeBytesMin);
    throw new UserError(exitCode.usage, `cannot format ${name}: ${formatByteLength(byteLength)} is too small, give at least ${least}`);
  }
  if (byteLength > volumeBytesMax) {
    throw new UserError(exitCode.usage, `cannot format ${name}: ${formatByteLength(byteLength)} is too large, give less than 16 TiB`);
  }
  const { checkpointBlocks, journalBlocks } = sizes ?? areaSizes(byteLength);
  const made: SuperblockFields = {
    magic: superblockMagic, version: formatVersion, crc32c: 0, featuresRequired: 0, featuresReadOnly: 0,
    blockSize: pageSize, copy: 0, uuid, blockCount: wholePages(byteLength), checkpointBlocks, journalBlocks,
    checkpointA: 2, checkpointB: 2 + checkpointBlocks,
    journalA: 2 + 2 * checkpointBlocks, journalB: 2 + 2 * checkpointBlocks + journalBlocks,
    dataStart: 2 + 2 * checkpointBlocks + 2 * journalBlocks, created,
  };
  assert(keepsInvariants(made), "a new superblock keeps the invariants");
  return made;
}

/** The block of copy 0 or 1. */
export function encodeSuperblock(fields: SuperblockFields, copy: number): Buffer {
  assert(keepsInvariants(fields), "a superblock that is written keeps the invariants");
  const block = Buffer.alloc(pageSize);
  superblock_disk.encodeInto(block, 0, { ...fields, copy, crc32c: 0 });
  block.writeUInt32LE(crc32c(block), superblock_disk.offsets.crc32c);
  return block;
}

export function superblockStep(fields: SuperblockFields, copy: number): Step {
  return { kind: "write", offset: copy * pageSize, bytes: encodeSuperblock(fields, copy) };
}

export type SuperblockRead =
  | { readonly kind: "good"; readonly fields: SuperblockFields }
  | { readonly kind: "newer"; readonly version: number }
  | { readonly kind: "none" | "damaged" };

/** What block `copy` holds. */
export function decodeSuperblock(block: Buffer, copy: number): SuperblockRead {
  if (!block.subarray(0, superblockMagic.length).equals(superblockMagic)) return { kind: "none" };
  const stored = block.readUInt32LE(superblock_disk.offsets.crc32c);
  const zeroed = Buffer.from(block);
  zeroed.writeUInt32LE(0, superblock_disk.offsets.crc32c);
  const fields = crc32c(zeroed) === stored ? decoded(() => superblock_disk.decode(block)) : undefined;
  if (fields === undefined) return { kind: "damaged" };
  if (fields.version > formatVersion) return { kind: "newer", version: fields.version };
  return fields.copy === copy && keepsInvariants(fields) ? { kind: "good", fields } : { kind: "damaged" };
}

export function geometryOf(fields: SuperblockFields): Geometry {
  return {
    uuid: fields.uuid,
    seed: crc32c(fields.uuid),
    blockCount: fields.blockCount,
    dataStart: fields.dataStart,
    dataEnd: dataEndOf(fields),
    checkpoint: [fields.checkpointA, fields.checkpointB],
    checkpointBlocks: fields.checkpointBlocks,
    journal: [fields.journalA, fields.journalB],
    journalSectors: (fields.journalBlocks * pageSize) / sectorSize,
  };
}

/** What a deleted file left where libblkid looks would be taken for somebody else's. A seventh of a small one, which leaves the rarest places out. */
function dataEndOf({ dataStart, blockCount }: SuperblockFields): number {
  return blockCount - Math.min(wholePages(tailBytes), Math.floor((blockCount - dataStart) / 7));
}

function keepsInvariants(fields: SuperblockFields): boolean {
  const { checkpointBlocks, journalBlocks, checkpointA, checkpointB, journalA, journalB, dataStart, blockCount } = fields;
  return fields.version >= 1 && fields.blockSize === pageSize && checkpointBlocks >= 2 && journalBlocks >= 1
    && checkpointA === 2 && checkpointB === checkpointA + checkpointBlocks && journalA === checkpointB + checkpointBlocks
    && journalB === journalA + journalBlocks && dataStart === journalB + journalBlocks
    && dataStart < blockCount && blockCount < 2 ** 32;
}
