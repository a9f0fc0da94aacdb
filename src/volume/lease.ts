// The lease of a block view: the blocks below a file that somebody has as a block device of its own, which no process of ours
// need be there for. It is an attribute of the inode that no program sees, so that journal, checkpoint and replay have it, and
// it ends when that device is gone. While it lasts its blocks stay where they are, whoever owned them before a crash.

import { assert } from "../base/assert";
import { Struct } from "../base/struct";
import type { DeviceRun } from "./blockdevice";
import type { Change } from "./changes";
import { decoded, u53 } from "./format";
import type { Inode } from "./inode";

/** No name that setxattr(2) may use begins like this (namespace/xattrs.ts). */
export const leaseXattr = "swapfs.block-view";

/** Device pages, below pages [0, count) of the file. */
const lease_disk = new Struct("lease", { page: u53, count: u53 });

export function leaseChange(ino: number, run: DeviceRun): Change {
  const value = Buffer.alloc(lease_disk.size);
  lease_disk.encodeInto(value, 0, run);
  return { kind: "put-xattr", ino, name: leaseXattr, value };
}

export function leaseEnd(ino: number): Change {
  return { kind: "drop-xattr", ino, name: leaseXattr };
}

/** Of a volume that nobody has a view of: for an engine and for commands that know none. */
export function endLeases(volume: { inodes(): Iterable<Inode>; commit(changes: readonly Change[]): unknown }): void {
  const leased = [...volume.inodes()].filter((inode) => leaseOf(inode) !== undefined);
  if (leased.length > 0) volume.commit(leased.map(({ ino }) => leaseEnd(ino)));
}

export function isLease(change: Change): boolean {
  return change.kind === "put-xattr" && change.name === leaseXattr;
}

export function leaseOf(inode: Pick<Inode, "xattrs"> | undefined): DeviceRun | undefined {
  const value = inode?.xattrs.get(leaseXattr);
  if (value === undefined) return undefined;
  assert(value.length === lease_disk.size, "a lease names one run of blocks");
  return lease_disk.decode(value, 0);
}

/** Why nobody can have written the lease of an inode; undefined: it has none, or it is the file's own run of blocks. */
export function wrongWithLease(inode: Pick<Inode, "extents" | "xattrs">): string | undefined {
  if (!inode.xattrs.has(leaseXattr)) return undefined;
  const run = decoded(() => leaseOf(inode)!);
  if (run === undefined) return "has a lease of a block view that says nothing";
  const { page, count } = run;
  let next = 0;
  for (const { filePage, devicePage, count: pages, state } of inode.extents.range(0, count)) {
    if (filePage !== next || devicePage !== page + filePage || state === "shared") break;
    next = filePage + pages;
  }
  return next === count ? undefined : `has a lease of a block view of blocks ${page} to ${page + count - 1}, which are not its own`;
}
