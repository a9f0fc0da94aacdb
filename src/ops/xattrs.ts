// FUSE_SETXATTR, _GETXATTR, _LISTXATTR, _REMOVEXATTR, with two virtual attributes (why the last swapon was refused, what
// mode a pinned file is in) and one that acts: user.swapfs.activate. The virtual ones are got by name and not listed: what is
// listed is copied with the file (rsync -X, tar --xattrs, mv), and nobody can set them.

import { FsError } from "../base/errors";
import { getXattr, listXattrs, removeXattr, setXattr } from "../namespace/xattrs";
import { inodeOf } from "../namespace/space";
import type { opcodes } from "../wire/opcodes";
import { bytesReply, emptyReply, structReply } from "../wire/reply";
import type { RequestHeader } from "../wire/request";
import { fuse_getxattr_out } from "../wire/structs";
import type { FileSystem } from "../blocks/filesystem";
import type { RequestOf } from "./handler";
import { activateMark, activateXattr, pin, setMark, unpin } from "../blocks/pin";
import { pins } from "../activation/handles";

/** Readable while the last activation of the file is a refusal. */
export const refusedXattr = "user.swapfs.refused";

/** Readable while the file is pinned without a swapon. */
export const modeXattr = "user.swapfs.mode";

export async function handleSetxattr(
  fs: FileSystem, { header, body, name, bytes }: RequestOf<typeof opcodes.setxattr>,
): Promise<Buffer> {
  if (isVirtual(name)) throw new FsError("EPERM");
  if (body.size !== bytes.length) throw new FsError("EINVAL", "fuse_setxattr_in.size is the length of the value");
  if (fs.done(header) !== undefined) return emptyReply(header);
  const value = Buffer.from(bytes); // a view of the request, which is reused
  if (name === activateXattr) await activate(fs, header, value.toString("latin1"), body.flags);
  else setXattr(fs, fs.caller(header), header.nodeid, name, value, body.flags);
  return emptyReply(header);
}

export function handleGetxattr(fs: FileSystem, { header, body, name }: RequestOf<typeof opcodes.getxattr>): Buffer {
  const virtual = virtualText(fs, header.nodeid, name);
  if (virtual !== undefined) return sized(header, body.size, Buffer.from(virtual));
  const value = getXattr(fs, header.nodeid, name);
  // Volumes of before hold "1", which a copy must not get: it would be pinned.
  return sized(header, body.size, name === activateXattr ? Buffer.from(activateMark) : value);
}

export function handleListxattr(fs: FileSystem, { header, body }: RequestOf<typeof opcodes.listxattr>): Buffer {
  return sized(header, body.size, listXattrs(fs, header.nodeid));
}

export async function handleRemovexattr(fs: FileSystem, { header, name }: RequestOf<typeof opcodes.removexattr>): Promise<Buffer> {
  if (isVirtual(name)) throw new FsError("EPERM");
  if (fs.done(header) !== undefined) return emptyReply(header);
  const remove = (): void => removeXattr(fs, fs.caller(header), header.nodeid, name);
  if (name === activateXattr) await deactivate(fs, header, remove);
  else remove();
  return emptyReply(header);
}

// A pinned map takes memory that is locked for ever, so users may not make one. A copy of the file that gets its attributes
// restored is marked and not pinned: it is a temporary file that will be renamed.
async function activate(fs: FileSystem, header: RequestHeader, value: string, flags: number): Promise<void> {
  const [caller, ino] = [fs.caller(header), header.nodeid];
  if (header.uid !== 0) throw new FsError("EPERM");
  const mark = (): void => setMark(fs, caller, ino, flags);
  if (value === activateMark) return mark();
  if (value !== "1") throw new FsError("EINVAL", `${activateXattr} is 1, ${activateMark}, or removed`);
  const { mode } = await pin(fs, ino, "swap_rw", { whenReached: mark });
  if (mode !== "swap_rw") throw new FsError("EINVAL", `cannot activate ino ${ino}: see ${refusedXattr}`);
}

async function deactivate(fs: FileSystem, header: RequestHeader, unmark: () => void): Promise<void> {
  if (header.uid !== 0) throw new FsError("EPERM");
  await unpin(fs, inodeOf(fs, header.nodeid).ino, pins.activated, unmark);
}

function isVirtual(name: string): boolean {
  return name === refusedXattr || name === modeXattr;
}

function virtualText(fs: FileSystem, nodeid: number, name: string): string | undefined {
  const { ino } = inodeOf(fs, nodeid);
  if (name === refusedXattr) return fs.refusals.textOf(ino);
  if (name !== modeXattr) return undefined;
  switch (fs.handles.pinMode(ino)) {
    case undefined: return undefined;
    case "pinned": return "pinned: writes get ETXTBSY";
    case "swap_rw": return "swap_rw: direct I/O of whole pages, all else gets EINVAL";
  }
}

/** `room` 0 asks for the length alone (fuse_getxattr, fs/fuse/xattr.c). */
function sized(header: RequestHeader, room: number, value: Buffer): Buffer {
  if (room === 0) return structReply(header, fuse_getxattr_out, { size: value.length, padding: 0 });
  if (value.length > room) throw new FsError("ERANGE");
  return bytesReply(header, value);
}
