// What only tests ask of the kernel: where the bytes of a file lie, and a loop device made anew.

import path from "node:path";
import { type FiemapFlag, decodeFlags } from "#src/base/fiemap";
import { addon } from "#src/sys/addon";

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

/**
 * After the device is detached: makes it anew, so that its next user can discard. The kernel keeps discard_max_bytes 0
 * over detaching, and takes no other value back: queue_max_discard_sectors_store (block/blk-sysfs.c) compares with a
 * granularity that blk_validate_limits has set to 0. False while something is attached, ours or the next user's.
 */
export function renewLoop(device: string): boolean {
  try {
    addon().loopReset(Number(path.basename(device).replace("loop", "")));
    return true;
  } catch {
    return false;
  }
}
