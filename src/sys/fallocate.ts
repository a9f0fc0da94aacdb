// fallocate(2) on an open file: what Node has no name for. Errors carry the errno and name the file.

import { errno, type ErrnoName } from "../base/errno";
import { FsError, messageOf } from "../base/errors";
import { addon } from "./addon";

/** Mode bits, include/uapi/linux/falloc.h. */
export const falloc = { keepSize: 1, punchHole: 2, writeZeroes: 128 } as const;

/** Backs [offset, offset + length) with blocks and lengthens the file when it ends before that. */
export function allocate(fd: number, name: string, offset: number, length: number): void {
  callFallocate(fd, name, 0, offset, length, "allocate");
}

/** Gives the blocks of [offset, offset + length) back; they read as zeros. The file keeps its length. */
export function punchHole(fd: number, name: string, offset: number, length: number): void {
  callFallocate(fd, name, falloc.punchHole | falloc.keepSize, offset, length, "punch out");
}

function callFallocate(fd: number, name: string, mode: number, offset: number, length: number, verb: string): void {
  try {
    addon().fallocate(fd, mode, offset, length);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "EIO";
    throw new FsError(
      code in errno ? (code as ErrnoName) : "EIO",
      `cannot ${verb} bytes ${offset} to ${offset + length} of ${name}: ${messageOf(error)}${next(code)}`,
    );
  }
}

function next(code: string): string {
  if (code === "ENOSPC") return ", free space on the filesystem that holds it";
  if (code === "EOPNOTSUPP") return ", its filesystem cannot do that: put it on ext4, xfs or btrfs";
  return "";
}
