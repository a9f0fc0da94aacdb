// FUSE_COPY_FILE_RANGE(_64): whole pages are cloned, two files then share them. What cannot be cloned is EOPNOTSUPP, and the
// kernel copies it through the page cache (fuse_copy_file_range, fs/fuse/file.c, goes on with splice_copy_file_range).
//
// Before it asks, the kernel has written back the dirty pages of both ranges; afterwards it drops the target's cached ones.

import { FsError } from "../base/errors";
import { fileBytes, narrow, pagesFor, pageSize } from "../base/units";
import { isFile, withoutSetId } from "../namespace/modes";
import { modified } from "../namespace/setattr";
import { inodeOf } from "../namespace/space";
import type { Change, Extent } from "../volume/changes";
import type { Inode } from "../volume/inode";
import type { opcodes } from "../wire/opcodes";
import { structReply } from "../wire/reply";
import type { RequestHeader } from "../wire/request";
import { fuse_copy_file_range_out, fuse_write_out } from "../wire/structs";
import type { FileSystem } from "../blocks/filesystem";
import type { RequestOf } from "./handler";
import { fileBytesMax } from "../blocks/mapping";
import { extentsPerRecord } from "../blocks/unshare";

interface CloneRange {
  readonly from: number;
  readonly to: number;
  /** bytes */
  readonly offsetIn: number;
  readonly offsetOut: number;
  readonly length: number;
}

/** fuse_write_out.size is a u32: the caller asks again for the rest. */
const bytesMax = 2 ** 31;

export async function handleCopyFileRange(fs: FileSystem, request: RequestOf<typeof opcodes.copyFileRange>): Promise<Buffer> {
  const size = await copied(fs, request.header, request.body);
  return structReply(request.header, fuse_write_out, { size, padding: 0 });
}

export async function handleCopyFileRange64(fs: FileSystem, request: RequestOf<typeof opcodes.copyFileRange64>): Promise<Buffer> {
  const size = await copied(fs, request.header, request.body);
  return structReply(request.header, fuse_copy_file_range_out, { bytes_copied: BigInt(size) });
}

async function copied(
  fs: FileSystem, header: RequestHeader, body: RequestOf<typeof opcodes.copyFileRange>["body"],
): Promise<number> {
  const done = fs.done(header);
  if (done !== undefined) return done.ino; // its result: bytes
  if (body.flags !== 0n) throw new FsError("EINVAL");
  const range: CloneRange = {
    from: header.nodeid, to: narrow(body.nodeid_out, "fuse_copy_file_range_in.nodeid_out"),
    offsetIn: fileBytes(body.off_in),
    offsetOut: fileBytes(body.off_out),
    length: Number(body.len < BigInt(bytesMax) ? body.len : BigInt(bytesMax)),
  };
  for (const ino of [range.from, range.to]) {
    if (!isFile(inodeOf(fs, ino))) throw new FsError("EINVAL");
  }
  fs.applyTouched();
  const { mode } = inodeOf(fs, range.to);
  const bytes = await alone(fs, range, () => clone(fs, header, range));
  // As for fallocate; behind `alone`, since the kernel may wait with another invalidation for a read that this kept waiting.
  if (fs.volume.inode(range.to)?.mode !== mode) await fs.data.invalidateAttributes(range.to);
  return bytes;
}

/** Both files, the lower number first, so that two clones never wait for each other in a circle. */
async function alone<T>(fs: FileSystem, { from, to }: CloneRange, work: () => Promise<T>): Promise<T> {
  if (from === to) return fs.changing(from, work);
  return fs.changing(Math.min(from, to), () => fs.changing(Math.max(from, to), work));
}

async function clone(fs: FileSystem, header: RequestHeader, asked: CloneRange): Promise<number> {
  fs.grants.drain();
  const whole = wholePagesOf(asked, inodeOf(fs, asked.from), inodeOf(fs, asked.to));
  if (whole === 0) return 0;
  // Bytes behind an end that lie inside a file from now on are zeros.
  if (asked.from === asked.to || asked.offsetOut > inodeOf(fs, asked.to).size) await fs.mapping.zeroTail(asked.to);
  const plan = planClone(fs, { ...asked, length: whole });
  const { request } = fs.caller(header);
  const freed = fs.commit(plan.changes, request && { ...request, ino: plan.bytes });
  fs.deferredFree.shed(asked.to);
  fs.deferredFree.free(asked.to, freed);
  return plan.bytes;
}

/** Bytes that can be cloned: whole pages, and the source's last bytes where they become the target's last ones. */
function wholePagesOf({ offsetIn, offsetOut, length }: CloneRange, source: Inode, target: Inode): number {
  const bytes = Math.min(length, source.size - offsetIn);
  if (bytes <= 0) return 0;
  if (offsetIn % pageSize !== 0 || offsetOut % pageSize !== 0) throw new FsError("EOPNOTSUPP");
  if (offsetOut + bytes > fileBytesMax) throw new FsError("EFBIG");
  const isEnd = offsetIn + bytes === source.size && offsetOut + bytes >= target.size;
  const whole = isEnd ? bytes : bytes - (bytes % pageSize);
  if (whole === 0) throw new FsError("EOPNOTSUPP");
  return whole;
}

/** One record, of so many extents that it fits: the rest is asked for anew. */
function planClone(fs: FileSystem, range: CloneRange): { changes: Change[]; bytes: number } {
  const source = inodeOf(fs, range.from);
  const target = inodeOf(fs, range.to);
  const first = range.offsetIn / pageSize;
  const found: Extent[] = [];
  let pages = pagesFor(range.length);
  for (const extent of source.extents.range(first, pages)) {
    if (found.length === extentsPerRecord) {
      pages = extent.filePage - first;
      break;
    }
    found.push(extent);
  }
  const bytes = Math.min(range.length, pages * pageSize);
  const shift = range.offsetOut / pageSize - first;
  // What is unwritten reads as zeros, and so does a hole.
  const shared = found.filter(({ state }) => state !== "unwritten").map((extent) => ({ ...extent, state: "shared" as const }));
  const changes: Change[] = [];
  if (found.some(({ state }) => state === "written")) {
    const extents = found.map((extent) => (extent.state === "unwritten" ? extent : { ...extent, state: "shared" as const }));
    changes.push({ kind: "set-extents", ino: range.from, filePage: first, count: pages, extents });
  }
  changes.push({
    kind: "set-extents", ino: range.to, filePage: first + shift, count: pages,
    extents: shared.map((extent) => ({ ...extent, filePage: extent.filePage + shift })),
  });
  changes.push(...modified(target, withoutSetId(target.mode), Math.max(target.size, range.offsetOut + bytes), fs.now())); // as a write does
  return { changes, bytes };
}
