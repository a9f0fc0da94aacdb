// The lease of a block view: the blocks below a file that somebody has as a block device of its own, which no process of ours
// need be there for. It is an attribute of the inode that no program sees, so that journal, checkpoint and replay have it, and
// it ends when that device is gone. While it lasts its blocks stay where they are, whoever owned them before a crash.

import { assert } from "../base/assert";
import { crc32c } from "../base/crc32c";
import { Struct, u32 } from "../base/struct";
import { bytesOfPages } from "../base/units";
import type { DeviceRun } from "./blockdevice";
import type { Change } from "./changes";
import { decoded, u53 } from "./format";
import type { Inode } from "./inode";
import { pagesOf } from "./runs";

/** No name that setxattr(2) may use begins like this (namespace/xattrs.ts). */
export const leaseXattr = "swapfs.block-view";

/** Device pages, which pages [0, count) of the file lie on. */
const lease_disk = new Struct("lease", { page: u53, count: u53 });
/** Of several runs: what they span, how many pages of the file lie there, and a checksum of which in which order. */
const lease_runs_disk = new Struct("lease of several runs", { page: u53, count: u53, pages: u53, checksum: u32, padding: u32 });

/** `runs`: in the order of the file's pages, from its first one on. */
export function leaseChange(ino: number, ...runs: readonly DeviceRun[]): Change {
  const value = runs.length === 1 ? lease_disk.encode(runs[0]!) : lease_runs_disk.encode({ ...spanOf(runs), pages: pagesOf(runs), checksum: checksumOf(runs), padding: 0 });
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

/** Where its blocks lie, with others' between them where they are several runs. */
export function leaseOf(inode: Pick<Inode, "xattrs"> | undefined): DeviceRun | undefined {
  const { page, count } = decodedLease(inode) ?? {};
  return page === undefined || count === undefined ? undefined : { page, count };
}

/**
 * The bytes of the device that a lease is of. `span`: several runs, so a device over all of it is not the file, and has blocks of others in it.
 */
export function leasedPart(inode: Pick<Inode, "ino" | "xattrs"> | undefined): { ino: number; offset: number; length: number; span: boolean } | undefined {
  const lease = decodedLease(inode);
  return lease && { ino: inode!.ino, offset: bytesOfPages(lease.page), length: bytesOfPages(lease.count), span: lease.checksum !== undefined };
}

/** Pages [0, leasedPages) of the file are leased. */
export function leasedPages(inode: Pick<Inode, "xattrs"> | undefined): number {
  return decodedLease(inode)?.pages ?? 0;
}

function decodedLease(inode: Pick<Inode, "xattrs"> | undefined): (DeviceRun & { pages: number; checksum?: number }) | undefined {
  const value = inode?.xattrs.get(leaseXattr);
  if (value === undefined) return undefined;
  if (value.length === lease_runs_disk.size) return lease_runs_disk.decode(value, 0);
  assert(value.length === lease_disk.size, "a lease names runs of blocks");
  const run = lease_disk.decode(value, 0);
  return { ...run, pages: run.count };
}

/** Why nobody can have written the lease of an inode; undefined: it has none, or it is the file's own blocks. */
export function wrongWithLease(inode: Pick<Inode, "extents" | "xattrs">): string | undefined {
  if (!inode.xattrs.has(leaseXattr)) return undefined;
  const lease = decoded(() => decodedLease(inode)!);
  if (lease === undefined) return "has a lease of a block view that says nothing";
  const { page, count, pages, checksum } = lease;
  const runs = ownRuns(inode, pages);
  const span = runs && runs.length > 0 ? spanOf(runs) : undefined;
  const isOwn = span?.page === page && span.count === count && (checksum === undefined ? runs!.length === 1 : checksum === checksumOf(runs!));
  return isOwn ? undefined : `has a lease of a block view of blocks ${page} to ${page + count - 1}, which are not its own`;
}

/** What pages [0, pages) of a file lie on, in their order, each run as long as it can be; undefined: one lies nowhere, or is shared. */
export function ownRuns({ extents }: Pick<Inode, "extents">, pages: number): DeviceRun[] | undefined {
  const runs: { page: number; count: number }[] = [];
  let next = 0;
  for (const { filePage, devicePage, count, state } of extents.range(0, pages)) {
    if (filePage !== next || state === "shared") return undefined;
    const last = runs.at(-1);
    if (last !== undefined && last.page + last.count === devicePage) last.count += count;
    else runs.push({ page: devicePage, count });
    next = filePage + count;
  }
  return next === pages ? runs : undefined;
}

function spanOf(runs: readonly DeviceRun[]): DeviceRun {
  let [page, end] = [Infinity, 0];
  for (const run of runs) [page, end] = [Math.min(page, run.page), Math.max(end, run.page + run.count)];
  return { page, count: end - page };
}

function checksumOf(runs: readonly DeviceRun[]): number {
  return crc32c(Buffer.concat(runs.map((run) => lease_disk.encode(run))));
}
