// Names of inodes that exist: lookup, link, unlink, rmdir, and the end of an inode.

import { FsError, ViewedError } from "../base/errors";
import type { Inode } from "../volume/inode";
import type { Directory } from "./attributes";
import { direntType, isDirectory } from "./modes";
import {
  checkName, directoryOf, inodeOf, isDot, livingDirectoryOf, type Caller, type Space,
} from "./space";
import { Transaction } from "./transaction";

/** undefined: there is no such name. "." of any inode is how the kernel turns a file handle into an inode (fuse_get_dentry). */
export function lookup(space: Space, parent: number, name: string): Inode | undefined {
  checkName(name);
  if (name === ".") return linked(inodeOf(space, parent));
  const directory = directoryOf(space, parent);
  if (name === "..") return inodeOf(space, directory.parent ?? parent);
  const entry = directory.entries.get(name);
  return entry === undefined ? undefined : inodeOf(space, entry.ino);
}

function linked(inode: Inode): Inode {
  if (inode.nlink === 0) throw new FsError("ESTALE", `cannot find ino ${inode.ino} by its number: its last name was removed`);
  return inode;
}

export function link(space: Space, caller: Caller, ino: number, parent: number, name: string): void {
  checkName(name);
  const inode = inodeOf(space, ino);
  const directory = livingDirectoryOf(space, parent);
  if (isDirectory(inode)) throw new FsError("EPERM");
  if (isDot(name) || directory.entries.has(name)) throw new FsError("EEXIST");
  if (inode.nlink === 0) throw new FsError("ENOENT", `cannot link ino ${ino}: its last name was removed`);
  const transaction = new Transaction(space);
  transaction.addLink(ino);
  transaction.touch(parent);
  transaction.enter(parent, name, ino, direntType(inode.mode));
  transaction.commit(caller, ino);
}

/** Returns the inode that lost the name. */
export function unlink(space: Space, caller: Caller, parent: number, name: string): number {
  const directory = directoryOf(space, parent);
  const inode = existing(space, directory, name);
  if (isDirectory(inode)) throw new FsError("EISDIR");
  // As may_delete (fs/namei.c) for an active swapfile.
  if (space.leases.isViewed(inode.ino)) throw new ViewedError("EPERM", `cannot unlink ${name}: ino ${inode.ino} is in use as swap, run swapfs swapoff first`);
  const transaction = new Transaction(space);
  transaction.leave(parent, name);
  transaction.touch(parent);
  transaction.removeLink(inode);
  transaction.commit(caller, inode.ino);
  return inode.ino;
}

export function removeDirectory(space: Space, caller: Caller, parent: number, name: string): void {
  const directory = directoryOf(space, parent);
  if (name === "..") throw new FsError("ENOTEMPTY");
  const inode = existing(space, directory, name);
  if (!isDirectory(inode)) throw new FsError("ENOTDIR");
  if (inode.entries!.size > 0) throw new FsError("ENOTEMPTY");
  const transaction = new Transaction(space);
  transaction.leave(parent, name);
  transaction.touch(parent, -1);
  transaction.removeLink(inode);
  transaction.commit(caller, inode.ino);
}

/** Frees an inode that has neither a name nor an open handle. Nothing to do for any other. */
export function freeOrphan(space: Space, ino: number): void {
  const inode = space.volume.inode(ino);
  if (inode === undefined || inode.nlink > 0 || space.isOpen(ino)) return;
  const runs = space.commit([{ kind: "drop-inode", ino }]);
  space.listings.forget(ino);
  space.deferredFree.free(ino, runs);
}

/** The inode that `name` stands for in `directory`; ENOENT when there is none. */
export function existing(space: Space, directory: Directory, name: string): Inode {
  checkName(name);
  if (isDot(name)) throw new FsError("EINVAL");
  const entry = directory.entries.get(name);
  if (entry === undefined) throw new FsError("ENOENT");
  return inodeOf(space, entry.ino);
}
