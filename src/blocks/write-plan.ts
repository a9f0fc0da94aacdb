// What a write needs before it can begin: which pages it keeps, which must be allocated, which it only writes in part.

import { pagesFor, pageSize } from "../base/units";
import type { AskedRange } from "../dataplane/port";
import { attributesOf } from "../namespace/attributes";
import { timeOfNs } from "../namespace/clock";
import { withoutSetId } from "../namespace/modes";
import type { DeviceRun } from "../volume/blockdevice";
import type { Attributes, Extent } from "../volume/changes";
import type { Inode } from "../volume/inode";
import type { Volume } from "../volume/volume";
import { extentsIn, holesIn, placeRuns, runOf, type FileRun } from "./runs-to-extents";
import { trueExtents } from "./unshare";
import type { WriteInFlight } from "./write-in-flight";

export interface WritePlan {
  /** extents that are written where they lie */
  readonly kept: Extent[];
  /** runs that get new blocks: holes, and what is shared */
  readonly missing: FileRun[];
  readonly shared: readonly Extent[];
  /** the extents of the range were shared, or are said to be */
  readonly wasShared: boolean;
}

export interface PageCopy {
  readonly from: number;
  readonly to: number;
}

export function planWrite(inode: Inode, write: WriteInFlight, volume: Volume): WritePlan {
  const old = extentsOf(inode, write);
  const holes = holesIn(inode, { page: write.firstPage, count: write.endPage - write.firstPage });
  if (old.every((extent) => extent.state !== "shared")) return { kept: old, missing: holes, shared: [], wasShared: false };
  const now = trueExtents(volume, old);
  const shared = now.filter((extent) => extent.state === "shared");
  const missing = [...holes, ...shared.map(runOf)].sort((a, b) => a.page - b.page);
  return { kept: now.filter((extent) => extent.state !== "shared"), missing, shared, wasShared: true };
}

/**
 * The extents of a write whose missing pages lie in `runs`, and the pages to copy first: shared ones that the write covers
 * in part. Those have the state written, so that the data plane keeps the rest of them.
 */
export function placeWrite({ range }: WriteInFlight, plan: WritePlan, runs: readonly DeviceRun[]): { extents: Extent[]; copies: PageCopy[] } {
  const fresh = placeRuns(plan.missing, runs, "unwritten");
  const copies: PageCopy[] = [];
  const extents = [...plan.kept];
  const edges = edgePages(range);
  for (const extent of fresh) extents.push(...placeFresh(extent, edges, plan.shared, copies));
  return { extents, copies };
}

function placeFresh(extent: Extent, edges: readonly number[], shared: readonly Extent[], copies: PageCopy[]): Extent[] {
  const parts: Extent[] = [];
  let rest = extent;
  for (const page of edges) {
    const from = pageIn(shared, page);
    if (from === undefined || page < rest.filePage || page >= rest.filePage + rest.count) continue;
    const before = page - rest.filePage;
    const to = rest.devicePage + before;
    if (before > 0) parts.push({ ...rest, count: before });
    parts.push({ filePage: page, devicePage: to, count: 1, state: "written" });
    copies.push({ from, to });
    rest = { ...rest, filePage: page + 1, devicePage: to + 1, count: rest.count - before - 1 };
    if (rest.count === 0) return parts;
  }
  return [...parts, rest];
}

/** Pages of which the write covers a part only. */
function edgePages({ offset, length }: AskedRange): number[] {
  const end = offset + length;
  const pages = new Set<number>();
  if (offset % pageSize !== 0) pages.add(Math.floor(offset / pageSize));
  if (end % pageSize !== 0) pages.add(Math.floor(end / pageSize));
  return [...pages];
}

function pageIn(extents: readonly Extent[], page: number): number | undefined {
  const extent = extents.find(({ filePage, count }) => page >= filePage && page < filePage + count);
  return extent && extent.devicePage + page - extent.filePage;
}

export interface Tail {
  readonly firstPage: number;
  readonly endPage: number;
  readonly devicePage: number;
  /** byte in the page */
  readonly from: number;
  readonly shared: boolean;
}

/** The last page, where it has bytes behind the end of the file that do not read as zeros whatever they are. */
export function writtenTail(inode: Inode): Tail | undefined {
  const from = inode.size % pageSize;
  const endPage = pagesFor(inode.size);
  const extent = from === 0 ? undefined : inode.extents.find(endPage - 1);
  if (extent === undefined || extent.state === "unwritten") return undefined;
  const devicePage = extent.devicePage + endPage - 1 - extent.filePage;
  return { firstPage: endPage - 1, endPage, devicePage, from, shared: extent.state === "shared" };
}

export function extentsOf(inode: Inode, write: WriteInFlight): Extent[] {
  return extentsIn(inode, write.firstPage, write.endPage - write.firstPage);
}

export function afterWrite(inode: Inode, range: AskedRange, timeNs: bigint): Attributes {
  const time = timeOfNs(timeNs);
  return {
    ...attributesOf(inode),
    mode: range.killSuidgid ? withoutSetId(inode.mode) : inode.mode,
    size: Math.max(inode.size, range.offset + range.length),
    mtime: time,
    ctime: time,
  };
}
