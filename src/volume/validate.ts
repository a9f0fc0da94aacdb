// What a commit must not be: checked before anything is written, so that a record on disk always applies.

import { AssertionError, assert } from "../base/assert";
import { bytesOfPages } from "../base/units";
import {
  S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, nameBytesMax, targetBytesMax, xattrNameBytesMax, xattrValueBytesMax, type Change, type Extent,
} from "./changes";
import type { Inode } from "./inode";
import { isLease, leasedPages, leaseOf, leaseXattr, wrongWithLease } from "./lease";
import { pagesOf } from "./runs";
import type { Space } from "./space";
import { rootIno, type VolumeState } from "./state";
import type { Geometry } from "./superblock";

/** Throws an AssertionError for changes that make no sense on `state`: a bug of the caller. */
export function checkChanges(geometry: Geometry, state: VolumeState, space: Space, changes: readonly Change[]): void {
  assert(changes.length > 0, "a commit changes something");
  for (const [index, change] of changes.entries()) checkChange(geometry, state, space, change, changes.slice(0, index));
}

/** Why nobody can have committed `inode` as it was read, whatever the CRC says; undefined: somebody can. */
export function whyImpossible(state: VolumeState, inode: Inode): string | undefined {
  const { ino, target, parent } = inode;
  const wrong = wrongWith(inode);
  if (wrong !== undefined) return wrong;
  try {
    checkInode(state, { kind: "put-inode", ino, attributes: inode, target, parent });
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error;
    return `is impossible (${error.message})`;
  }
  if (inode.nlink > 0) return undefined;
  if (ino === rootIno) return "is the root directory and has no links";
  return inode.entries !== undefined && inode.entries.size > 0 ? "is a directory that was removed and is not empty" : undefined;
}

function wrongWith(inode: Inode): string | undefined {
  const type = inode.mode & S_IFMT;
  if (!Number.isSafeInteger(inode.size) || inode.size < 0) return `has the impossible size ${inode.size}`;
  if ((type === S_IFDIR) !== (inode.entries !== undefined)) return "is a directory without entries or the other way round";
  if (type === S_IFLNK && inode.target === undefined) return "is a symlink without a target";
  if (type !== S_IFREG && inode.extents.length > 0) return `has ${bytesOfPages(inode.pages)} bytes of blocks and is no regular file`;
  return wrongWithLease(inode);
}

function checkChange(
  geometry: Geometry, state: VolumeState, space: Space, change: Change, earlier: readonly Change[],
): void {
  switch (change.kind) {
    case "put-inode": return checkInode(state, change);
    case "drop-inode":
      assert(leaseOf(state.inodes.get(change.ino)) === undefined, `inode ${change.ino} is not dropped while its blocks are leased`);
      return assert(exists(state, change.ino, earlier), `inode ${change.ino} exists before it is dropped`);
    case "put-entry":
      checkName(change.name);
      return assert(modeOf(state, change.parent, earlier) === S_IFDIR, `entries are put into a directory, not ${change.parent}`);
    case "drop-entry": {
      const made = earlier.some((put) => put.kind === "put-entry" && put.parent === change.parent && put.name === change.name);
      return assert(made || state.inodes.get(change.parent)?.entries?.has(change.name), `directory ${change.parent} has the entry`);
    }
    case "set-extents": return checkExtents(geometry, state, space, change, earlier);
    case "put-xattr":
      assert(change.name.length >= 1 && change.name.length <= xattrNameBytesMax, "an xattr's name has 1 to 255 bytes");
      assert(change.value.length <= xattrValueBytesMax, "an xattr's value has at most 65,536 bytes");
      if (isLease(change)) checkLease(state.inodes.get(change.ino), change.value);
      return assert(exists(state, change.ino, earlier), `inode ${change.ino} exists`);
    case "drop-xattr":
      return assert(state.inodes.get(change.ino)?.xattrs.has(change.name), `inode ${change.ino} has the xattr`);
  }
}

