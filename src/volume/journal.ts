// The journal: two halves of sectors. Half A takes the records after checkpoint A, half B those after checkpoint B. A
// record begins on a sector of its own, and names its place and the CRC of the record before, so that neither a
// misdirected write nor a record left over from before a crash is taken for the next one.

import { assert } from "../base/assert";
import { crc32c } from "../base/crc32c";
import { pageSize, sectorSize } from "../base/units";
import type { BlockDevice, Step } from "./blockdevice";
import type { Change, RequestId } from "./changes";
import { decodeItems, encodeItem, itemBytes, type Item } from "./codec";
import { decoded, formatVersion, recordMagic, record_disk } from "./format";
import { otherSide, type Geometry, type Side } from "./superblock";

/** Where the next record goes, and what it follows. */
export interface JournalCursor {
  readonly half: Side;
  /** of the half */
  readonly sector: number;
  /** of the last record */
  readonly sequence: number;
  /** CRC-32C of the last record */
  readonly previous: number;
}

/** What a record says besides its changes. */
export interface RecordNote {
  readonly nextIno: number;
  /** Sequence up to which records are known to be durable. */
  readonly durable: number;
  /** Names the boot of the machine that writes it; not in the record of a request. */
  readonly boot?: number | undefined;
  readonly request?: RequestId | undefined;
}

export interface JournalRecord extends RecordNote {
  readonly sequence: number;
  readonly items: Iterable<Item>;
}

export const sectorsPerPage = pageSize / sectorSize;
const windowBytes = 256 * 1024;
/** Twenty thousand records a second would otherwise be as many buffers for the collector. */
const scratch = Buffer.alloc(16 * 1024);

export function recordSectors(changes: readonly Change[]): number {
  let bytes: number = record_disk.size;
  for (const change of changes) bytes += itemBytes(change);
  return Math.ceil(bytes / sectorSize);
}

/**
 * The write that appends a record, and the cursor after it. The caller has checked that it fits the half. The bytes of
 * the write are used again by the next call.
 */
export function appendRecord(
  geometry: Geometry, cursor: JournalCursor, changes: readonly Change[], { nextIno, durable, boot, request }: RecordNote,
): { step: Step; cursor: JournalCursor } {
  const sectors = recordSectors(changes);
  assert(cursor.sector + sectors <= geometry.journalSectors, "a record lies in one half");
  const length = writtenSectors(cursor.sector, sectors) * sectorSize;
  const record = length <= scratch.length ? scratch.subarray(0, length) : Buffer.alloc(length);
  let end = record_disk.size;
  for (const change of changes) end = encodeItem(record, end, change);
  record.fill(0, end);
  record_disk.encodeInto(record, 0, {
    magic: recordMagic, crc32c: 0, version: formatVersion, half: cursor.half, sector: cursor.sector,
    sequence: cursor.sequence + 1, bytes: end, previous: cursor.previous,
    session: request?.session ?? BigInt(boot ?? 0), unique: request?.unique ?? 0n, resultIno: request?.ino ?? 0, nextIno, durable,
  });
  const crc = crc32c(record.subarray(0, end), geometry.seed);
  record.writeUInt32LE(crc, record_disk.offsets.crc32c);
  return {
    step: { kind: "write", offset: offsetOf(geometry, cursor.half, cursor.sector), bytes: record },
    cursor: { half: cursor.half, sector: cursor.sector + sectors, sequence: cursor.sequence + 1, previous: crc },
  };
}

/** Where records go after the other checkpoint has been written. */
export function afterCheckpoint(cursor: JournalCursor): JournalCursor {
  return { ...cursor, half: otherSide(cursor.half), sector: 0 };
}

/**
 * Hands every record after `cursor` to `use`, through the rest of its half and then, where the sequence goes on there,
 * through the other half. Returns the cursor after the last good record.
 */
export function readJournal(
  device: BlockDevice, geometry: Geometry, cursor: JournalCursor, use: (record: JournalRecord) => void,
): JournalCursor {
  let at = readHalf(device, geometry, cursor, use);
  const other = readHalf(device, geometry, afterCheckpoint(at), use);
  if (other.sequence > at.sequence) at = other;
  return at;
}

/** Records that are whole but do not follow: what lies beyond the end of the journal. */
export interface Beyond {
  /** In order, each with the byte offset on the device at which it begins, and what it holds as far as that makes sense. */
  readonly found: readonly { readonly offset: number; readonly sequence: number; readonly items: readonly Item[] }[];
  /** The first record that is missing was durable once: damage, not merely a cut. */
  readonly lostDurable: boolean;
}

/**
 * Looks for whole records after `end` in both halves. A cut may leave some, since writes that were not flushed reach
 * the device in any order; but a record that knows its missing predecessor to be durable proves damage.
 */
