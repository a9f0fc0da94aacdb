// One walk over a file's extents: which pages are missing, which belong to another file too, where a page lies.

import type { PageRange } from "./verdict";

export interface WalkedExtent {
  readonly filePage: number;
  readonly devicePage: number;
  readonly count: number;
  readonly state: "written" | "unwritten" | "shared";
}

/**
 * Walks pages [0, pages). `extents`: in the order of the file's pages; of the answer how many hold a page of the file, neighbours on
 * file and device counted once, as swapon counts them.
 */
export function walkExtents(extents: Iterable<WalkedExtent>, pages: number) {
  const holes: PageRange[] = [];
  const shared: PageRange[] = [];
  let next = 0;
  let nextDevice = -1;
  let count = 0;
  for (const extent of extents) {
    const end = Math.min(extent.filePage + extent.count, pages);
    if (extent.filePage >= pages) break;
    if (extent.filePage > next) holes.push({ page: next, count: extent.filePage - next });
    if (extent.state === "shared") addRange(shared, { page: extent.filePage, count: end - extent.filePage });
    if (extent.filePage > next || extent.devicePage !== nextDevice) count += 1;
    next = end;
    nextDevice = extent.devicePage + extent.count;
  }
  if (next < pages) holes.push({ page: next, count: pages - next });
  return { holes, shared, extents: count };
}

/** Adds a run that begins at or behind the start of the last one, joined with it where they touch or overlap. */
export function addRange(ranges: PageRange[], range: PageRange): void {
  const last = ranges.at(-1);
  if (last === undefined || last.page + last.count < range.page) {
    ranges.push(range);
    return;
  }
  const end = Math.max(last.page + last.count, range.page + range.count);
  ranges[ranges.length - 1] = { page: last.page, count: end - last.page };
}
