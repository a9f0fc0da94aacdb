// Files in a given number of pieces. The filesystem is filled to the last block, then holes are punched into what fills
// it, a block apart from each other: only there can the file lie.

import { statfsSync } from "node:fs";
import { join } from "node:path";
import { UserError, exitCode } from "../base/errors";
import { pagesFor, pageSize } from "../base/units";
import { addon, falloc } from "../sys/addon";
import { withOpen } from "../sys/kernelfiles";
import { allocated } from "./stages";
import { must } from "./tools";

/** A file of at least so many pieces, allocated and unwritten, on a filesystem with fallocate and punching. */
export function fragmented(mountpoint: string, byteLength: number, pieces: number): string {
  const file = join(mountpoint, "a");
  makeFragmented(mountpoint, byteLength, [{ file, pieces }]);
  return file;
}

export interface Fragmented {
  readonly file: string;
  readonly pieces: number;
}

/** Several of one length. What filled the filesystem stays, as the file "filler". */
export function makeFragmented(mountpoint: string, byteLength: number, files: readonly Fragmented[]): void {
  for (const { file, pieces } of files) if (pieces === 1) allocated(file, byteLength);
  const many = files.filter(({ pieces }) => pieces > 1);
  if (many.length === 0) return;
  const filler = join(mountpoint, "filler");
  withOpen(filler, "w", (fd) => {
    fillUp(fd, mountpoint);
    let at = 0;
    for (const { file, pieces } of many) {
      at = punchPieces(fd, at, byteLength, pieces);
      must("sync", ["-f", mountpoint]); // ext4 gives blocks out again when the journal has committed that they are free
      allocated(file, byteLength);
    }
  });
}

function fillUp(fd: number, mountpoint: string): void {
  const { bavail, bsize } = statfsSync(mountpoint);
  let end = 0;
  for (let bytes = bavail * bsize; bytes >= pageSize;) {
    try {
      addon().fallocate(fd, 0, end, bytes);
      end += bytes;
    } catch {
      // Full: the rest is taken in smaller steps.
    }
    bytes = pagesFor(Math.floor(bytes / 2)) * pageSize;
    if (bytes === pageSize) break;
  }
}

/** More than are wanted: some blocks of what fills the filesystem were apart already, or become free in larger pieces. */
export const extraShare = 1.25;

/** Holes from `start` on; where they end. */
function punchPieces(fd: number, start: number, byteLength: number, pieces: number): number {
  const holes = Math.ceil(pieces * extraShare);
  const bytes = pagesFor(Math.ceil(byteLength / holes)) * pageSize;
  const step = bytes + pageSize;
  for (let piece = 0; piece < holes; piece += 1) addon().fallocate(fd, falloc.punchHole | falloc.keepSize, start + piece * step, bytes);
  return start + holes * step;
}

/** The pieces as the filesystem itself counts them. */
export function requirePieces(file: string, wanted: number, found: number): void {
  if (found >= wanted) return;
  throw new UserError(exitCode.internal, `cannot measure ${file} in ${wanted} pieces: it was made of ${found}`);
}