export function lookBeyond(device: BlockDevice, geometry: Geometry, end: JournalCursor): Beyond {
  const found: Beyond["found"][number][] = [];
  let lostDurable = false;
  for (const half of [0, 1] as const) {
    const start = half === end.half ? end.sector : 0;
    const sectors = device.read(offsetOf(geometry, half, start), (geometry.journalSectors - start) * sectorSize);
    // Words, not fields: this loop sees every sector of the journal at every mount.
    const words = new Uint32Array(sectors.buffer, sectors.byteOffset, sectors.length / 4);
    for (let at = 0; at < sectors.length; at += sectorSize) {
      if (words[at / 4] !== recordMagic) continue;
      const { sequence, bytes, durable } = numbersAt(sectors, at);
      if (sequence <= end.sequence || bytes < record_disk.size || at + bytes > sectors.length) continue;
      const record = sectors.subarray(at, at + bytes);
      if (checkedCrc(record, geometry.seed) === undefined) continue;
      found.push({ offset: offsetOf(geometry, half, start) + at, sequence, items: lostItems(record) });
      lostDurable ||= durable > end.sequence;
    }
  }
  return { found: found.sort((a, b) => a.sequence - b.sequence), lostDurable };
}

function lostItems(record: Buffer): Item[] {
  const items: Item[] = [];
  decoded(() => {
    for (const item of decodeRecord(record).items) items.push(item);
  });
  return items;
}

/** Wipes the heads of such records: they must never follow a record that is written later. */
export function forgetBeyond(beyond: Beyond): Step[] {
  const steps: Step[] = beyond.found.map(({ offset }) => ({ kind: "write", offset, bytes: Buffer.alloc(sectorSize) }));
  return [...steps, { kind: "flush" }];
}

/** Also the rest of the last page when the record is the first to touch it: then the page cache need not read it. */
function writtenSectors(sector: number, sectors: number): number {
  const endPage = Math.ceil((sector + sectors) / sectorsPerPage);
  const startsInside = sector % sectorsPerPage !== 0;
  if (startsInside && endPage === Math.ceil(sector / sectorsPerPage)) return sectors;
  return endPage * sectorsPerPage - sector;
}

function offsetOf(geometry: Geometry, half: Side, sector: number): number {
  return geometry.journal[half] * pageSize + sector * sectorSize;
}

/** As `readJournal`, through the rest of the half of `cursor` only. */
export function readHalf(
  device: BlockDevice, geometry: Geometry, cursor: JournalCursor, use: (record: JournalRecord) => void,
): JournalCursor {
  let window: Buffer = Buffer.alloc(0);
  let windowSector = cursor.sector;
  let at = cursor;
  while (at.sector < geometry.journalSectors) {
    const has = (bytes: number): boolean => (at.sector - windowSector) * sectorSize + bytes <= window.length;
    const need = (bytes: number): boolean => {
      if (has(bytes)) return true;
      const rest = (geometry.journalSectors - at.sector) * sectorSize;
      if (bytes > rest) return false;
      windowSector = at.sector;
      window = device.read(offsetOf(geometry, at.half, at.sector), Math.min(rest, Math.max(bytes, windowBytes)));
      return true;
    };
    if (!need(sectorSize)) return at;
    const bytes = lengthOfNext(window, (at.sector - windowSector) * sectorSize, at);
    if (bytes === undefined || !need(bytes)) return at;
    const start = (at.sector - windowSector) * sectorSize;
    const record = window.subarray(start, start + bytes);
    const crc = checkedCrc(record, geometry.seed);
    if (crc === undefined) return at;
    use(decodeRecord(record));
    at = { half: at.half, sector: at.sector + Math.ceil(bytes / sectorSize), sequence: at.sequence + 1, previous: crc };
  }
  return at;
}

/** The length that the head at `start` claims, when it is the head of the record that follows `at`. */
function lengthOfNext(window: Buffer, start: number, at: JournalCursor): number | undefined {
  const { offsets } = record_disk;
  const { sequence, bytes } = numbersAt(window, start);
  const follows = window.readUInt32LE(start) === recordMagic
    && window.readUInt16LE(start + offsets.version) === formatVersion
    && window.readUInt16LE(start + offsets.half) === at.half
    && window.readUInt32LE(start + offsets.sector) === at.sector
    && window.readUInt32LE(start + offsets.previous) === at.previous
    && sequence === at.sequence + 1 && bytes >= record_disk.size;
  return follows ? bytes : undefined;
}

/** Read before the CRC is checked, so nothing may be asserted of them. */
function numbersAt(window: Buffer, start: number): { sequence: number; bytes: number; durable: number } {
  const { offsets } = record_disk;
  return {
    sequence: longAt(window, start + offsets.sequence),
    bytes: window.readUInt32LE(start + offsets.bytes),
    durable: longAt(window, start + offsets.durable),
  };
}

function longAt(window: Buffer, at: number): number {
  return window.readUInt32LE(at) + window.readUInt32LE(at + 4) * 2 ** 32;
}

/** The record's CRC when it is right. */
function checkedCrc(record: Buffer, seed: number): number | undefined {
  const stored = record.readUInt32LE(record_disk.offsets.crc32c);
  record.writeUInt32LE(0, record_disk.offsets.crc32c);
  return crc32c(record, seed) === stored ? stored : undefined;
}

function decodeRecord(record: Buffer): JournalRecord {
  const { sequence, durable, session, unique, nextIno, resultIno: ino } = record_disk.decode(record);
  return {
    sequence, durable, nextIno, items: decodeItems(record, record_disk.size, record.length),
    boot: unique === 0n ? Number(session) : undefined, request: unique === 0n ? undefined : { session, unique, ino },
  };
}
