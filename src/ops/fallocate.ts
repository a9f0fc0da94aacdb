// FUSE_FALLOCATE: mode 0, KEEP_SIZE, PUNCH_HOLE|KEEP_SIZE, ZERO_RANGE[|KEEP_SIZE]. What is allocated is unwritten: it
// reads as zeros whatever the blocks held before, and swapon accepts it.

import { FsError } from "../base/errors";
import { fileBytes, pagesFor, pageSize, wholePages } from "../base/units";
import { isFile, withoutSetIdOf } from "../namespace/modes";
import { modified } from "../namespace/setattr";
import { inodeOf } from "../namespace/space";
import type { DeviceRun } from "../volume/blockdevice";
import type { Change } from "../volume/changes";
import type { Inode } from "../volume/inode";
import { pagesOf } from "../volume/runs";
import { FALLOC_FL } from "../wire/abi";
import type { opcodes } from "../wire/opcodes";
import { emptyReply } from "../wire/reply";
import type { FileSystem } from "../blocks/filesystem";
import type { RequestOf } from "./handler";
import { untilKilled } from "../blocks/abort-when-caller-dies";
import { allocateWrittenRetrying } from "../blocks/allocate-retrying";
import { fileBytesMax } from "../blocks/mapping";
import { extentsIn, holesIn, nearOf, placeRuns, sharedIn, type FileRun } from "../blocks/runs-to-extents";
import { unsharePages } from "../blocks/unshare";

const { KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE } = FALLOC_FL;
const modes: readonly number[] = [0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE];

interface Range {
  readonly ino: number;
  /** of the program */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  /** bytes */
  readonly offset: number;
  /** bytes */
  readonly end: number;
}

export async function handleFallocate(fs: FileSystem, { header, body }: RequestOf<typeof opcodes.fallocate>): Promise<Buffer> {
  const offset = fileBytes(body.offset);
  const length = fileBytes(body.length);
  const range = { ino: header.nodeid, pid: header.pid, uid: header.uid, gid: header.gid, mode: body.mode, offset, end: offset + length };
  // Never EINVAL or ENOSYS: the kernel would take ENOSYS for every mode, for the life of the mount (fuse_file_fallocate).
  if (!modes.includes(body.mode)) throw new FsError("EOPNOTSUPP");
  if (length === 0) throw new FsError("EINVAL");
  if (!isFile(inodeOf(fs, range.ino))) throw new FsError("ENODEV");
  if (range.end > fileBytesMax) throw new FsError("EFBIG");
  fs.applyTouched();
  const { mode } = inodeOf(fs, range.ino);
  await fs.changing(range.ino, () => (body.mode & PUNCH_HOLE ? punch(fs, range) : allocate(fs, range)));
  // The kernel takes times, size and blocks for changed, not the mode (fuse_file_fallocate, fs/fuse/file.c).
  if (fs.volume.inode(range.ino)?.mode !== mode) await fs.data.invalidateAttributes(range.ino);
  return emptyReply(header);
}

async function punch(fs: FileSystem, range: Range): Promise<void> {
  const inode = inodeOf(fs, range.ino);
  const hole = innerPages(range);
  const changes: Change[] = hole.count > 0
    ? [{ kind: "set-extents", ino: range.ino, filePage: hole.page, count: hole.count, extents: [] }]
    : [];
  changes.push(...changed(fs, inode, range, inode.size));
  fs.deferredFree.free(range.ino, fs.commit(changes)); // inside `exclusive`: at once, unless they were shared
  await zeroEdges(fs, range);
}

async function allocate(fs: FileSystem, range: Range): Promise<void> {
  const keepsSize = (range.mode & KEEP_SIZE) !== 0;
  if (!keepsSize && range.end > inodeOf(fs, range.ino).size) await fs.mapping.zeroTail(range.ino);
  const before = inodeOf(fs, range.ino);
  const first = wholePages(range.offset);
  const holes = missingPages(before, range, first);
  const runs = holes.length === 0 ? [] : await untilKilled(range.pid, (signal) =>
    allocateWrittenRetrying(fs, pagesOf(holes), nearOf(before, holes[0]!.page), signal));
  try {
    const inode = inodeOf(fs, range.ino);
    const size = keepsSize ? inode.size : Math.max(inode.size, range.end);
    fs.deferredFree.free(range.ino, fs.commit([...extentChanges(inode, range, holes, runs), ...changed(fs, inode, range, size)]));
  } catch (error) {
    if (runs.length > 0) fs.volume.release(runs);
    throw error;
  }
  if ((range.mode & ZERO_RANGE) !== 0) await zeroEdges(fs, range);
}

/** Holes, and for ZERO_RANGE whole pages that are shared: their blocks keep what the other files have in them. */
function missingPages(inode: Inode, range: Range, first: number): FileRun[] {
  const holes = holesIn(inode, { page: first, count: pagesFor(range.end) - first });
  if ((range.mode & ZERO_RANGE) === 0) return holes;
  return [...holes, ...sharedIn(inode, innerPages(range))].sort((a, b) => a.page - b.page);
}

/** New extents for the holes; for ZERO_RANGE whole written pages become unwritten where they lie. */
function extentChanges(inode: Inode, range: Range, holes: readonly FileRun[], runs: readonly DeviceRun[]): Change[] {
  const zeroes = (range.mode & ZERO_RANGE) !== 0;
  if (!zeroes && holes.length === 0) return [];
  const filePage = zeroes ? wholePages(range.offset) : holes[0]!.page;
  const end = zeroes ? pagesFor(range.end) : holes.at(-1)!.page + holes.at(-1)!.count;
  const inner = zeroes ? innerPages(range) : { page: end, count: 0 };
  const extents = [
    ...extentsIn(inode, filePage, inner.page - filePage),
    ...extentsIn(inode, inner.page, inner.count).filter(({ state }) => state !== "shared")
      .map((extent) => ({ ...extent, state: "unwritten" as const })),
    ...extentsIn(inode, inner.page + inner.count, end - inner.page - inner.count),
    ...placeRuns(holes, runs, "unwritten"),
  ].sort((a, b) => a.filePage - b.filePage);
  return [{ kind: "set-extents", ino: range.ino, filePage, count: end - filePage, extents }];
}

/** The pages that lie whole in the range. */
function innerPages(range: Range): FileRun {
  const page = pagesFor(range.offset);
  return { page, count: Math.max(0, wholePages(range.end) - page) };
}

/** Zeros in the pages that lie in the range only in part; a hole or an unwritten page is zeros already. */
async function zeroEdges(fs: FileSystem, range: Range): Promise<void> {
  for (const page of new Set([wholePages(range.offset), wholePages(range.end)])) {
    const from = Math.max(range.offset, page * pageSize) - page * pageSize;
    const to = Math.min(range.end, (page + 1) * pageSize) - page * pageSize;
    if (to - from <= 0 || to - from === pageSize) continue;
    await unsharePages(fs, range.ino, page, 1);
    const extent = inodeOf(fs, range.ino).extents.find(page);
    if (extent === undefined || extent.state === "unwritten") continue;
    await fs.data.zero(extent.devicePage + page - extent.filePage, from, to - from);
  }
}

/** ext4_fallocate sets both times for what changes contents or size, else ctime alone. */
function changed(fs: FileSystem, inode: Inode, caller: Range, size: number): Change[] {
  return modified(inode, withoutSetIdOf(inode, caller), size, fs.now());
}
