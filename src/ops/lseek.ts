// FUSE_LSEEK with SEEK_DATA and SEEK_HOLE. An unwritten extent counts as data: pages that a program has changed through
// mmap reach us at writeback only, and cp(1) would leave out what it takes for a hole. (ext4 says hole, but looks into
// the page cache first, which is not ours to see.)

import { FsError } from "../base/errors";
import { bytesOfPages, fileBytes, wholePages } from "../base/units";
import { inodeOf } from "../namespace/space";
import type { Inode } from "../volume/inode";
import { SEEK_DATA, SEEK_HOLE } from "../wire/abi";
import type { opcodes } from "../wire/opcodes";
import { structReply } from "../wire/reply";
import { fuse_lseek_out } from "../wire/structs";
import type { FileSystem } from "../blocks/filesystem";
import type { RequestOf } from "./handler";

export function handleLseek(fs: FileSystem, { header, body }: RequestOf<typeof opcodes.lseek>): Buffer {
  const inode = inodeOf(fs, header.nodeid);
  if (body.whence !== SEEK_DATA && body.whence !== SEEK_HOLE) throw new FsError("EINVAL");
  // Unchecked by the kernel: a program may well ask for -1.
  if (body.offset >= BigInt(inode.size)) throw new FsError("ENXIO");
  const offset = fileBytes(body.offset);
  const found = body.whence === SEEK_DATA ? seekData(inode, offset) : seekHole(inode, offset);
  return structReply(header, fuse_lseek_out, { offset: BigInt(found) });
}

function seekData(inode: Inode, offset: number): number {
  const [extent] = inode.extents.range(wholePages(offset), Infinity);
  const start = extent === undefined ? Infinity : Math.max(offset, bytesOfPages(extent.filePage));
  if (start >= inode.size) throw new FsError("ENXIO");
  return start;
}

/** The end of the file is a hole. */
function seekHole(inode: Inode, offset: number): number {
  const page = wholePages(offset);
  let next = page;
  for (const extent of inode.extents.range(page, Infinity)) {
    if (extent.filePage > next) break;
    next = extent.filePage + extent.count;
  }
  return Math.min(inode.size, next === page ? offset : bytesOfPages(next));
}
