// After a power cut: file pages whose record reached the device, while their data perhaps did not. What lies there may be
// what another file, or another program's memory, left. Such a page gets back the block that it had before, where that
// still is its own; else it reads as zeros.

import { logLine } from "../base/log";
import type { BlockDevice } from "./blockdevice";
import { loadCheckpoint, type CheckpointHead } from "./checkpoint";
import type { Change, Extent, ExtentState } from "./changes";
import { clip, mergeNeighbours } from "./extents";
import { readJournal, type JournalCursor } from "./journal";
import { RunSet } from "./runs";
import type { Space } from "./space";
import { apply, type Effects, type VolumeState } from "./state";
import type { Geometry } from "./superblock";

export interface Undurable {
  /** Device pages that cannot be trusted. */
  readonly pages: ReadonlySet<number>;
  /** What pages of files that lie on such ones had before, by `placeOf`. None: it read as zeros. */
  readonly before: ReadonlyMap<string, Before>;
}

interface Before {
  readonly devicePage: number;
  readonly state: ExtentState;
}

export const nothingUndurable: Undurable = { pages: new Set(), before: new Map() };

/**
 * What the records after `durable` that were not written in `boot` give to files. Replays anew from the checkpoint: this
 * is rare, and whether it is needed at all is known only after the first replay.
 */
export function findUndurable(
  device: BlockDevice, geometry: Geometry, head: CheckpointHead, start: JournalCursor, durable: number, boot: number,
): Undurable {
  const state = loadCheckpoint(device, geometry, head);
  const found = { pages: new Set<number>(), before: new Map<string, Before>() };
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
export function withdraw(state: VolumeState, space: Space, undurable: Undurable): void {
  if (undurable.pages.size === 0) return;
  const owned = pagesIn(state, (extent) => extent.state === "written");
  for (const inode of state.inodes.values()) {
    for (const extent of [...inode.extents]) {
      if (extent.state === "unwritten" || !touches(extent, undurable.pages)) continue;
      const extents = mergeNeighbours(pagesOf(extent).flatMap((page) => replacement(inode.ino, page, undurable, owned, space)));
      const effects: Effects = { added: [], removed: [] };
      apply(state, { kind: "set-extents", ino: inode.ino, filePage: extent.filePage, count: extent.count, extents }, effects);
      space.release(space.settle(effects));
    }
  }
  logLine(`${undurable.pages.size} pages that were written just before the machine stopped are as they were before that`);
}

function note(
  state: VolumeState, change: Extract<Change, { kind: "set-extents" }>, trusted: RunSet,
  { pages, before }: { pages: Set<number>; before: Map<string, Before> },
): void {
  const mapped = state.inodes.get(change.ino)?.extents;
  for (const extent of change.extents) {
    if (extent.state === "unwritten") continue;
    for (const { filePage, devicePage } of pagesOf(extent)) {
      if (trusted.runAt(devicePage) !== undefined) continue;
      pages.add(devicePage);
      const old = mapped?.find(filePage);
      const oldPage = old === undefined ? 0 : old.devicePage + filePage - old.filePage;
      const place = placeOf(change.ino, filePage);
      if (old === undefined || old.state === "unwritten") before.delete(place);
      else if (!pages.has(oldPage)) before.set(place, { devicePage: oldPage, state: old.state });
    }
  }
}

function replacement(ino: number, page: Extent, undurable: Undurable, owned: RunSet, space: Space): Extent[] {
  if (!undurable.pages.has(page.devicePage)) return [page];
  const before = undurable.before.get(placeOf(ino, page.filePage));
  if (before !== undefined && owned.runAt(before.devicePage) === undefined) {
    const free = space.adopt({ page: before.devicePage, count: 1 });
    return [{ ...page, devicePage: before.devicePage, state: free ? before.state : "shared" }];
  }
  return page.state === "shared" ? [] : [{ ...page, state: "unwritten" }];
}

function placeOf(ino: number, filePage: number): string {
  return `${ino}:${filePage}`;
}

function touches(extent: Extent, pages: ReadonlySet<number>): boolean {
  for (let page = extent.devicePage; page < extent.devicePage + extent.count; page += 1) if (pages.has(page)) return true;
  return false;
}

function pagesOf(extent: Extent): Extent[] {
  return Array.from({ length: extent.count }, (_, n) => clip(extent, extent.filePage + n, extent.filePage + n + 1));
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
