// rename(2) and renameat2(2).

import { FsError, ViewedError } from "../base/errors";
import type { Inode } from "../volume/inode";
import { existing } from "./links";
import { direntType, isDirectory } from "./modes";
import { checkName, directoryOf, inodeOf, isDot, livingDirectoryOf, type Caller, type Space } from "./space";
import { Transaction } from "./transaction";

export interface RenameFlags {
  readonly noReplace: boolean;
  readonly exchange: boolean;
  /** overlayfs only; a whiteout has no meaning here */
  readonly whiteout: boolean;
}

export interface Place {
  readonly parent: number;
  readonly name: string;
}

export function rename(space: Space, caller: Caller, from: Place, to: Place, flags: RenameFlags): void {
  if (flags.whiteout || (flags.noReplace && flags.exchange)) throw new FsError("EINVAL");
  if (isDot(from.name) || isDot(to.name)) throw new FsError(flags.noReplace ? "EEXIST" : "EBUSY");
  checkName(to.name);
  const source = existing(space, directoryOf(space, from.parent), from.name);
  const target = entryAt(space, to);
  checkNotHeld(space, from, source.ino);
  if (target !== undefined && target.ino !== source.ino) checkNotHeld(space, to, target.ino);
  if (flags.exchange) {
    if (target === undefined) throw new FsError("ENOENT");
    return exchange(space, caller, { ...from, inode: source }, { ...to, inode: target });
  }
  if (target !== undefined && flags.noReplace) throw new FsError("EEXIST");
  if (target?.ino === source.ino) return; // two names of one file: POSIX says that nothing happens
  if (target !== undefined) checkReplaceable(source, target);
  if (isDirectory(source)) checkNotBelow(space, source.ino, to.parent);
  move(space, caller, { ...from, inode: source }, to, target);
}

interface Named extends Place {
  readonly inode: Inode;
}

function move(space: Space, caller: Caller, from: Named, to: Place, target: Inode | undefined): void {
  const transaction = new Transaction(space);
  const source = from.inode;
  const moves = isDirectory(source) && from.parent !== to.parent ? 1 : 0;
  const replaces = target !== undefined && isDirectory(target) ? 1 : 0;
  transaction.leave(from.parent, from.name);
  if (target !== undefined) transaction.leave(to.parent, to.name);
  transaction.enter(to.parent, to.name, source.ino, direntType(source.mode));
  transaction.touch(from.parent, -moves);
  transaction.touch(to.parent, moves - replaces);
  transaction.change(source.ino, { ctime: transaction.now });
  if (moves > 0) transaction.move(source.ino, to.parent);
  if (target !== undefined) transaction.removeLink(target);
  transaction.commit(caller, source.ino);
}

function exchange(space: Space, caller: Caller, a: Named, b: Named): void {
  if (a.inode.ino === b.inode.ino) return;
  if (isDirectory(a.inode)) checkNotBelow(space, a.inode.ino, b.parent);
  if (isDirectory(b.inode)) checkNotBelow(space, b.inode.ino, a.parent);
  const transaction = new Transaction(space);
  const difference = a.parent === b.parent ? 0 : Number(isDirectory(b.inode)) - Number(isDirectory(a.inode));
  transaction.leave(a.parent, a.name);
  transaction.leave(b.parent, b.name);
  transaction.enter(a.parent, a.name, b.inode.ino, direntType(b.inode.mode));
  transaction.enter(b.parent, b.name, a.inode.ino, direntType(a.inode.mode));
  transaction.touch(a.parent, difference);
  transaction.touch(b.parent, -difference);
  for (const [moved, parent] of [[a.inode, b.parent], [b.inode, a.parent]] as const) {
    transaction.change(moved.ino, { ctime: transaction.now });
    if (isDirectory(moved) && a.parent !== b.parent) transaction.move(moved.ino, parent);
  }
  transaction.commit(caller, a.inode.ino);
}

function entryAt(space: Space, place: Place): Inode | undefined {
  const entry = livingDirectoryOf(space, place.parent).entries.get(place.name);
  return entry === undefined ? undefined : inodeOf(space, entry.ino);
}

/** As may_delete (fs/namei.c) for an active swapfile: EPERM, whether it is renamed, replaced or exchanged. */
function checkNotHeld(space: Space, { name }: Place, ino: number): void {
  if (space.leases.isViewed(ino)) throw new ViewedError("EPERM", `cannot rename ${name}: ino ${ino} is in use as swap, run swapfs swapoff first`);
  if (space.leases.isHeld(ino)) throw new FsError("EPERM", `cannot rename ${name}: ino ${ino} is pinned, unpin it first`);
}

function checkReplaceable(source: Inode, target: Inode): void {
  if (isDirectory(source) && !isDirectory(target)) throw new FsError("ENOTDIR");
  if (!isDirectory(source) && isDirectory(target)) throw new FsError("EISDIR");
  if (target.entries !== undefined && target.entries.size > 0) throw new FsError("ENOTEMPTY");
}

/** A directory cannot move into itself: the tree would lose its root (lock_rename, fs/namei.c, checks it as well). */
function checkNotBelow(space: Space, ino: number, parent: number): void {
  for (let at = parent; ; ) {
    if (at === ino) throw new FsError("EINVAL");
    const above = directoryOf(space, at).parent ?? at;
    if (above === at) return;
    at = above;
  }
}
