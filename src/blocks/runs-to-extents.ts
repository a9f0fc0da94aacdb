// How reserved blocks become extents.

import type { DeviceRun } from "../volume/blockdevice";
import type { Extent, ExtentState } from "../volume/changes";
import type { Inode } from "../volume/inode";

export interface FileRun {
  readonly page: number;
  readonly count: number;
}

/** Puts `runs` into `holes`, both in order; their pages are equally many. */
export function placeRuns(holes: readonly FileRun[], runs: readonly DeviceRun[], state: ExtentState): Extent[] {
  const extents: Extent[] = [];
  let index = 0;
  let used = 0;
  for (const hole of holes) {
    for (let page = hole.page; page < hole.page + hole.count; ) {
      const run = runs[index]!;
      const count = Math.min(hole.page + hole.count - page, run.count - used);
      extents.push({ filePage: page, devicePage: run.page + used, count, state });
      page += count;
      used += count;
      if (used === run.count) {
        index += 1;
        used = 0;
      }
    }
  }
  return extents;
}

/** Where on the device page `filePage` should lie, so that it goes on where the page before it lies. */
export function nearOf(inode: Inode, filePage: number): { near?: number } {
  const before = filePage > 0 ? inode.extents.find(filePage - 1) : undefined;
  return before === undefined ? {} : { near: before.devicePage + filePage - before.filePage };
}

/** The extents of pages [page, page + count), clipped to them. */
export function extentsIn(inode: Inode, page: number, count: number): Extent[] {
  return count > 0 ? [...inode.extents.range(page, count)] : [];
}

/** Pages of the range that have no block. */
export function holesIn(inode: Inode, { page, count }: FileRun): FileRun[] {
  return [...inode.extents.holes(page, count)];
}

export function sharedIn(inode: Inode, { page, count }: FileRun): FileRun[] {
  return extentsIn(inode, page, count).filter(({ state }) => state === "shared").map(runOf);
}

export function runOf({ filePage, count }: Extent): FileRun {
  return { page: filePage, count };
}
