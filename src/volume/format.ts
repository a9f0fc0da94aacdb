// The volume's structures on disk, little-endian, as drawn in docs/format.md.

import { AssertionError, assert } from "../base/assert";
import { Struct, bytes, u16, u32, u64, type Field } from "../base/struct";

const high = 2 ** 32;

/** A u64 on disk whose value is at most 2^53 - 1: page numbers, byte lengths, inode numbers. Avoids a bigint for each. */
export const u53: Field<number> = {
  size: 8, align: 8,
  read: (from, at) => {
    const value = from.readUInt32LE(at) + from.readUInt32LE(at + 4) * high;
    assert(value <= Number.MAX_SAFE_INTEGER, "a u53 on disk fits a double exactly");
    return value;
  },
  write: (to, at, value) => {
    assert(Number.isSafeInteger(value) && value >= 0, "a u53 on disk is a safe integer, not negative");
    to.writeUInt32LE(value >>> 0, at);
    to.writeUInt32LE(Math.floor(value / high), at + 4);
  },
};

/** Seconds since 1970, negative before. */
export const i53: Field<number> = {
  size: 8, align: 8,
  read: (from, at) => {
    const value = from.readInt32LE(at + 4) * high + from.readUInt32LE(at);
    assert(Number.isSafeInteger(value), "an i53 on disk is a safe integer");
    return value;
  },
  write: (to, at, value) => {
    assert(Number.isSafeInteger(value), "an i53 on disk is a safe integer");
    to.writeUInt32LE(value >>> 0, at);
    to.writeInt32LE(Math.floor(value / high), at + 4);
  },
};

/** undefined: a field holds what nobody writes there, whatever the CRC says. */
export function decoded<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error;
    return undefined;
  }
}

export const formatVersion = 1;
export const superblockMagic = Buffer.from("swapfs\r\n", "latin1");
export const checkpointMagic = 0x6b706373; // "scpk"
export const recordMagic = 0x636a7773; // "swjc"

export const superblock_disk = new Struct("superblock", {
  magic: bytes(8),
  version: u32,
  crc32c: u32, // of the block with this field 0
  featuresRequired: u32, // unknown bit: do not open
  featuresReadOnly: u32, // unknown bit: open read-only at most
  blockSize: u32,
  copy: u32, // 0 in block 0, 1 in block 1
  uuid: bytes(16),
  blockCount: u53,
  checkpointBlocks: u53, // length of each area, its header block included
  journalBlocks: u53, // length of each half
  checkpointA: u53, // first block of each area
  checkpointB: u53,
  journalA: u53,
  journalB: u53,
  dataStart: u53,
  created: i53, // seconds since 1970
});

export const checkpoint_disk = new Struct("checkpoint", {
  magic: u32,
  crc32c: u32, // of the block with this field 0, seeded with the volume
  version: u16,
  side: u16, // 0 for A, 1 for B
  flags: u32, // checkpointClean, checkpointUndiscarded
  sequence: u53, // of the last record that it contains
  nextIno: u53,
  payloadBytes: u53,
  payloadCrc32c: u32,
  previous: u32, // crc32c of the last record that it contains: the chain goes on
});
export const checkpointClean = 1; // written by close(): no record was lost after it
export const checkpointUndiscarded = 2; // with that: not all that is free had been discarded

export const record_disk = new Struct("record", {
  magic: u32,
  crc32c: u32, // of the record with this field 0, seeded with the volume
  version: u16,
  half: u16, // 0 for A, 1 for B
  sector: u32, // of the half, at which it begins
  sequence: u53,
  bytes: u32, // head and changes
  previous: u32, // crc32c of the record before: a record left over from before a crash does not follow a new one
  session: u64, // of the request that it answers; without one: the boot of the machine, 0 not known
  unique: u64, // of that request, 0 none
  resultIno: u53,
  nextIno: u53,
  durable: u53, // sequence up to which records were known to be durable when this one was written
});

/** Every item of a record or checkpoint payload begins with this; `bytes` is a multiple of 8 and counts the head. */
export const item_disk = new Struct("item", { kind: u16, reserved: u16, bytes: u32, ino: u53 });

/** By Change["kind"]; `request` only in a checkpoint. */
export const itemKind = {
  "put-inode": 1, "drop-inode": 2, "put-entry": 3, "drop-entry": 4, "set-extents": 5, "put-xattr": 6, "drop-xattr": 7, request: 8,
} as const;

export const inode_disk = new Struct("inode", {
  mode: u32, uid: u32, gid: u32, nlink: u32,
  size: u53,
  parent: u53, // of a directory, else 0
  rdev: u32,
  targetBytes: u32, // of a symlink: that many bytes follow; 0 none
  atime: i53, mtime: i53, ctime: i53,
  atimeNsec: u32, mtimeNsec: u32, ctimeNsec: u32,
  padding: u32,
});

export const entry_disk = new Struct("entry", { ino: u53, type: u16, nameBytes: u16, padding: u32 });
export const extents_disk = new Struct("extents", { filePage: u53, count: u53, extents: u32, padding: u32 });
export const extent_disk = new Struct("extent", { filePage: u53, devicePage: u53, count: u32, state: u32 });
export const xattr_disk = new Struct("xattr", { nameBytes: u16, padding: u16, valueBytes: u32 });
export const request_disk = new Struct("request", { session: u64, unique: u64 });

export const extentStates = ["written", "unwritten", "shared"] as const;

export function roundUp8(value: number): number {
  return (value + 7) & ~7;
}
