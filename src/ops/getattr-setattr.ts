// FUSE_GETATTR and FUSE_SETATTR.

import { fileBytes } from "../base/units";
import { requestedAttributes, type AttributeRequest } from "../namespace/setattr";
import { attributesOf } from "../namespace/attributes";
import { inodeOf } from "../namespace/space";
import type { Time } from "../volume/changes";
import { FATTR } from "../wire/abi";
import type { opcodes } from "../wire/opcodes";
import { attrReply } from "../wire/reply";
import type { RequestHeader } from "../wire/request";
import type { FileSystem } from "../blocks/filesystem";
import type { RequestOf } from "./handler";
import { resize } from "./truncate";

export function handleGetattr(fs: FileSystem, { header }: RequestOf<typeof opcodes.getattr>): Buffer {
  fs.applyTouched();
  return attrReply(header, fs.removedDirectories.get(header.nodeid) ?? inodeOf(fs, header.nodeid));
}

export function handleSetattr(
  fs: FileSystem, { header, body }: RequestOf<typeof opcodes.setattr>,
): Buffer | Promise<Buffer> {
  fs.applyTouched(); // before the new times: the writes came first
  const ino = header.nodeid;
  const asked = attributeRequest(body);
  if (asked.size === undefined) {
    const inode = inodeOf(fs, ino);
    const attributes = requestedAttributes(attributesOf(inode), asked, fs.now());
    if (attributes !== undefined) fs.commit([{ kind: "put-inode", ino, attributes }]);
    return attributesReply(fs, header);
  }
  const resized = resize(fs, ino, { ...asked, size: asked.size });
  return resized instanceof Promise ? resized.then(() => attributesReply(fs, header)) : attributesReply(fs, header);
}

function attributesReply(fs: FileSystem, header: RequestHeader): Buffer {
  return attrReply(header, inodeOf(fs, header.nodeid));
}

type SetattrBody = RequestOf<typeof opcodes.setattr>["body"];

function attributeRequest(body: SetattrBody): AttributeRequest {
  const has = (bit: number): boolean => (body.valid & bit) !== 0;
  return {
    ...(has(FATTR.MODE) && { mode: body.mode }),
    ...(has(FATTR.UID) && { uid: body.uid }),
    ...(has(FATTR.GID) && { gid: body.gid }),
    ...(has(FATTR.SIZE) && { size: fileBytes(body.size) }),
    ...(has(FATTR.ATIME) && { atime: has(FATTR.ATIME_NOW) ? "now" : time(body.atime, body.atimensec) }),
    ...(has(FATTR.MTIME) && { mtime: has(FATTR.MTIME_NOW) ? "now" : time(body.mtime, body.mtimensec) }),
    ...(has(FATTR.CTIME) && { ctime: time(body.ctime, body.ctimensec) }),
    killSuidgid: has(FATTR.KILL_SUIDGID),
  };
}

/** Seconds that the volume does not hold become the nearest that it does (timestamp_truncate, fs/inode.c). */
function time(seconds: bigint, nanoseconds: number): Time {
  const most = Number.MAX_SAFE_INTEGER;
  return { seconds: Math.max(-most, Math.min(most, Number(seconds))), nanoseconds: Math.min(nanoseconds, 999_999_999) };
}
