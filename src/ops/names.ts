// FUSE_LOOKUP, _CREATE, _MKNOD, _MKDIR, _SYMLINK, _LINK, _UNLINK, _RMDIR, _RENAME, _RENAME2, _READLINK.
// Each change is done once: a request that was resent and is in the journal already is only answered.

import { FsError } from "../base/errors";
import { narrow } from "../base/units";
import { makeDirectory, makeNode, makeSymlink } from "../namespace/create";
import { link, lookup, removeDirectory, unlink } from "../namespace/links";
import { isSymlink, permissionBits } from "../namespace/modes";
import { rename, type RenameFlags } from "../namespace/rename";
import { directoryOf, inodeOf } from "../namespace/space";
import { S_IFREG } from "../volume/changes";
import { RENAME } from "../wire/abi";
import type { opcodes } from "../wire/opcodes";
import { bytesReply, createReply, emptyReply, entryReply, negativeEntryReply } from "../wire/reply";
import type { RequestHeader } from "../wire/request";
import type { FileSystem } from "../blocks/filesystem";
import { endUnreachable } from "../blocks/pin";
import type { RequestOf } from "./handler";
import { openFile } from "./open-release";

export function handleLookup(fs: FileSystem, { header, name }: RequestOf<typeof opcodes.lookup>): Buffer {
  const inRemoved = name !== "." && fs.removedDirectories.has(header.nodeid);
  const inode = inRemoved ? undefined : lookup(fs, header.nodeid, name);
  if (inode === undefined) return negativeEntryReply(header);
  fs.applyTouched();
  return entryReply(header, inode);
}

/** Of a name that exists already (somebody was faster) it makes an open, as open(2) with O_CREAT does. */
export function handleCreate(fs: FileSystem, { header, body, name }: RequestOf<typeof opcodes.create>): Buffer {
  const done = fs.done(header);
  const exists = done === undefined ? directoryOf(fs, header.nodeid).entries.get(name) : undefined;
  if (exists !== undefined && (body.flags & O_EXCL) !== 0) throw new FsError("EEXIST");
  const ino = done?.ino ?? exists?.ino
    ?? makeNode(fs, fs.caller(header), header.nodeid, name, S_IFREG | (body.mode & permissionBits));
  const flags = openFile(fs, header, ino, body.flags);
  return createReply(header, inodeOf(fs, ino), header.unique, flags);
}

export function handleMknod(fs: FileSystem, { header, body, name }: RequestOf<typeof opcodes.mknod>): Buffer {
  return made(fs, header, () => makeNode(fs, fs.caller(header), header.nodeid, name, body.mode, body.rdev));
}

export function handleMkdir(fs: FileSystem, { header, body, name }: RequestOf<typeof opcodes.mkdir>): Buffer {
  return made(fs, header, () => makeDirectory(fs, fs.caller(header), header.nodeid, name, body.mode));
}

export function handleSymlink(fs: FileSystem, { header, name, name2 }: RequestOf<typeof opcodes.symlink>): Buffer {
  return made(fs, header, () => makeSymlink(fs, fs.caller(header), header.nodeid, name, name2));
}

export function handleLink(fs: FileSystem, { header, body, name }: RequestOf<typeof opcodes.link>): Buffer {
  const ino = narrow(body.oldnodeid, "fuse_link_in.oldnodeid");
  fs.applyTouched();
  return made(fs, header, () => {
    link(fs, fs.caller(header), ino, header.nodeid, name);
    return ino;
  });
}

export function handleUnlink(fs: FileSystem, { header, name }: RequestOf<typeof opcodes.unlink>): Buffer {
  if (fs.done(header) !== undefined) return emptyReply(header);
  void endUnreachable(fs, unlink(fs, fs.caller(header), header.nodeid, name));
  return emptyReply(header);
}

export function handleRmdir(fs: FileSystem, { header, name }: RequestOf<typeof opcodes.rmdir>): Buffer {
  if (fs.done(header) === undefined) removeDirectory(fs, fs.caller(header), header.nodeid, name);
  return emptyReply(header);
}

export function handleRename(fs: FileSystem, request: RequestOf<typeof opcodes.rename>): Buffer {
  return renamed(fs, request, narrow(request.body.newdir, "fuse_rename_in.newdir"), 0);
}

export function handleRename2(fs: FileSystem, request: RequestOf<typeof opcodes.rename2>): Buffer {
  return renamed(fs, request, narrow(request.body.newdir, "fuse_rename2_in.newdir"), request.body.flags);
}

export function handleReadlink(fs: FileSystem, { header }: RequestOf<typeof opcodes.readlink>): Buffer {
  const inode = inodeOf(fs, header.nodeid);
  if (!isSymlink(inode)) throw new FsError("EINVAL");
  return bytesReply(header, Buffer.from(inode.target ?? "", "latin1"));
}

const O_EXCL = 0o200;

function made(fs: FileSystem, header: RequestHeader, make: () => number): Buffer {
  return entryReply(header, inodeOf(fs, fs.done(header)?.ino ?? make()));
}

function renamed(
  fs: FileSystem, { header, name, name2 }: RequestOf<typeof opcodes.rename | typeof opcodes.rename2>, newdir: number,
  flags: number,
): Buffer {
  if (fs.done(header) === undefined) {
    rename(fs, fs.caller(header), { parent: header.nodeid, name }, { parent: newdir, name: name2 }, renameFlags(flags));
  }
  return emptyReply(header);
}

function renameFlags(flags: number): RenameFlags {
  if ((flags & ~(RENAME.NOREPLACE | RENAME.EXCHANGE | RENAME.WHITEOUT)) !== 0) throw new FsError("EINVAL");
  return {
    noReplace: (flags & RENAME.NOREPLACE) !== 0,
    exchange: (flags & RENAME.EXCHANGE) !== 0,
    whiteout: (flags & RENAME.WHITEOUT) !== 0,
  };
}
