// Emptying the tail of a volume that is about to become shorter: extents there are copied to where they may stay, a few
// MiB at a time, each piece with a commit of its own. A piece is durable where it goes before the commit says so, and its
// old place is free only after that: a cut at any moment leaves each piece in one place or the other, whole.

import { setTimeout as sleep } from "node:timers/promises";
import { FsError, UserError, exitCode, messageOf } from "../base/errors";
import { bytesOfPages, formatByteLength, pageSize } from "../base/units";
import type { DeviceRun } from "./blockdevice";
import type { Change, Extent } from "./changes";
import type { Inode } from "./inode";
import type { Volume } from "./volume";

export interface TailParts {
  readonly volume: Volume;
  commit(changes: readonly Change[]): readonly DeviceRun[];
  /** Runs `work` while no request knows where the data of `ino` lies. */
  exclusive<T>(ino: number, work: () => Promise<T>): T | Promise<T>;
  /** Blocks of `ino` that no file uses any more: free once no request reads them. */
  free(ino: number, runs: readonly DeviceRun[]): void;
  /** Resolves when blocks that were reserved ahead of any request are given back. */
  settle?(): Promise<unknown> | undefined;
  isPinned(ino: number): boolean;
  /** For a person. */
  nameOf(ino: number): string;
}

export interface TailProgress {
  /** pages, of those that lay in the tail when it began */
  moved: number;
  total: number;
}

const piecePages = (8 * 2 ** 20) / pageSize;
/** How long blocks of files that were just deleted or written may still be in somebody's hands. */
const waitMs = 10_000;
const retryMs = 50;
/** swapoff(2) is over before the kernel's word of it has come (FUSE_RELEASE). */
const releaseMs = 500;

/**
 * Nobody uses a page from `end` on when it resolves, and nobody gets one: Volume.resize may follow. Throws a
 * UserError that names the file or the lack of room, or the reason of `signal`; then everything is as it was.
 */
export async function emptyTail(parts: TailParts, end: number, progress: TailProgress, signal?: AbortSignal): Promise<void> {
  const { volume } = parts;
  const users = tailUsers(volume, end);
  const released = Date.now() + releaseMs;
  while (users.some(({ ino }) => parts.isPinned(ino)) && Date.now() < released) await sleep(retryMs);
  for (const { ino } of users) refusePinned(parts, ino);
  progress.total = users.reduce((sum, { pages }) => sum + pages, 0);
  volume.withhold(end);
  try {
    requireRoom(volume, progress.total);
    const until = Date.now() + waitMs;
    while (await anyLeft(parts, end)) {
      const left = tailUsers(volume, end);
      for (const { ino } of left) await moveOut(parts, ino, end, progress, signal);
      if (left.length > 0) continue;
      if (Date.now() > until) throw refused("blocks there are still in use by requests, run it again");
      await sleep(retryMs, undefined, signal === undefined ? {} : { signal });
    }
  } catch (error) {
    volume.withhold(undefined);
    throw signal?.aborted === true ? signal.reason : error;
  }
}

async function anyLeft({ volume, settle }: TailParts, end: number): Promise<boolean> {
  await settle?.();
  await volume.flush();
  await volume.reclaimed();
  return volume.withhold(end) > 0;
}

function tailUsers(volume: Volume, end: number): { ino: number; pages: number }[] {
  const users: { ino: number; pages: number }[] = [];
  for (const inode of volume.inodes()) {
    let pages = 0;
    for (const { devicePage, count } of inode.extents) pages += Math.max(0, devicePage + count - Math.max(devicePage, end));
    if (pages > 0) users.push({ ino: inode.ino, pages });
  }
  return users;
}

function requireRoom(volume: Volume, pages: number): void {
  const { freePages } = volume.statfs();
  if (pages <= freePages) return;
  const [needed, there] = [pages, freePages].map((count) => formatByteLength(bytesOfPages(count)));
  throw refused(`${needed} lie behind the new end and only ${there} are free before it, delete files or give a larger --size`);
}

function refusePinned(parts: TailParts, ino: number): void {
  if (!parts.isPinned(ino)) return;
  throw refused(`${parts.nameOf(ino)} is in use as swap or pinned and lies behind the new end, run swapoff (or swapfs unpin, deactivate) first`);
}

function refused(state: string): UserError {
  return new UserError(exitCode.mountFailed, `cannot shrink the volume: ${state}`);
}

async function moveOut(parts: TailParts, ino: number, end: number, progress: TailProgress, signal?: AbortSignal): Promise<void> {
  for (let moved = -1; moved !== 0; progress.moved = Math.min(progress.total, progress.moved + moved)) {
    signal?.throwIfAborted();
    moved = await parts.exclusive(ino, () => movePiece(parts, ino, end, signal));
  }
}

/** Pages that were moved; 0: there are none. */
async function movePiece(parts: TailParts, ino: number, end: number, signal?: AbortSignal): Promise<number> {
  const { volume } = parts;
  const inode = volume.inode(ino);
  const piece = inode && firstPiece(inode, end);
  if (piece === undefined) return 0;
  refusePinned(parts, ino);
  const runs = await roomFor(volume, piece.count, signal);
  try {
    const extents = piecesAt(piece, runs);
    if (piece.state !== "unwritten") await copy(volume, piece, extents);
    refusePinned(parts, ino); // it may have been pinned meanwhile
    if (volume.inode(ino) === undefined) { // or deleted; numbers are never used again
      volume.release(runs);
      return 0;
    }
    const freed = parts.commit([{ kind: "set-extents", ino, filePage: piece.filePage, count: piece.count, extents }]);
    if (freed.length > 0) parts.free(ino, freed);
  } catch (error) {
    volume.release(runs);
    throw error;
  }
  return piece.count;
}

function firstPiece(inode: Inode, end: number): Extent | undefined {
  for (const { filePage, devicePage, count, state } of inode.extents) {
    const skipped = Math.max(0, end - devicePage);
    if (skipped >= count) continue;
    return { filePage: filePage + skipped, devicePage: devicePage + skipped, count: Math.min(piecePages, count - skipped), state };
  }
  return undefined;
}

async function roomFor(volume: Volume, count: number, signal?: AbortSignal): Promise<DeviceRun[]> {
  for (;;) {
    try {
      return await volume.allocateWritten(count, undefined, signal);
    } catch (error) {
      if (!(error instanceof FsError) || error.code !== "ENOSPC") throw error;
      const soon = volume.reclaimed();
      if (soon === undefined) throw refused(`${messageOf(error)}, delete files, make room on the host or give a larger --size`);
      await soon;
    }
  }
}

/** A piece of a shared extent becomes the file's own. */
function piecesAt(piece: Extent, runs: readonly DeviceRun[]): Extent[] {
  let { filePage } = piece;
  return runs.map((run) => {
    const extent: Extent = { filePage, devicePage: run.page, count: run.count, state: piece.state === "unwritten" ? "unwritten" : "written" };
    filePage += run.count;
    return extent;
  });
}

async function copy(volume: Volume, piece: Extent, extents: readonly Extent[]): Promise<void> {
  const { device } = volume;
  if (device.copyPages === undefined) throw refused(`${device.name} cannot copy its pages`);
  for (const { filePage, devicePage, count } of extents) {
    await device.copyPages(piece.devicePage + filePage - piece.filePage, devicePage, count);
  }
  await device.flushAsync();
}
