// Shared extents: what of them is still shared, and how a file gets pages of its own. The state on disk says "shared" until
// something writes it anew; how many extents really use a page is counted (src/volume/references.ts).

import type { Extent } from "../volume/changes";
import { split } from "../volume/extents";
import type { Inode } from "../volume/inode";
import { pagesOf } from "../volume/runs";
import type { Volume } from "../volume/volume";
import { allocateWrittenRetrying, whenSettled } from "./allocate-retrying";
import { exchangeBlocks, type Exchange } from "./exchange";
import type { BlockParts } from "./parts";
import { extentsIn, nearOf, placeRuns, runOf } from "./runs-to-extents";

/** Extents of one record: it stays far below half of the smallest journal. */
export const extentsPerRecord = 512;

/** `extents` as they are now: the parts of shared ones that nobody else uses any more have the state written. */
export function trueExtents(volume: Volume, extents: readonly Extent[]): Extent[] {
  return extents.flatMap((extent) => (extent.state === "shared" ? trueParts(volume, extent) : [extent]));
}

function trueParts(volume: Volume, extent: Extent): Extent[] {
  const parts = split(extent, volume.soleRuns(extent.devicePage, extent.count));
  return Array.from(parts, ({ part, inside }) => (inside ? { ...part, state: "written" } : part));
}

export function hasShared(inode: Inode): boolean {
  for (const extent of inode.extents) if (extent.state === "shared") return true;
  return false;
}

/**
 * Gives pages [page, page + count) of a file blocks of their own, contents and all, in one record. Nobody may write to them
 * meanwhile. Throws FsError ENOSPC, EIO, and nothing has happened.
 */
export async function unsharePages(parts: BlockParts, ino: number, page: number, count: number): Promise<void> {
  try {
    await unshareNow(parts, ino, page, count);
  } catch (error) {
    const settled = whenSettled(parts.volume, error);
    if (settled === undefined) throw error;
    await settled;
    await unshareNow(parts, ino, page, count);
  }
}

async function unshareNow(parts: BlockParts, ino: number, page: number, count: number): Promise<void> {
  const { volume } = parts;
  const inode = volume.inode(ino);
  const old = inode === undefined ? [] : extentsIn(inode, page, count);
  if (inode === undefined || !old.some((extent) => extent.state === "shared")) return;
  const now = trueExtents(volume, old);
  const shared = now.filter((extent) => extent.state === "shared");
  const holes = shared.map(runOf);
  const runs = holes.length === 0 ? [] : await allocateWrittenRetrying(parts, pagesOf(holes), nearOf(inode, holes[0]!.page));
  await exchangeBlocks(parts, ino, runs, () => {
    const fresh = placeRuns(holes, runs, "written");
    const extents = [...now.filter((extent) => extent.state !== "shared"), ...fresh].sort((a, b) => a.filePage - b.filePage);
    return { copies: copiesBetween(shared, fresh), changes: [{ kind: "set-extents", ino, filePage: page, count, extents }] };
  });
}

/** Fills the blocks of `to`, each of which lies in one extent of `from` or goes over several, with what those hold. */
function copiesBetween(from: readonly Extent[], to: readonly Extent[]): Exchange["copies"] {
  return to.flatMap((target) => from.flatMap((extent) => {
    const start = Math.max(extent.filePage, target.filePage);
    const count = Math.min(extent.filePage + extent.count, target.filePage + target.count) - start;
    if (count <= 0) return [];
    return [{ from: extent.devicePage + start - extent.filePage, to: target.devicePage + start - target.filePage, count }];
  }));
}

/** Records that what nobody else uses any more is written, not shared: the gate, swapon and the data plane then see it so. */
export function settleSharing(parts: Pick<BlockParts, "volume" | "commit">, ino: number): void {
  const inode = parts.volume.inode(ino);
  if (inode === undefined) return;
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
