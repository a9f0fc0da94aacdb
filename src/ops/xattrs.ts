// FUSE_SETXATTR, _GETXATTR, _LISTXATTR, _REMOVEXATTR, with one virtual attribute: why the last swapon was refused.

import { FsError } from "../base/errors";
import { getXattr, listXattrs, removeXattr, setXattr } from "../namespace/xattrs";
import { inodeOf } from "../namespace/space";
import type { opcodes } from "../wire/opcodes";
import { bytesReply, emptyReply, structReply } from "../wire/reply";
import type { RequestHeader } from "../wire/request";
import { fuse_getxattr_out } from "../wire/structs";
import type { FileSystem } from "./filesystem";
import type { RequestOf } from "./handler";

/** Readable and listed while the last activation of the file is a refusal. */
export const refusedXattr = "user.swapfs.refused";

export function handleSetxattr(fs: FileSystem, { header, body, name, bytes }: RequestOf<typeof opcodes.setxattr>): Buffer {
  if (name === refusedXattr) throw new FsError("EPERM");
  if (body.size !== bytes.length) throw new FsError("EINVAL", "fuse_setxattr_in.size is the length of the value");
  if (fs.done(header) === undefined) setXattr(fs, fs.caller(header), header.nodeid, name, bytes, body.flags);
  return emptyReply(header);
}

export function handleGetxattr(fs: FileSystem, { header, body, name }: RequestOf<typeof opcodes.getxattr>): Buffer {
  const refused = name === refusedXattr ? refusedText(fs, header.nodeid) : undefined;
  return sized(header, body.size, refused === undefined ? getXattr(fs, header.nodeid, name) : Buffer.from(refused));
}

export function handleListxattr(fs: FileSystem, { header, body }: RequestOf<typeof opcodes.listxattr>): Buffer {
  const virtual = refusedText(fs, header.nodeid) === undefined ? [] : [refusedXattr];
  return sized(header, body.size, listXattrs(fs, header.nodeid, virtual));
}

export function handleRemovexattr(fs: FileSystem, { header, name }: RequestOf<typeof opcodes.removexattr>): Buffer {
  if (name === refusedXattr) throw new FsError("EPERM");
  if (fs.done(header) === undefined) removeXattr(fs, fs.caller(header), header.nodeid, name);
  return emptyReply(header);
}

function refusedText(fs: FileSystem, ino: number): string | undefined {
  return fs.refusals.textOf(inodeOf(fs, ino).ino);
}

/** `room` 0 asks for the length alone (fuse_getxattr, fs/fuse/xattr.c). */
function sized(header: RequestHeader, room: number, value: Buffer): Buffer {
  if (room === 0) return structReply(header, fuse_getxattr_out, { size: value.length, padding: 0 });
  if (value.length > room) throw new FsError("ERANGE");
  return bytesReply(header, value);
}
