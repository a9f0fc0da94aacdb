// An inode's attributes without what else it has; and one that is known to be a directory.

import type { Attributes } from "../volume/changes";
import type { Inode } from "../volume/inode";

export function attributesOf(inode: Attributes): Attributes {
  const { mode, uid, gid, nlink, size, rdev, atime, mtime, ctime } = inode;
  return { mode, uid, gid, nlink, size, rdev, atime, mtime, ctime };
}

export type Directory = Inode & { readonly entries: NonNullable<Inode["entries"]> };
