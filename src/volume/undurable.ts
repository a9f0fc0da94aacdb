// After a power cut: file pages whose record reached the device, while their data perhaps did not. What lies there may be
// what another file, or another program's memory, left. Such a page gets back the block that it had before, where that
// still is its own; else it reads as zeros.

import { logLine } from "../base/log";
import type { BlockDevice } from "./blockdevice";
import { loadCheckpoint, type CheckpointHead } from "./checkpoint";
import type { Change, Extent } from "./changes";
import { ExtentMap, clip, endOf, mergeNeighbours, split } from "./extents";
import { readJournal, type JournalCursor } from "./journal";
import { leaseXattr } from "./lease";
import { RunSet } from "./runs";
import type { Space } from "./space";
import { apply, type Effects, type VolumeState } from "./state";
import type { Geometry } from "./superblock";

export interface Undurable {
  /** Device pages that cannot be trusted. */
  readonly pages: RunSet;
  /** By inode: what pages of the file that lie on such ones had before. None: they read as zeros. */
  readonly before: ReadonlyMap<number, ExtentMap>;
}

type Found = Undurable & { readonly before: Map<number, ExtentMap> };

export const nothingUndurable: Undurable = { pages: new RunSet(), before: new Map() };

/**
 * What the records after `durable` that were not written in `boot` give to files. Replays anew from the checkpoint: this
 * is rare, and whether it is needed at all is known only after the first replay.
 */
export function findUndurable(
  device: BlockDevice, geometry: Geometry, head: CheckpointHead, start: JournalCursor, durable: number, boot: number,
): Undurable {
  const state = loadCheckpoint(device, geometry, head);
  const found: Found = { pages: new RunSet(), before: new Map() };
  let trusted: RunSet | undefined;
  let writtenIn = 0;
  readJournal(device, geometry, start, (record) => {
    writtenIn = record.boot ?? writtenIn;
    if (record.sequence > durable) trusted ??= dataPages(state);
    const suspect = trusted !== undefined && writtenIn !== boot;
    for (const item of record.items) {
      if (suspect && item.kind === "set-extents") note(state, item, trusted!, found);
      apply(state, item);
    }
  });
  return found;
}

/**
 * Takes undurable pages away from the files of `state`, in memory: checkpoints of both sides must follow before anything is
 * journaled.
 */
export function withdraw({ dataStart, blockCount }: Geometry, state: VolumeState, space: Space, undurable: Undurable): void {
  if (undurable.pages.pages === 0) return;
  const owned = pagesIn(state, (extent) => extent.state === "written");
  owned.add(0, dataStart); // nor does a file get back what is no file's
  owned.add(blockCount, Number.MAX_SAFE_INTEGER - blockCount);
  for (const inode of state.inodes.values()) {
    for (const extent of [...inode.extents]) {
      if (extent.state === "unwritten" || !undurable.pages.intersects(extent.devicePage, extent.count)) continue;
      const extents = mergeNeighbours([...splitBy(extent, undurable.pages)].flatMap(({ part, inside }) =>
        inside ? replacements(part, undurable.before.get(inode.ino), owned, space) : [part]));
      const effects: Effects = { added: [], removed: [] };
      if (inode.xattrs.has(leaseXattr)) apply(state, { kind: "drop-xattr", ino: inode.ino, name: leaseXattr });
      apply(state, { kind: "set-extents", ino: inode.ino, filePage: extent.filePage, count: extent.count, extents }, effects);
      space.release(space.settle(effects));
    }
  }
  logLine(`${undurable.pages.pages} pages whose data was lost, or became another file's, are as they were before that`);
}

/** By runs, here and below: a volume of terabytes takes no longer than its extents. */
function note(state: VolumeState, change: Extract<Change, { kind: "set-extents" }>, trusted: RunSet, { pages, before }: Found): void {
  const mapped = state.inodes.get(change.ino)?.extents;
  for (const extent of change.extents) {
    if (extent.state === "unwritten") continue;
    for (const { part, inside } of splitBy(extent, trusted)) {
      if (inside) continue;
      for (const run of pages.without(part.devicePage, part.count)) pages.add(run.page, run.count);
      let known = before.get(change.ino);
      if (known === undefined) before.set(change.ino, (known = new ExtentMap()));
      noteBefore(known, part, mapped, pages);
    }
  }
}

/** A page that lay on an undurable one already keeps what it had before that. */
function noteBefore(known: ExtentMap, { filePage, count }: Extent, mapped: ExtentMap | undefined, pages: RunSet): void {
  for (const hole of mapped?.holes(filePage, count) ?? [{ page: filePage, count }]) known.replace(hole.page, hole.count, []);
  for (const old of mapped?.range(filePage, count) ?? []) {
    if (old.state === "unwritten") known.replace(old.filePage, old.count, []);
    else for (const { part, inside } of splitBy(old, pages)) if (!inside) known.replace(part.filePage, part.count, [part]);
  }
}

/** What `undone`, all of it undurable, becomes: the blocks of before where no file has them for itself, else zeros. */
function replacements(undone: Extent, before: ExtentMap | undefined, owned: RunSet, space: Space): Extent[] {
  const made: Extent[] = [];
  let at = undone.filePage;
  const zerosTo = (page: number): void => {
    if (page > at && undone.state === "written") made.push({ ...clip(undone, at, page), state: "unwritten" });
  };
  for (const old of before?.range(undone.filePage, undone.count) ?? []) {
    for (const { part, inside } of splitBy(old, owned)) {
      if (inside) continue;
      zerosTo(part.filePage);
      const free = new RunSet();
      for (const run of space.adoptWithin({ page: part.devicePage, count: part.count })) free.add(run.page, run.count);
      for (const { part: piece, inside: isFree } of splitBy(part, free)) made.push(isFree ? piece : { ...piece, state: "shared" });
      at = endOf(part);
    }
  }
  zerosTo(endOf(undone));
  return made;
}

function splitBy(extent: Extent, pages: RunSet): IterableIterator<{ part: Extent; inside: boolean }> {
  return split(extent, pages.within(extent.devicePage, extent.count));
}

function dataPages(state: VolumeState): RunSet {
  return pagesIn(state, (extent) => extent.state !== "unwritten");
}

/** Device pages of the extents that `wanted` picks; shared ones once. */
function pagesIn(state: VolumeState, wanted: (extent: Extent) => boolean): RunSet {
  const pages = new RunSet();
  const picked = [...state.inodes.values()].flatMap((inode) => [...inode.extents].filter(wanted));
  let end = 0;
  for (const { devicePage, count } of picked.sort((a, b) => a.devicePage - b.devicePage)) {
    const from = Math.max(end, devicePage);
    end = Math.max(end, devicePage + count);
    if (end > from) pages.add(from, end - from);
  }
  return pages;
}
