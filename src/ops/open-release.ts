// FUSE_OPEN and FUSE_RELEASE. A handle's number is the unique of the request that opened it, and the
// table of handles outlives the control plane, so that a resent OPEN finds its own handle.

import type { PinMode } from "../activation/handles";
import type { Ablated } from "../dataplane/ablation";
import { FsError } from "../base/errors";
import { logLine } from "../base/log";
import { isDirectory } from "../namespace/modes";
import { freeOrphan } from "../namespace/links";
import { inodeOf } from "../namespace/space";
import { FOPEN } from "../wire/abi";
import type { opcodes } from "../wire/opcodes";
import { emptyReply, openReply } from "../wire/reply";
import type { RequestHeader } from "../wire/request";
import type { FileSystem } from "../blocks/filesystem";
import { endPin, endUnreachable } from "../blocks/pin";
import type { RequestOf } from "./handler";

const O_ACCMODE = 3;
const toldMax = 1024;

export function handleOpen(fs: FileSystem, { header, body }: RequestOf<typeof opcodes.open>): Buffer {
  if (isDirectory(inodeOf(fs, header.nodeid))) throw new FsError("EISDIR");
  return openReply(header, header.unique, openFile(fs, header, header.nodeid, body.flags));
}

export function handleRelease(fs: FileSystem, { header, body }: RequestOf<typeof opcodes.release>): Buffer {
  const handle = fs.handles.get(body.fh);
  if (handle === undefined) return emptyReply(header); // resent: it was closed
  const { ino } = handle;
  const couldMove = fs.leases.mayMove(ino);
  fs.handles.close(body.fh);
  const last = fs.handles.openCount(ino) === 0;
  if (last) fs.grants.closed(ino);
  if (!couldMove && fs.leases.mayMove(ino)) endPin(fs, ino);
  else if (!couldMove && (last || handle.swapon === true)) fs.staleCaches.add(ino); // it may have been swapped on
  if (last) freeOrphan(fs, ino);
  void endUnreachable(fs, ino);
  return emptyReply(header);
}

/** Registers the handle; returns fuse_open_out.open_flags. */
export function openFile(fs: FileSystem, header: RequestHeader, ino: number, flags: number): number {
  const mode = fs.handles.pinMode(ino);
  // Writers of a pinned file past the page cache: no shared writable mapping (ENODEV, fuse_file_mmap in fs/fuse/file.c),
  // whose pages the kernel would write back long after the program was told that all is well.
  const direct = mode === "swap_rw" || (mode === "pinned" && (flags & O_ACCMODE) !== 0);
  fs.handles.open({ fh: header.unique, ino, flags, pid: header.pid, uid: header.uid, direct });
  if (mode !== undefined) noteOpen(fs, header, ino, flags, mode);
  if (mode === "swap_rw" || fs.ablated.has("direct")) return swapRwFlags(fs.ablated);
  if (direct) return FOPEN.DIRECT_IO;
  // Nobody but the kernel changes a file, so its cache stays true, except over swap, which goes past it.
  return fs.staleCaches.delete(ino) ? 0 : FOPEN.KEEP_CACHE;
}

/** A file that is open in the page cache as well has the kernel take the lock of its own accord (FUSE_I_CACHE_IO_MODE). */
function swapRwFlags(ablated: Ablated): number {
  if (ablated.has("cache")) return 0; // not KEEP_CACHE: each open begins with an empty cache
  const kept = ablated.has("keep") ? FOPEN.KEEP_CACHE : 0; // pages of another handle stay until writes take them out
  return FOPEN.DIRECT_IO | kept | (ablated.has("lock") ? 0 : FOPEN.PARALLEL_DIRECT_WRITES);
}

/** What mode a program gets is in the log, once for each process that opens the file. */
function noteOpen(fs: FileSystem, { pid }: RequestHeader, ino: number, flags: number, mode: PinMode): void {
  const writes = (flags & O_ACCMODE) !== 0;
  if (mode === "pinned" && !writes) return;
  const opener = `${ino} ${pid} ${mode}`;
  if (fs.toldOpeners.has(opener)) return;
  if (fs.toldOpeners.size >= toldMax) fs.toldOpeners.clear();
  fs.toldOpeners.add(opener);
  logLine(mode === "swap_rw"
    ? `pid ${pid} opens ino ${ino}, which is activated: direct I/O of whole pages, all else is EINVAL, no shared mappings`
    : `pid ${pid} opens ino ${ino} for writing, which is pinned: its writes will be ETXTBSY`);
}
