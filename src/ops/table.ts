// The table of handlers, and the way of a request through it.

import { FsError, ViewedError, messageOf } from "../base/errors";
import type { ErrnoName } from "../base/errno";
import { debugLog, logLine } from "../base/log";
import type { Fields } from "../base/struct";
import { describeReply, describeRequest } from "../wire/describe";
import { opcodeName, opcodes, type Opcode } from "../wire/opcodes";
import { answeredOf, errorReply } from "../wire/reply";
import { decodeHeader, decodeRequest, inHeaderBytes, WireError, type RequestHeader } from "../wire/request";
import { handleGetattr, handleSetattr } from "./getattr-setattr";
import { handleBmap } from "./bmap";
import { handleCopyFileRange, handleCopyFileRange64 } from "./clone";
import { handleReaddir, handleReaddirplus } from "./directories";
import { handleFallocate } from "./fallocate";
import type { FileSystem } from "../blocks/filesystem";
import type { Handler, Reply } from "./handler";
import { handleOpen, handleRelease } from "./open-release";
import { handleInit } from "./init";
import { handleLseek } from "./lseek";
import {
  handleCreate, handleLink, handleLookup, handleMkdir, handleMknod, handleReadlink, handleRename, handleRename2,
  handleRmdir, handleSymlink, handleUnlink,
} from "./names";
import { handleDestroy, handleFsync, handleStatfs, handleSyncfs } from "./statfs-fsync";
import { handleGetxattr, handleListxattr, handleRemovexattr, handleSetxattr } from "./xattrs";

const log = debugLog("ops");

interface Row {
  readonly opcode: Opcode<any, any>;
  readonly handler: Handler<any>;
}

const rows: (Row | undefined)[] = [];

function on<F extends Fields>(opcode: Opcode<F, any>, handler: Handler<F>): void {
  rows[opcode.code] = { opcode, handler };
}

/** Answered with an errno whatever the request says. */
function refused(code: ErrnoName): Handler<any> {
  return (_fs, { header }) => errorReply(header, code);
}

on(opcodes.lookup, handleLookup);
on(opcodes.getattr, handleGetattr);
on(opcodes.setattr, handleSetattr);
on(opcodes.readlink, handleReadlink);
on(opcodes.symlink, handleSymlink);
on(opcodes.mknod, handleMknod);
on(opcodes.mkdir, handleMkdir);
on(opcodes.unlink, handleUnlink);
on(opcodes.rmdir, handleRmdir);
on(opcodes.rename, handleRename);
on(opcodes.rename2, handleRename2);
on(opcodes.link, handleLink);
on(opcodes.open, handleOpen);
on(opcodes.create, handleCreate);
on(opcodes.release, handleRelease);
on(opcodes.statfs, handleStatfs);
on(opcodes.fsync, handleFsync);
on(opcodes.setxattr, handleSetxattr);
on(opcodes.getxattr, handleGetxattr);
on(opcodes.listxattr, handleListxattr);
on(opcodes.removexattr, handleRemovexattr);
on(opcodes.init, handleInit);
on(opcodes.readdir, handleReaddir);
on(opcodes.readdirplus, handleReaddirplus);
on(opcodes.fsyncdir, handleFsync);
on(opcodes.syncfs, handleSyncfs);
on(opcodes.bmap, handleBmap);
on(opcodes.fallocate, handleFallocate);
on(opcodes.lseek, handleLseek);
on(opcodes.copyFileRange, handleCopyFileRange);
on(opcodes.copyFileRange64, handleCopyFileRange64);
on(opcodes.destroy, handleDestroy);

// No reply. Nodeids are inode numbers and inodes live as long as they have a name or a handle, so there is nothing to
// forget; nothing here is worth interrupting (fs/fuse/dev.c takes the reply of the request itself).
const unanswered: readonly Opcode<any, any>[] = [opcodes.forget, opcodes.batchForget, opcodes.interrupt, opcodes.notifyReply];
for (const opcode of unanswered) on(opcode, () => undefined);