/** No other change of the same commit is about the file. */
function checkLease(inode: Inode | undefined, value: Buffer): void {
  assert(inode !== undefined && leaseOf(inode) === undefined, "a file exists and has one lease at most");
  const wrong = wrongWithLease({ extents: inode.extents, xattrs: new Map([[leaseXattr, value]]) });
  assert(wrong === undefined, `inode ${inode.ino} ${wrong}`);
}

type Of<K extends Change["kind"]> = Extract<Change, { kind: K }>;

function checkInode(state: VolumeState, change: Of<"put-inode">): void {
  const known = state.inodes.get(change.ino);
  const type = change.attributes.mode & S_IFMT;
  assert(type !== 0, "an inode's mode has its file type");
  assert(known === undefined || (known.mode & S_IFMT) === type, "an inode keeps its file type");
  assert(change.ino > 0 && change.ino < state.nextIno, "an inode number comes from nextIno()");
  assert((change.target?.length ?? 0) <= targetBytesMax, "a symlink's target has at most 4,095 bytes");
  assert(type !== S_IFDIR || (change.parent ?? known?.parent ?? 0) > 0, "a directory has a parent");
  const { atime, mtime, ctime } = change.attributes;
  for (const time of [atime, mtime, ctime]) {
    assert(time.nanoseconds >= 0 && time.nanoseconds < 1e9, "nanoseconds are 0 to 999,999,999");
  }
}

function checkName(name: string): void {
  assert(name.length >= 1 && name.length <= nameBytesMax, "a name has 1 to 255 bytes");
  assert(name !== "." && name !== ".." && !name.includes("/") && !name.includes("\0"), "a name is one component");
}

function checkExtents(
  geometry: Geometry, state: VolumeState, space: Space, change: Of<"set-extents">, earlier: readonly Change[],
): void {
  assert(modeOf(state, change.ino, earlier) === S_IFREG, `extents belong to a regular file, not inode ${change.ino}`);
  assert(change.filePage >= leasedPages(state.inodes.get(change.ino)), `the blocks of inode ${change.ino} that are leased stay as they are`);
  let at = change.filePage;
  for (const extent of change.extents) {
    assert(extent.count > 0 && extent.filePage >= at, "extents are sorted and do not overlap");
    assert(extent.devicePage >= geometry.dataStart && extent.devicePage + extent.count <= geometry.blockCount,
      "extents lie in the data area: block 0 means hole to bmap, and metadata is no file's");
    const run = { page: extent.devicePage, count: extent.count };
    space.checkUsable(run);
    assert(extent.state === "shared" || space.reservedPages(run) + ownPages(state, space, change.ino, extent) === extent.count,
      `an extent of inode ${change.ino} uses pages that are reserved, or its own where they were`);
    at = extent.filePage + extent.count;
  }
  assert(at <= change.filePage + change.count, "extents lie in the range that they replace");
}

/** Pages of `extent` that the inode has there already, alone. */
function ownPages(state: VolumeState, space: Space, ino: number, extent: Extent): number {
  let pages = 0;
  for (const old of state.inodes.get(ino)?.extents.range(extent.filePage, extent.count) ?? []) {
    if (old.devicePage - old.filePage !== extent.devicePage - extent.filePage) continue;
    pages += old.state === "shared" ? pagesOf(space.soleRuns(old.devicePage, old.count)) : old.count;
  }
  return pages;
}

function exists(state: VolumeState, ino: number, earlier: readonly Change[]): boolean {
  return state.inodes.has(ino) || earlier.some((put) => put.kind === "put-inode" && put.ino === ino);
}

/** The file type of `ino`, as an earlier change of the same commit has it. */
function modeOf(state: VolumeState, ino: number, earlier: readonly Change[]): number | undefined {
  const known = state.inodes.get(ino);
  if (known !== undefined) return known.mode & S_IFMT;
  const put = earlier.find((change): change is Of<"put-inode"> => change.kind === "put-inode" && change.ino === ino);
  return put && put.attributes.mode & S_IFMT;
}
