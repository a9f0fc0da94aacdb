// An inode as the kernel wants to see it.

import type { Attributes } from "../volume/changes";
import type { Inode } from "../volume/inode";
import type { WireAttributes } from "../wire/reply";

const sectorsInPage = 8;

/** st_blocks is true, preallocated pages included: swapon of util-linux compares it with the size to find holes. */
export function wireAttributes(inode: Pick<Inode, keyof Attributes | "ino" | "pages">): WireAttributes {
  return {
    ino: inode.ino, size: inode.size, blocks: inode.pages * sectorsInPage, atime: inode.atime, mtime: inode.mtime,
    ctime: inode.ctime, mode: inode.mode, nlink: inode.nlink, uid: inode.uid, gid: inode.gid, rdev: inode.rdev,
  };
}
