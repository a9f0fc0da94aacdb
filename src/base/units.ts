// Units and the only conversions between them. A page and a block are both 4096 bytes: the volume's block size is the
// page size of the swap subsystem, so that a swap slot is a block.

import { assert } from "./assert";
import { UserError, exitCode } from "./errors";

export const pageSize = 4096;
export const sectorSize = 512;

/** Pages that hold `byteLength` bytes, the last one perhaps only in part. */
export function pagesFor(byteLength: number): number {
  return Math.ceil(byteLength / pageSize);
}

/** Whole pages in `byteLength` bytes. */
export function wholePages(byteLength: number): number {
  return Math.floor(byteLength / pageSize);
}

export function bytesOfPages(pages: number): number {
  return pages * pageSize;
}

/** A u64 of the wire as a number, checked once here; `field` names it in the message. */
export function narrow(value: bigint, field: string): number {
  assert(value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER), `${field} ${value} fits a double exactly`);
  return Number(value);
}

/**
 * Bytes of a file, from the wire: an offset, a length, a size. A program may ask for what no file can have; all that a
 * double does not hold exactly is such, and stays it as the largest that it does.
 */
export function fileBytes(value: bigint): number {
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
}

const suffixes: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** "20G", "512MiB", "4096" to bytes, as fallocate(1) reads them. Throws a UserError that names `option`. */
export function parseByteLength(text: string, option: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:iB|B)?$/i.exec(text.trim());
  const factor = match && suffixes[(match[2] ?? "").toUpperCase()];
  const bytes = match && factor ? Math.floor(Number(match[1]) * factor) : NaN;
  if (!Number.isSafeInteger(bytes) || bytes <= 0) {
    throw new UserError(exitCode.usage, `cannot read ${option} "${text}": not a size, write for example 512M or 20G`);
  }
  return bytes;
}

/** As `formatByteLength`. */
export function formatPages(pages: number): string {
  return formatByteLength(bytesOfPages(pages));
}

/** "1 page", "4 extents". */
export function countOf(value: number, noun: string): string {
  return `${value} ${noun}${value === 1 ? "" : "s"}`;
}

/** 1536 as "1.5 KiB". */
export function formatByteLength(bytes: number): string {
  const names = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let index = 0;
  while (value >= 1024 && index < names.length - 1) {
    value /= 1024;
    index += 1;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${names[index]}`;
}
