// chmod, chown, utimens, and the attribute half of truncate, as a pure function from attributes to attributes.

import { S_IFMT, type Attributes, type Change, type Time } from "../volume/changes";
import type { Inode } from "../volume/inode";
import { attributesOf } from "./attributes";
import { isDirectory, permissionBits, withoutSetId } from "./modes";
import { withoutCapability } from "./xattrs";

export interface AttributeRequest {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** bytes */
  readonly size?: number;
  readonly atime?: Time | "now";
  readonly mtime?: Time | "now";
  readonly ctime?: Time;
  /** FATTR_KILL_SUIDGID: the caller has no CAP_FSETID (fuse_do_setattr, fs/fuse/dir.c) */
  readonly killSuidgid: boolean;
}

/** What a change of contents does to the inode besides (file_modified, fs/inode.c). `mode`: without what the caller may not keep. */
export function modified(inode: Inode, mode: number, size: number, now: Time): Change[] {
  return [{ kind: "put-inode", ino: inode.ino, attributes: { ...attributesOf(inode), mode, size, mtime: now, ctime: now } }, ...withoutCapability(inode)];
}

/** Undefined when nothing changes: truncate(2) to the size that the file has. */
export function requestedAttributes(old: Attributes, request: AttributeRequest, now: Time): Attributes | undefined {
  const resizes = request.size !== undefined && request.size !== old.size;
  const onlySize = Object.keys(request).every((key) => key === "size" || key === "killSuidgid");
  const mode = requestedMode(old, request);
  if (onlySize && !resizes && mode === old.mode) return undefined;
  return {
    mode,
    uid: request.uid ?? old.uid,
    gid: request.gid ?? old.gid,
    nlink: old.nlink,
    size: request.size ?? old.size,
    rdev: old.rdev,
    atime: requestedTime(request.atime, now) ?? old.atime,
    mtime: requestedTime(request.mtime, now) ?? (resizes ? now : old.mtime),
    ctime: request.ctime ?? now,
  };
}

function requestedTime(time: Time | "now" | undefined, now: Time): Time | undefined {
  return time === "now" ? now : time;
}

// A mode that the kernel sends has been through setattr_prepare (fs/attr.c) and is taken as it is. Without one, a change
// of owner takes the set-id bits away, for root as well (chown_common, fs/open.c); a directory keeps them.
function requestedMode(old: Attributes, request: AttributeRequest): number {
  if (request.mode !== undefined) return (old.mode & S_IFMT) | (request.mode & permissionBits);
  const changesOwner = request.uid !== undefined || request.gid !== undefined;
  return !isDirectory(old) && (changesOwner || request.killSuidgid) ? withoutSetId(old.mode) : old.mode;
}
