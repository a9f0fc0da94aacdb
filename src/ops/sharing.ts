// Shared extents: what of them is still shared, and how a file gets pages of its own. The state on disk says "shared" until
// something writes it anew; how many extents really use a page is counted (src/volume/references.ts).

import type { DataPort } from "../dataplane/port";
import type { AllocationHint } from "../volume/allocator";
import type { DeviceRun } from "../volume/blockdevice";
import type { Change, Extent } from "../volume/changes";
import { clip } from "../volume/extents";
import type { Inode } from "../volume/inode";
import type { Limbo } from "./limbo";
import { extentsIn, nearOf, pagesOf, placeRuns } from "./placing";

export interface SharingParts {
  readonly volume: {
    inode(ino: number): Inode | undefined;
    soleRuns(page: number, count: number): DeviceRun[];
    flush(): Promise<void>;
    giveBack(runs: readonly DeviceRun[]): void;
    release(runs: readonly DeviceRun[]): void;
  };
  readonly data: Pick<DataPort, "copy">;
  readonly limbo: Limbo;
  commit(changes: readonly Change[]): readonly DeviceRun[];
  allocate(count: number, hint: AllocationHint): DeviceRun[] | Promise<DeviceRun[]>;
}

/** Extents of one record: it stays far below half of the smallest journal. */
export const extentsPerRecord = 512;

/** `extents` as they are now: the parts of shared ones that nobody else uses any more have the state written. */
export function trueExtents(volume: Pick<SharingParts["volume"], "soleRuns">, extents: readonly Extent[]): Extent[] {
  return extents.flatMap((extent) => (extent.state === "shared" ? trueParts(volume, extent) : [extent]));
}

function trueParts(volume: Pick<SharingParts["volume"], "soleRuns">, extent: Extent): Extent[] {
  const parts: Extent[] = [];
  const end = extent.filePage + extent.count;
  const shift = extent.filePage - extent.devicePage;
  let at = extent.filePage;
  for (const run of volume.soleRuns(extent.devicePage, extent.count)) {
    const page = run.page + shift;
    if (page > at) parts.push(clip(extent, at, page));
    parts.push({ ...clip(extent, page, page + run.count), state: "written" });
    at = page + run.count;
  }
  if (at < end) parts.push(clip(extent, at, end));
  return parts;
}

export function hasShared(inode: Inode): boolean {
  for (const extent of inode.extents) if (extent.state === "shared") return true;
  return false;
}

/**
 * Gives pages [page, page + count) of a file blocks of their own, contents and all, in one record. Nobody may write to them
 * meanwhile. Throws FsError ENOSPC, EIO, and nothing has happened.
 */
export async function unsharePages(parts: SharingParts, ino: number, page: number, count: number): Promise<void> {
  const { volume } = parts;
  const inode = volume.inode(ino);
  const old = inode === undefined ? [] : extentsIn(inode, page, count);
  if (inode === undefined || !old.some((extent) => extent.state === "shared")) return;
  const now = trueExtents(volume, old);
  const shared = now.filter((extent) => extent.state === "shared");
  const holes = shared.map((extent) => ({ page: extent.filePage, count: extent.count }));
  const runs = holes.length === 0 ? [] : await parts.allocate(pagesOf(holes), nearOf(inode, holes[0]!.page));
  try {
    const fresh = placeRuns(holes, runs, "written");
    for (const to of fresh) await copyInto(parts, shared, to);
    if (fresh.length > 0) await volume.flush(); // what was durable in the old blocks is so in the new ones
    const extents = [...now.filter((extent) => extent.state !== "shared"), ...fresh].sort((a, b) => a.filePage - b.filePage);
    const freed = parts.commit([{ kind: "set-extents", ino, filePage: page, count, extents }]);
    parts.limbo.shed(ino);
    if (freed.length > 0) parts.limbo.free(ino, freed);
  } catch (error) {
    if (runs.length > 0) volume.release(runs);
    throw error;
  }
}

/** Fills the blocks of `to`, which lies in one extent of `from` or goes over several, with what those hold. */
async function copyInto({ data }: SharingParts, from: readonly Extent[], to: Extent): Promise<void> {
  const end = to.filePage + to.count;
  for (const extent of from) {
    const start = Math.max(extent.filePage, to.filePage);
    const stop = Math.min(extent.filePage + extent.count, end);
    if (start >= stop) continue;
    await data.copy(extent.devicePage + start - extent.filePage, to.devicePage + start - to.filePage, stop - start);
  }
}

/** Records that what nobody else uses any more is written, not shared: the gate, swapon and the data plane then see it so. */
export function settleSharing(parts: Pick<SharingParts, "volume" | "commit">, ino: number): void {
  const inode = parts.volume.inode(ino);
  if (inode === undefined || !hasShared(inode)) return;
  for (const extent of [...inode.extents]) {
    if (extent.state !== "shared") continue;
    const now = trueParts(parts.volume, extent);
    if (now.every(({ state }) => state === "shared")) continue;
    for (let at = 0; at < now.length; at += extentsPerRecord) {
      const extents = now.slice(at, at + extentsPerRecord);
      const filePage = extents[0]!.filePage;
      const count = extents.at(-1)!.filePage + extents.at(-1)!.count - filePage;
      parts.commit([{ kind: "set-extents", ino, filePage, count, extents }]);
    }
  }
}
