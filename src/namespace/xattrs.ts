// Extended attributes: user., trusted. and security.; their rights are checked by the kernel (fs/xattr.c).

import { FsError } from "../base/errors";
import { securityCapability, xattrNameBytesMax, xattrValueBytesMax, type Change } from "../volume/changes";
import type { Inode } from "../volume/inode";
import { leaseXattr } from "../volume/lease";
import { attributesOf } from "./attributes";
import { inodeOf, type Caller, type Space } from "./space";

/** Names and values of one inode together: it is kept in memory and in every checkpoint. */
export const xattrBytesMax = 128 * 1024;
/** XATTR_LIST_MAX (include/uapi/linux/limits.h): a longer list could be stored but not read. */
const listBytesMax = 65536;

/** What changes a file's contents takes its capabilities away (security_inode_killpriv). */
export function withoutCapability({ ino, xattrs }: Inode): Change[] {
  return xattrs.has(securityCapability) ? [{ kind: "drop-xattr", ino, name: securityCapability }] : [];
}

const prefixes: readonly string[] = ["user.", "trusted.", "security."];

/** setxattr(2) flags, include/uapi/linux/xattr.h */
export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;

export function getXattr(space: Space, ino: number, name: string): Buffer {
  const inode = inodeOf(space, ino);
  checkXattrName(name);
  const value = inode.xattrs.get(name);
  if (value === undefined) throw new FsError("ENODATA");
  return value;
}

/** Each name with its NUL, as listxattr(2) gives them. */
export function listXattrs(space: Space, ino: number): Buffer {
  const names = [...inodeOf(space, ino).xattrs.keys()].filter((name) => name !== leaseXattr);
  return Buffer.from(names.map((name) => `${name}\0`).join(""), "latin1");
}

export function setXattr(space: Space, caller: Caller, ino: number, name: string, value: Buffer, flags: number): void {
  const inode = inodeOf(space, ino);
  checkXattrName(name);
  if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) !== 0) throw new FsError("EINVAL");
  if (value.length > xattrValueBytesMax) throw new FsError("E2BIG");
  const old = inode.xattrs.get(name);
  if (old !== undefined && (flags & XATTR_CREATE) !== 0) throw new FsError("EEXIST");
  if (old === undefined && (flags & XATTR_REPLACE) !== 0) throw new FsError("ENODATA");
  checkRoom(inode, name, value, old);
  // The value is a view of the request, which is reused.
  space.commit(
    [{ kind: "put-xattr", ino, name, value: Buffer.from(value) }, changedNow(space, inode)],
    caller.request && { ...caller.request, ino },
  );
}

export function removeXattr(space: Space, caller: Caller, ino: number, name: string): void {
  const inode = inodeOf(space, ino);
  checkXattrName(name);
  if (!inode.xattrs.has(name)) throw new FsError("ENODATA");
  space.commit(
    [{ kind: "drop-xattr", ino, name }, changedNow(space, inode)], caller.request && { ...caller.request, ino },
  );
}

/** system.posix_acl_*: EOPNOTSUPP, since FUSE_POSIX_ACL is not agreed. */
function checkXattrName(name: string): void {
  if (name.length > xattrNameBytesMax) throw new FsError("ERANGE");
  const prefix = prefixes.find((one) => name.startsWith(one));
  if (prefix === undefined) throw new FsError("EOPNOTSUPP");
  if (name.length === prefix.length || name.includes("\0")) throw new FsError("EINVAL");
}

function checkRoom(inode: Inode, name: string, value: Buffer, old: Buffer | undefined): void {
  let bytes = value.length - (old?.length ?? 0) + (old === undefined ? name.length : 0);
  let listBytes = old === undefined ? name.length + 1 : 0;
  for (const [other, stored] of inode.xattrs) {
    bytes += other.length + stored.length;
    listBytes += other.length + 1;
  }
  if (bytes > xattrBytesMax || listBytes > listBytesMax) {
    throw new FsError("ENOSPC", `cannot set xattr ${name} of ino ${inode.ino}: ${bytes} bytes, an inode holds ${xattrBytesMax}`);
  }
}

function changedNow(space: Space, inode: Inode): Change {
  return { kind: "put-inode", ino: inode.ino, attributes: { ...attributesOf(inode), ctime: space.now() } };
}
