// truncate(2), either way, with whatever else the same SETATTR changes: one journal record.

import { FsError, messageOf } from "../base/errors";
import { logLine } from "../base/log";
import { pagesFor, pageSize } from "../base/units";
import { attributesOf } from "../namespace/attributes";
import { isFile } from "../namespace/modes";
import { requestedAttributes, type AttributeRequest } from "../namespace/setattr";
import { inodeOf } from "../namespace/space";
import { withoutCapability } from "../namespace/xattrs";
import type { Change } from "../volume/changes";
import type { Inode } from "../volume/inode";
import type { FileSystem } from "../blocks/filesystem";
import { fileBytesMax } from "../blocks/mapping";
import { writtenTail } from "../blocks/write-plan";

export function resize(fs: FileSystem, ino: number, asked: AttributeRequest & { size: number }): void | Promise<void> {
  const inode = inodeOf(fs, ino);
  if (!isFile(inode)) throw new FsError("EINVAL");
  if (asked.size > fileBytesMax) throw new FsError("EFBIG");
  // An active swapfile may grow (inode_newsize_ok, fs/attr.c), where that touches no page that it has.
  if (asked.size > inode.size && inode.size % pageSize === 0) return commitSize(fs, ino, asked);
  return fs.changing(ino, () => {
    const size = inodeOf(fs, ino).size;
    return asked.size > size ? grow(fs, ino, asked) : shrink(fs, ino, asked);
  });
}

// The zeros come first: after a power cut a write that was never acknowledged may have left bytes behind the end.
function grow(fs: FileSystem, ino: number, asked: AttributeRequest & { size: number }): void | Promise<void> {
  const zeroed = fs.mapping.zeroTail(ino);
  return zeroed === undefined ? commitSize(fs, ino, asked) : zeroed.then(() => commitSize(fs, ino, asked));
}

// The record comes first: failing, it has changed nothing. After it the file is shorter, whatever becomes of the zeros: they
// are made good when the file grows. So a page that is shared is left as it is, which would need room on a full volume, and an
// error of the device is not the caller's: told of one, the kernel would go on with the old length (fuse_do_setattr, fs/fuse/dir.c).
function shrink(fs: FileSystem, ino: number, asked: AttributeRequest & { size: number }): void | Promise<void> {
  commitSize(fs, ino, asked);
  const tail = writtenTail(inodeOf(fs, ino));
  if (tail === undefined || tail.shared) return;
  return fs.mapping.zeroTail(ino)?.catch((error: unknown) => logLine(`cannot write zeros behind the end of ino ${ino}: ${messageOf(error)}`));
}

function commitSize(fs: FileSystem, ino: number, asked: AttributeRequest & { size: number }): void {
  const inode = inodeOf(fs, ino);
  const changes: Change[] = [];
  if (asked.size <= inode.size) changes.push(...cutBehind(inode, asked.size));
  const attributes = requestedAttributes(attributesOf(inode), asked, fs.now());
  if (attributes !== undefined) changes.push({ kind: "put-inode", ino, attributes });
  if (asked.size !== inode.size) changes.push(...withoutCapability(inode));
  if (changes.length === 0) return;
  fs.deferredFree.free(ino, fs.commit(changes)); // inside `exclusive`: at once, unless they were shared
}

/** Pages behind the new end go, preallocated ones too, as ext4_truncate does. */
function cutBehind(inode: Inode, size: number): Change[] {
  const filePage = pagesFor(size);
  const count = inode.extents.endPage - filePage;
  return count > 0 ? [{ kind: "set-extents", ino: inode.ino, filePage, count, extents: [] }] : [];
}
