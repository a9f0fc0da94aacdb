// Replies: fuse_out_header and what follows. Entry and attribute replies are written field by field without a bigint,
// since LOOKUP, CREATE and GETATTR are most of what a mount is asked; test/wire compares them with the structs.

import { assert } from "../base/assert";
import { errno, type ErrnoName } from "../base/errno";
import type { Fields, Struct, Values } from "../base/struct";
import { pageSize, sectorSize } from "../base/units";
import { FUSE_UNIQUE_RESEND } from "./abi";
import type { RequestHeader } from "./request";
import { fuse_attr, fuse_attr_out, fuse_entry_out, fuse_open_out, fuse_out_header } from "./structs";

export const outHeaderBytes = fuse_out_header.size;

export interface WireTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** What fuse_attr is made of: an inode has it. */
export interface WireAttributes {
  readonly ino: number;
  readonly size: number;
  /** that have a block */
  readonly pages: number;
  readonly atime: WireTime;
  readonly mtime: WireTime;
  readonly ctime: WireTime;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
}

/** Which request is answered: a resent one must be answered with its resend bit (fuse_request_find, fs/fuse/dev.c). */
export type Answered = Pick<RequestHeader, "unique" | "resent">;

/** `unique` as the kernel sent it. */
export function answeredOf(unique: bigint): Answered {
  return { unique: unique & ~FUSE_UNIQUE_RESEND, resent: unique >= FUSE_UNIQUE_RESEND };
}

/** How long the kernel may keep names and attributes: nobody else changes the volume, so a day. */
export const validSeconds = 86400;

function allocate(header: Answered, length: number): Buffer {
  return withHeader(Buffer.allocUnsafe(length), header);
}

/** Writes fuse_out_header, without an error, into the reply. */
export function withHeader(reply: Buffer, header: Answered): Buffer {
  reply.writeUInt32LE(reply.length, 0);
  reply.writeInt32LE(0, 4);
  reply.writeBigUInt64LE(header.resent ? header.unique | FUSE_UNIQUE_RESEND : header.unique, 8);
  return reply;
}

export function emptyReply(header: Answered): Buffer {
  return allocate(header, outHeaderBytes);
}

/** `code`: a name, or a positive errno. */
export function errorReply(header: Answered, code: ErrnoName | number): Buffer {
  const made = allocate(header, outHeaderBytes);
  const number = typeof code === "number" ? code : errno[code];
  assert(number > 0 && number < 512, "an errno is positive and below 512: fuse_dev_do_write refuses others");
  made.writeInt32LE(-number, 4);
  return made;
}

export function bytesReply(header: Answered, bytes: Uint8Array): Buffer {
  const made = allocate(header, outHeaderBytes + bytes.length);
  made.set(bytes, outHeaderBytes);
  return made;
}

export function structReply<F extends Fields>(header: Answered, struct: Struct<F>, values: Values<F>): Buffer {
  const made = allocate(header, outHeaderBytes + struct.size);
  struct.encodeInto(made, outHeaderBytes, values);
  return made;
}

export function entryReply(header: Answered, attributes: WireAttributes): Buffer {
  const made = allocate(header, outHeaderBytes + fuse_entry_out.size);
  writeEntry(made, outHeaderBytes, attributes);
  return made;
}

/** nodeid 0: the name does not exist, and the kernel may remember that (fuse_lookup_name, fs/fuse/dir.c). */
export function negativeEntryReply(header: Answered): Buffer {
  const made = allocate(header, outHeaderBytes + fuse_entry_out.size);
  made.fill(0, outHeaderBytes);
  writeNumber(made, outHeaderBytes + fuse_entry_out.offsets.entry_valid, validSeconds);
  return made;
}

export function attrReply(header: Answered, attributes: WireAttributes): Buffer {
  const made = allocate(header, outHeaderBytes + fuse_attr_out.size);
  writeNumber(made, outHeaderBytes, validSeconds);
  writeNumber(made, outHeaderBytes + fuse_attr_out.offsets.attr_valid_nsec, 0);
  writeAttr(made, outHeaderBytes + fuse_attr_out.offsets.attr, attributes);
  return made;
}

export function openReply(header: Answered, fh: bigint, openFlags: number): Buffer {
  const made = allocate(header, outHeaderBytes + fuse_open_out.size);
  writeOpen(made, outHeaderBytes, fh, openFlags);
  return made;
}

export function createReply(header: Answered, attributes: WireAttributes, fh: bigint, openFlags: number): Buffer {
  const made = allocate(header, outHeaderBytes + fuse_entry_out.size + fuse_open_out.size);
  writeEntry(made, outHeaderBytes, attributes);
  writeOpen(made, outHeaderBytes + fuse_entry_out.size, fh, openFlags);
  return made;
}

/** fuse_entry_out. Inode numbers are never used again, so the generation is always 0. */
export function writeEntry(to: Buffer, at: number, attributes: WireAttributes): void {
  writeNumber(to, at, attributes.ino);
  writeNumber(to, at + 8, 0);
  writeNumber(to, at + 16, validSeconds);
  writeNumber(to, at + 24, validSeconds);
  writeNumber(to, at + 32, 0);
  writeAttr(to, at + fuse_entry_out.offsets.attr, attributes);
}

const a = fuse_attr.offsets;

function writeAttr(to: Buffer, at: number, attributes: WireAttributes): void {
  writeNumber(to, at + a.ino, attributes.ino);
  writeNumber(to, at + a.size, attributes.size);
  // st_blocks is true, preallocated pages included: swapon of util-linux compares it with the size to find holes.
  writeNumber(to, at + a.blocks, attributes.pages * (pageSize / sectorSize));
  writeNumber(to, at + a.atime, attributes.atime.seconds);
  writeNumber(to, at + a.mtime, attributes.mtime.seconds);
  writeNumber(to, at + a.ctime, attributes.ctime.seconds);
  to.writeUInt32LE(attributes.atime.nanoseconds, at + a.atimensec);
  to.writeUInt32LE(attributes.mtime.nanoseconds, at + a.mtimensec);
  to.writeUInt32LE(attributes.ctime.nanoseconds, at + a.ctimensec);
  to.writeUInt32LE(attributes.mode, at + a.mode);
  to.writeUInt32LE(attributes.nlink, at + a.nlink);
  to.writeUInt32LE(attributes.uid, at + a.uid);
  to.writeUInt32LE(attributes.gid, at + a.gid);
  to.writeUInt32LE(attributes.rdev, at + a.rdev);
  to.writeUInt32LE(pageSize, at + a.blksize);
  to.writeUInt32LE(0, at + a.flags);
}

function writeOpen(to: Buffer, at: number, fh: bigint, openFlags: number): void {
  to.writeBigUInt64LE(fh, at);
  to.writeUInt32LE(openFlags, at + 8);
  to.writeInt32LE(0, at + 12);
}

/** An integer that a double holds exactly, as 64 bits, two's complement. */
export function writeNumber(to: Buffer, at: number, value: number): void {
  const high = Math.floor(value / 0x100000000);
  to.writeUInt32LE(value - high * 0x100000000, at);
  to.writeInt32LE(high | 0, at + 4);
}
