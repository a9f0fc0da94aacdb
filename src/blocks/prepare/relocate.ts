// Gives chosen pages of a file other blocks: prepare's steps.

import { FsError } from "../../base/errors";
import { pagesFor } from "../../base/units";
import { inodeOf } from "../../namespace/space";
import type { DeviceRun } from "../../volume/blockdevice";
import type { Change, Extent } from "../../volume/changes";
import type { Inode } from "../../volume/inode";
import { pagesOf } from "../../volume/runs";
import { exchangeBlocks, type Exchange } from "../exchange";
import type { FileSystem } from "../filesystem";
import { extentsIn, placeRuns, type FileRun } from "../runs-to-extents";

/** What of a step's pages is to get other blocks, as they are now. */
export type Chosen = (inode: Inode, pages: FileRun) => readonly FileRun[];

/** Blocks for `pieces`, reserved and in their order. */
export type Blocks = (inode: Inode, pieces: readonly FileRun[]) => DeviceRun[] | Promise<DeviceRun[]>;

/**
 * Inside `exclusive`. Returns how many pages have other blocks now. Throws FsError ENOSPC, EIO, ETXTBSY (pinned
 * meanwhile) and ESTALE (no longer there), with the file as it was.
 */
export async function relocate(fs: FileSystem, ino: number, pages: FileRun, choose: Chosen, blocksFor: Blocks): Promise<number> {
  const before = inodeOf(fs, ino);
  const pieces = choose(before, within(before, pages)).filter(({ count }) => count > 0);
  if (pieces.length === 0) return 0;
  fs.leases.checkMayMove(ino);
  const runs = await blocksFor(before, pieces);
  await exchangeBlocks(fs, ino, runs, () => {
    const { extents, copies } = placeAll(before, pieces, runs);
    return { copies, changes: changesFor(ino, pieces, extents) };
  }, () => {
    fs.leases.checkMayMove(ino);
    inodeOf(fs, ino);
  });
  return pagesOf(pieces);
}

/** The part of the range that the file still has. */
function within(inode: Inode, { page, count }: FileRun): FileRun {
  return { page, count: Math.max(0, Math.min(page + count, pagesFor(inode.size)) - page) };
}

/** Extents for the new blocks, and what is to be copied into them: what reads as zeros stays unwritten. */
function placeAll(inode: Inode, pieces: readonly FileRun[], runs: readonly DeviceRun[]): { extents: Extent[]; copies: Exchange["copies"] } {
  const extents: Extent[] = [];
  const copies: Exchange["copies"][number][] = [];
  for (const target of placeRuns(pieces, runs, "unwritten")) {
    let next = target.filePage;
    const end = target.filePage + target.count;
    const targetOf = (page: number): number => target.devicePage + page - target.filePage;
    for (const old of extentsIn(inode, target.filePage, target.count)) {
      if (old.state === "unwritten") continue;
      if (old.filePage > next) extents.push({ ...target, filePage: next, devicePage: targetOf(next), count: old.filePage - next });
      extents.push({ ...old, devicePage: targetOf(old.filePage), state: "written" });
      copies.push({ from: old.devicePage, to: targetOf(old.filePage), count: old.count });
      next = old.filePage + old.count;
    }
    if (next < end) extents.push({ ...target, filePage: next, devicePage: targetOf(next), count: end - next });
  }
  return { extents, copies };
}

function changesFor(ino: number, pieces: readonly FileRun[], extents: readonly Extent[]): Change[] {
  let at = 0;
  return pieces.map(({ page, count }): Change => {
    const first = at;
    while (at < extents.length && extents[at]!.filePage < page + count) at += 1;
    return { kind: "set-extents", ino, filePage: page, count, extents: extents.slice(first, at) };
  });
}

/** ENOSPC with what would be needed, in words that the command line can show as they are. */
export function noRoom(needed: string, free: string): FsError {
  return new FsError("ENOSPC", `it needs ${needed}, ${free}: remove something or use a larger volume; nothing was lost`);
}
