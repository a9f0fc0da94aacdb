// Where the bytes of a file lie on the device of its filesystem (Documentation/filesystems/fiemap.rst).

import { fiemapFlags, type FiemapFlag } from "../base/fiemap";
import { addon } from "./addon";

export interface FileExtent {
  /** Bytes, all three. */
  readonly logical: number;
  readonly physical: number;
  readonly length: number;
  readonly flags: readonly FiemapFlag[];
}

/**
 * The extents of [start, start + length) in order; what lies between them is a hole. `sync` writes the file out first,
 * so that none is delalloc. Throws EOPNOTSUPP where the filesystem has no FIEMAP.
 */
export function fileExtents(fd: number, start: number, length: number, sync = true): FileExtent[] {
  const numbers = addon().fiemap(fd, start, length, sync);
  const extents: FileExtent[] = [];
  for (let at = 0; at < numbers.length; at += 4) {
    extents.push({
      logical: numbers[at]!, physical: numbers[at + 1]!, length: numbers[at + 2]!, flags: decodeFlags(numbers[at + 3]!),
    });
  }
  return extents;
}

const decoded = new Map<number, readonly FiemapFlag[]>();

/** 0x2001 to ["last", "shared"]. */
export function decodeFlags(bits: number): readonly FiemapFlag[] {
  let flags = decoded.get(bits);
  if (flags === undefined) {
    flags = (Object.keys(fiemapFlags) as FiemapFlag[]).filter((name) => bits & fiemapFlags[name]);
    decoded.set(bits, flags);
  }
  return flags;
}
