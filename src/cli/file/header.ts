// The swap header that create, prepare and swapon --loop write, never over what somebody else has in the file.

import { readSync } from "node:fs";
import { readSwapHeader } from "../../activation/swapheader";
import { pageSize } from "../../base/units";
import { withOpen } from "../../sys/kernelfiles";
import { mustRun } from "../../sys/tools";
import { failed } from "../common/outcome";

/** False: it has one. Throws a UserError when the file holds something else; with `force` that may be overwritten. */
export function needsHeader(file: string, force: boolean): boolean {
  return withOpen(file, "r", (fd) => {
    if (isHeader(fd)) return false;
    if (force || isBlank(fd)) return true;
    throw failed(`cannot write a swap header on ${file}: it holds something else, name another file or use --force to overwrite it`);
  });
}

/** Says of a file that it holds nothing that anybody needs. */
export function hasHeader(file: string): boolean {
  return withOpen(file, "r", isHeader);
}

function isHeader(fd: number): boolean {
  return readSwapHeader(readChunk(fd, 0, pageSize)) !== undefined;
}

/** `device`: a loop device over the file, which has it open for writing. */
export function writeHeader(file: string, device = file): void {
  mustRun("mkswap", ["-q", device], `write the swap header of ${file}`);
}

// Less than a request carries: a buffer that begins within a page takes one page more, and the kernel would cut the read
// within a page (fuse_direct_io, fs/fuse/file.c).
const scanBytes = 2 ** 19;

function isBlank(fd: number): boolean {
  const zeros = Buffer.alloc(scanBytes);
  for (let at = 0; ; at += scanBytes) {
    const chunk = readChunk(fd, at, scanBytes);
    if (!chunk.equals(zeros.subarray(0, chunk.length))) return false;
    if (chunk.length < scanBytes) return true;
  }
}

function readChunk(fd: number, offset: number, length: number): Buffer {
  const chunk = Buffer.alloc(length);
  return chunk.subarray(0, readSync(fd, chunk, 0, length, offset));
}
