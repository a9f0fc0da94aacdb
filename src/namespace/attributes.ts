// The attributes of an inode, without what else it has.

import type { Attributes } from "../volume/changes";

export function attributesOf(inode: Attributes): Attributes {
  const { mode, uid, gid, nlink, size, rdev, atime, mtime, ctime } = inode;
  return { mode, uid, gid, nlink, size, rdev, atime, mtime, ctime };
}
