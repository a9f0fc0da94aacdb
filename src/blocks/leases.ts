// The one place that says what must not happen to a pinned file. Whatever moves, frees or shares blocks (truncate,
// fallocate, clone, shrink, prepare) asks `checkNotPinned` first; `assertPinnedStay` then holds it for every commit.

import { assert } from "../base/assert";
import { FsError } from "../base/errors";
import { pageSize } from "../base/units";
import type { PinMode } from "../activation/handles";
import type { AskedRange } from "../dataplane/port";
import type { Change, Extent } from "../volume/changes";
import type { Inode } from "../volume/inode";

interface PinnedFiles {
  readonly volume: { inode(ino: number): Inode | undefined };
  readonly handles: { pinMode(ino: number): PinMode | undefined };
  isPinned(ino: number): boolean;
}

/** What a pinned file refuses, as the VFS does for one that is swapped on (IS_SWAPFILE, fs/attr.c and fs/open.c). */
export function checkNotPinned(fs: PinnedFiles, ino: number): void {
  if (!fs.isPinned(ino)) return;
  const next = fs.handles.pinMode(ino) === undefined ? "in use as swap, run swapoff first" : "pinned, run swapfs unpin first";
  throw new FsError("ETXTBSY", `cannot change ino ${ino}: it is ${next}`);
}

/** A write that asks where to. `needsBlocks`: a page of its range is a hole. */
export function checkPinnedWrite(inode: Inode, range: AskedRange, mode: PinMode | undefined, needsBlocks: boolean): void {
  const beyond = needsBlocks || range.offset + range.length > inode.size;
  const cannot = `cannot write to ino ${inode.ino}`;
  if (mode === "pinned") throw new FsError("ETXTBSY", `${cannot}: it is pinned, run swapfs unpin first`);
  if (mode === undefined) {
    if (beyond) throw new FsError("ETXTBSY", `${cannot}: it is in use as swap and would need new blocks`);
    return;
  }
  // As a block device answers (blkdev_write_iter, block/fops.c), and loop and fio expect.
  if (range.offset % pageSize !== 0 || range.length % pageSize !== 0) throw new FsError("EINVAL", `${cannot}: it is activated, for whole pages`);
  if (beyond) throw new FsError("ENOSPC", `${cannot}: it is activated, and ends there`);
}

/** The kernel or the data plane writes to these blocks without asking: a commit that moved one would corrupt a file. */
export function assertPinnedStay(fs: PinnedFiles, changes: readonly Change[]): void {
  for (const change of changes) {
    if (change.kind !== "set-extents" && change.kind !== "drop-inode") continue;
    if (!fs.isPinned(change.ino)) continue;
    assert(change.kind === "set-extents", `ino ${change.ino} is pinned: it is not freed`);
    const inode = fs.volume.inode(change.ino);
    const old = inode === undefined ? [] : inode.extents.range(change.filePage, change.count);
    assert(keepsAll(change.extents, old), `ino ${change.ino} is pinned: its blocks stay where they are`);
  }
}

/** Every page of `old` lies in `extents` where it lay, and belongs to nobody else. Both are in the order of their pages. */
function keepsAll(extents: readonly Extent[], old: Iterable<Extent>): boolean {
  let at = 0;
  for (const { filePage, devicePage, count, state } of old) {
    const end = filePage + count;
    for (let page = filePage; page < end; ) {
      while (at < extents.length && extents[at]!.filePage + extents[at]!.count <= page) at += 1;
      const extent = extents[at];
      if (extent === undefined || extent.filePage > page) return false;
      if (extent.devicePage - extent.filePage !== devicePage - filePage) return false;
      if (extent.state === "shared" && state !== "shared") return false;
      page = Math.min(end, extent.filePage + extent.count);
    }
  }
  return true;
}
