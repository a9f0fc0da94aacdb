// Who holds the blocks of a file where they are. Everything that moves, frees, shares or writes blocks asks here first, inside
// the section in which it does so (inode-lock.ts); `assertKept` then holds it for every commit.
//
// swapon: the kernel swaps to the file through a handle; until that handle is released. pin: until `swapfs unpin`.
// activation: whole pages are read and written through the pinned map; until it is deactivated. prepare: the inode stays
// while its blocks change. block view: a block device over the blocks; until that is gone. All but prepare outlive the control plane, in
// the table of handles of the session, and a block view the mount as well, in the journal.

import { assert } from "../base/assert";
import { FsError, ViewedError } from "../base/errors";
import { pageSize } from "../base/units";
import { pins, type HandleTable } from "../activation/handles";
import type { AskedRange } from "../dataplane/port";
import type { Change, Extent } from "../volume/changes";
import type { Inode } from "../volume/inode";

export class Leases {
  readonly #handles: HandleTable;
  readonly #prepared = new Set<number>();

  constructor(handles: HandleTable) {
    this.#handles = handles;
  }

  /** Its blocks may be moved, shared, freed one by one, and its data written on the ordinary path. */
  mayMove(ino: number): boolean {
    return this.#handles.pinMode(ino) === undefined && !this.#handles.isSwapon(ino);
  }

  /** The inode may be freed when it has neither name nor handle. */
  mayFree(ino: number): boolean {
    return this.mayMove(ino) && !this.#prepared.has(ino);
  }

  isActivated(ino: number): boolean {
    return this.#handles.pinMode(ino) === "swap_rw";
  }

  /** Pinned or activated, with or without a handle. */
  isHeld(ino: number): boolean {
    return this.#handles.pinMode(ino) !== undefined;
  }

  isViewed(ino: number): boolean {
    return (this.#handles.pins(ino) & pins.viewed) !== 0;
  }

  /** Throws FsError ETXTBSY, as the VFS does for a file that is swapped on (IS_SWAPFILE, fs/attr.c and fs/open.c). */
  checkMayMove(ino: number): void {
    if (this.mayMove(ino)) return;
    if (this.isViewed(ino)) throw new ViewedError("ETXTBSY", `cannot change ino ${ino}: it is in use as swap, run swapfs swapoff first`);
    const next = this.isHeld(ino) ? "pinned, run swapfs unpin first" : "in use as swap, run swapoff first";
    throw new FsError("ETXTBSY", `cannot change ino ${ino}: it is ${next}`);
  }

  /** Threads in whose swapon(2) the file was accepted, and that may still be in it; none of a pinned or activated file. */
  swappingOn(ino: number): readonly number[] {
    if (this.isHeld(ino) || !this.#handles.isSwapon(ino)) return [];
    return this.#handles.of(ino).filter(({ swapon, pid }) => swapon === true && pid > 0).map(({ pid }) => pid);
  }

  /**
   * A write that asks where to. `needsBlocks`: a page of its range is a hole. `inSwapon`: one of `swappingOn` is in swapon(2), which
   * writes back what is dirty after it has asked for all blocks and before the area is on (inode_drain_writes, mm/swapfile.c); from
   * then on the kernel lets nobody write. Throws FsError ETXTBSY, EINVAL, ENOSPC.
   */
  checkWrite(inode: Inode, range: AskedRange, needsBlocks: boolean, inSwapon: boolean): void {
    if (inSwapon && !needsBlocks && range.offset + range.length <= inode.size && this.swappingOn(inode.ino).length > 0) return;
    if (!this.isActivated(inode.ino)) return this.checkMayMove(inode.ino);
    const cannot = `cannot write to ino ${inode.ino}`;
    // As a block device answers (blkdev_write_iter, block/fops.c), and loop and fio expect.
    if (range.offset % pageSize !== 0 || range.length % pageSize !== 0) throw new FsError("EINVAL", `${cannot}: it is activated, for whole pages`);
    if (needsBlocks || range.offset + range.length > inode.size) throw new FsError("ENOSPC", `${cannot}: it is activated, and ends there`);
  }

  /** Who has it open for writing, "pid 7, pid 9"; undefined: nobody. */
  writers(ino: number): string | undefined {
    const pids = this.#handles.of(ino).filter(({ flags }) => (flags & 3) !== 0).map(({ pid }) => `pid ${pid}`);
    return pids.length === 0 ? undefined : [...new Set(pids)].join(", ");
  }

  /** Keeps the inode for `work`. Throws FsError EBUSY when it is being prepared already. */
  async whilePrepared<T>(ino: number, work: () => Promise<T>): Promise<T> {
    if (this.#prepared.has(ino)) throw new FsError("EBUSY", "it is being prepared already, wait for the end of that");
    this.#prepared.add(ino);
    try {
      return await work();
    } finally {
      this.#prepared.delete(ino);
    }
  }

  /** The kernel or the data plane writes to these blocks without asking: a commit that moved one would corrupt a file. */
  assertKept(inodes: { inode(ino: number): Inode | undefined }, changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.kind !== "set-extents" && change.kind !== "drop-inode") continue;
      if (this.mayMove(change.ino)) continue;
      assert(change.kind === "set-extents", `ino ${change.ino} is leased: it is not freed`);
      const inode = inodes.inode(change.ino);
      const old = inode === undefined ? [] : inode.extents.range(change.filePage, change.count);
      assert(keepsAll(change.extents, old), `ino ${change.ino} is leased: its blocks stay where they are`);
    }
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
