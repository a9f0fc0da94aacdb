// The whole volume in memory, and the one function that changes it: for a live commit, for a replayed record and for
// the items of a checkpoint alike.

import { assert, assertNever } from "../base/assert";
import type { DeviceRun } from "./blockdevice";
import type { Change, Extent, RequestId } from "./changes";
import { entryBytes, inodeBytes, xattrBytes, requestBytes, type Item } from "./codec";
import { extent_disk, extents_disk, item_disk } from "./format";
import { InodeRecord } from "./inode";

export const rootIno = 1;
/** Requests that are remembered: more than the kernel can have under way at once. */
export const recentRequestsMax = 4096;
/** A checkpoint cuts long maps into items of this many extents, so that it can be written through a small buffer. */
export const extentsPerItem = 2048;

export class VolumeState {
  readonly inodes = new Map<number, InodeRecord>();
  /** Inodes without a name that still exist: they are in use, or were when the machine stopped. */
  readonly orphans = new Set<number>();
  nextIno = rootIno + 1;
  /** What a checkpoint of all this takes. */
  checkpointBytes = recentRequestsMax * requestBytes;
  /** By session << 64 | unique, oldest first. */
  readonly #requests = new Map<bigint, RequestId>();

  doneRequest(session: bigint, unique: bigint): RequestId | undefined {
    return this.#requests.get(requestKey(session, unique));
  }

  remember(request: RequestId): void {
    const key = requestKey(request.session, request.unique);
    this.#requests.delete(key);
    this.#requests.set(key, request);
    if (this.#requests.size > recentRequestsMax) this.#requests.delete(this.#requests.keys().next().value!);
  }

  requests(): IterableIterator<RequestId> {
    return this.#requests.values();
  }
}

/** Blocks that a list of changes begins and ceases to use. A block may be in both. */
export interface Effects {
  readonly added: DeviceRun[];
  readonly removed: (DeviceRun & { readonly shared: boolean })[];
}

/** Carries out one change. `effects` is filled when given. Throws AssertionError when it does not fit the state. */
export function apply(state: VolumeState, item: Item, effects?: Effects): void {
  switch (item.kind) {
    case "put-inode": return putInode(state, item);
    case "drop-inode": return dropInode(state, item.ino, effects);
    case "put-entry": return putEntry(state, item);
    case "drop-entry": return dropEntry(state, item);
    case "set-extents": return setExtents(state, item, effects);
    case "put-xattr": return putXattr(state, item.ino, item.name, item.value);
    case "drop-xattr": return dropXattr(state, item.ino, item.name);
    case "request": return state.remember(item.request);
    default: return assertNever(item);
  }
}

/** Bytes of a checkpoint that `extents` extents of one file take. */
export function extentBytes(extents: number): number {
  return Math.ceil(extents / extentsPerItem) * (item_disk.size + extents_disk.size) + extents * extent_disk.size;
}

type Of<K extends Change["kind"]> = Extract<Change, { kind: K }>;

function requestKey(session: bigint, unique: bigint): bigint {
  return (session << 64n) | unique;
}

function inodeOf(state: VolumeState, ino: number): InodeRecord {
  const inode = state.inodes.get(ino);
  assert(inode !== undefined, `inode ${ino} exists`);
  return inode;
}

function entriesOf(state: VolumeState, ino: number): Map<string, { ino: number; type: number }> {
  const { entries } = inodeOf(state, ino);
  assert(entries !== undefined, `inode ${ino} is a directory`);
  return entries;
}

function putInode(state: VolumeState, change: Of<"put-inode">): void {
  const known = state.inodes.get(change.ino);
  const inode = known ?? new InodeRecord(change.ino, change.attributes);
  if (known === undefined) {
    state.inodes.set(change.ino, inode);
    state.checkpointBytes += inodeBytes(0);
  } else inode.setAttributes(change.attributes);
  if (change.target !== undefined) {
    state.checkpointBytes += inodeBytes(change.target.length) - inodeBytes(inode.target?.length ?? 0);
    inode.target = change.target;
  }
  if (change.parent !== undefined) inode.parent = change.parent;
  if (inode.nlink === 0) state.orphans.add(change.ino);
  else state.orphans.delete(change.ino);
  if (change.ino >= state.nextIno) state.nextIno = change.ino + 1;
}

function dropInode(state: VolumeState, ino: number, effects: Effects | undefined): void {
  const inode = inodeOf(state, ino);
  assert(ino !== rootIno, "the root directory stays");
  assert(inode.entries === undefined || inode.entries.size === 0, "a directory is empty before it goes");
  if (effects !== undefined) for (const extent of inode.extents) effects.removed.push(runOf(extent));
  state.checkpointBytes -= inodeBytes(inode.target?.length ?? 0) + extentBytes(inode.extents.length);
  for (const [name, value] of inode.xattrs) state.checkpointBytes -= xattrBytes(name.length, value.length);
  state.inodes.delete(ino);
  state.orphans.delete(ino);
}

function putEntry(state: VolumeState, change: Of<"put-entry">): void {
  const entries = entriesOf(state, change.parent);
  if (!entries.has(change.name)) state.checkpointBytes += entryBytes(change.name.length);
  entries.set(change.name, { ino: change.ino, type: change.type });
}

function dropEntry(state: VolumeState, change: Of<"drop-entry">): void {
  const there = entriesOf(state, change.parent).delete(change.name);
  assert(there, `directory ${change.parent} has the entry that is dropped`);
  state.checkpointBytes -= entryBytes(change.name.length);
}

function setExtents(state: VolumeState, change: Of<"set-extents">, effects: Effects | undefined): void {
  const { extents } = inodeOf(state, change.ino);
  const before = extents.length;
  const removed = extents.replace(change.filePage, change.count, change.extents);
  if (effects !== undefined) {
    for (const extent of removed) effects.removed.push(runOf(extent));
    for (const extent of change.extents) effects.added.push(runOf(extent));
  }
  state.checkpointBytes += extentBytes(extents.length) - extentBytes(before);
}

function putXattr(state: VolumeState, ino: number, name: string, value: Buffer): void {
  const inode = inodeOf(state, ino);
  const before = inode.xattrs.get(name);
  if (before !== undefined) state.checkpointBytes -= xattrBytes(name.length, before.length);
  state.checkpointBytes += xattrBytes(name.length, value.length);
  inode.setXattr(name, value);
}

function dropXattr(state: VolumeState, ino: number, name: string): void {
  const inode = inodeOf(state, ino);
  const before = inode.xattrs.get(name);
  assert(before !== undefined, `inode ${ino} has the xattr that is dropped`);
  state.checkpointBytes -= xattrBytes(name.length, before.length);
  inode.dropXattr(name);
}

function runOf(extent: Extent): DeviceRun & { readonly shared: boolean } {
  return { page: extent.devicePage, count: extent.count, shared: extent.state === "shared" };
}
