// What the namespace needs of the rest: where inodes are kept, who has them open, what time it is.

import { FsError } from "../base/errors";
import type { DeviceRun } from "../volume/blockdevice";
import { nameBytesMax, type Change, type RequestId, type Time } from "../volume/changes";
import type { Inode } from "../volume/inode";
import type { Volume } from "../volume/volume";
import type { Directory } from "./attributes";
import type { Listings } from "./listing";
import { isDirectory } from "./modes";

export interface Space {
  readonly volume: Pick<Volume, "inode" | "nextIno">;
  readonly listings: Listings;
  /** One atomic journal record, then applied. Throws FsError ENOSPC having changed nothing. */
  commit(changes: readonly Change[], request?: RequestId): readonly DeviceRun[];
  now(): Time;
  /** An unlinked inode that is open stays until its last release. */
  isOpen(ino: number): boolean;
  readonly leases: {
    /** Pinned without an open handle. */
    isHeld(ino: number): boolean;
    /** In use as swap, as a block device over its blocks. */
    isViewed(ino: number): boolean;
  };
  readonly deferredFree: {
    /** Blocks that no inode owns any more: free once nobody can still be reading or writing them. */
    free(ino: number, runs: readonly DeviceRun[]): void;
  };
}

/** On whose behalf, and which request of the kernel it is: journaled with its changes, so that it is never done twice. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  readonly request?: { readonly session: bigint; readonly unique: bigint } | undefined;
}

/** ESTALE: path walks of the kernel look the name up again (retry_estale, include/linux/namei.h). */
export function inodeOf(space: Pick<Space, "volume">, ino: number): Inode {
  const inode = space.volume.inode(ino);
  if (inode === undefined) throw new FsError("ESTALE", `cannot find ino ${ino}: it was freed`);
  return inode;
}

export function directoryOf(space: Space, ino: number): Directory {
  const inode = inodeOf(space, ino);
  if (!isDirectory(inode) || inode.entries === undefined) throw new FsError("ENOTDIR");
  return inode as Directory;
}

/** A directory that may get new entries: not one that was removed while somebody had it open. */
export function livingDirectoryOf(space: Space, ino: number): Directory {
  const directory = directoryOf(space, ino);
  if (directory.nlink === 0) throw new FsError("ENOENT", `cannot add to ino ${ino}: the directory was removed`);
  return directory;
}

/** One char is one byte: names are latin1 strings of the raw bytes. */
export function checkName(name: string): void {
  if (name.length > nameBytesMax) throw new FsError("ENAMETOOLONG");
  if (name === "" || name.includes("/") || name.includes("\0")) throw new FsError("EINVAL");
}

export function isDot(name: string): boolean {
  return name === "." || name === "..";
}