// File data never passes through here: the data plane, or the fuse-native engine, moves it with Mapping.
on(opcodes.read, refused("EIO"));
on(opcodes.write, refused("EIO"));
// Not ENOSYS, after which fuse_ioctl would go on to say ENOTTY anyway, once for each mount.
on(opcodes.ioctl, refused("ENOTTY"));
// ENOSYS is remembered and means: FLUSH: closing needs nothing, every write is with us already. ACCESS: the kernel checks
// by default_permissions. OPENDIR, and so RELEASEDIR: directories need no handle, and the kernel keeps their listings until
// they change (FOPEN_CACHE_DIR is then the default in fuse_file_open, fs/fuse/file.c). POLL: always ready. STATX: GETATTR says it all. TMPFILE: EOPNOTSUPP for the caller. Locks:
// never sent, since FUSE_POSIX_LOCKS and FUSE_FLOCK_LOCKS are not agreed; the kernel keeps them.
const unneeded: readonly Opcode<any, any>[] = [
  opcodes.flush, opcodes.access, opcodes.opendir, opcodes.releasedir, opcodes.poll, opcodes.statx, opcodes.tmpfile, opcodes.getlk, opcodes.setlk, opcodes.setlkw,
  opcodes.setupmapping, opcodes.removemapping,
];
for (const opcode of unneeded) on(opcode, refused("ENOSYS"));

/**
 * A raw request in, the whole raw reply out; undefined when none is due. At once whenever nothing must be waited for.
 * Every error becomes an errno: what is not an FsError is a bug of ours, EIO, and a line in the log.
 */
export function dispatch(fs: FileSystem, raw: Buffer): Reply | Promise<Reply> {
  if (log.enabled) log("%s", describeRequest(raw));
  let header: RequestHeader;
  try {
    header = decodeHeader(raw);
  } catch (error) {
    return undecodable(raw, error);
  }
  try {
    fs.grants.drain(); // what was acknowledged came before this request
    const row = rows[header.opcode];
    if (row === undefined) return errorReply(header, "ENOSYS");
    const request = decodeRequest(row.opcode, raw, header);
    const reply = knowingViews(fs, header, () => row.handler(fs, request));
    if (reply instanceof Promise) return reply.then((made) => noted(header, made), (error: unknown) => failure(header, error));
    return noted(header, reply);
  } catch (error) {
    return failure(header, error);
  }
}

/**
 * The end of a block view is noticed by who looks. So it is looked for where its lease counts: before whoever opens the file writes or swaps
 * to it, and when something was refused for it, which is then carried out again.
 */
function knowingViews(fs: FileSystem, { opcode, nodeid }: RequestHeader, work: () => Reply | Promise<Reply>): Reply | Promise<Reply> {
  const again = async (error: unknown): Promise<Reply> => {
    if (!(error instanceof ViewedError) || !(await fs.endGoneViews())) throw error;
    return work();
  };
  if ((opcode === opcodes.open.code || opcode === opcodes.bmap.code) && fs.leases.isViewed(nodeid)) return fs.endGoneViews().then(work);
  try {
    const reply = work();
    return reply instanceof Promise ? reply.catch(again) : reply;
  } catch (error) {
    if (!(error instanceof ViewedError)) throw error;
    return again(error);
  }
}

function noted(header: RequestHeader, reply: Reply): Reply {
  if (log.enabled && reply !== undefined) log("%s", describeReply(header.opcode, reply));
  return reply;
}

function failure(header: RequestHeader, error: unknown): Reply {
  if (error instanceof FsError) {
    if (error instanceof WireError) logLine(error.message);
    if (log.enabled) log("reply unique=%s %s: %s", header.unique, error.code, error.message);
    return rows[header.opcode]?.opcode.reply === "none" ? undefined : errorReply(header, error.errno);
  }
  const cause = error instanceof Error ? error.stack : messageOf(error);
  logLine(`cannot carry out ${opcodeName(header.opcode)} on ino ${header.nodeid}: ${cause}`);
  return errorReply(header, "EIO");
}

/** There is nobody to answer when not even the header is there. */
function undecodable(raw: Buffer, error: unknown): Reply {
  logLine(messageOf(error));
  if (raw.length < inHeaderBytes) return undefined;
  return errorReply(answeredOf(raw.readBigUInt64LE(8)), error instanceof FsError ? error.errno : "EIO");
}
