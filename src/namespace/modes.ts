// st_mode (include/uapi/linux/stat.h) and the rules for its set-id bits.

import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "../volume/changes";

export const S_IFIFO = 0o010000;
export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;
export const S_IFSOCK = 0o140000;

export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_IXGRP = 0o0010;
export const permissionBits = 0o7777;

export function isFile(inode: { readonly mode: number }): boolean {
  return (inode.mode & S_IFMT) === S_IFREG;
}

export function isDirectory(inode: { readonly mode: number }): boolean {
  return (inode.mode & S_IFMT) === S_IFDIR;
}

export function isSymlink(inode: { readonly mode: number }): boolean {
  return (inode.mode & S_IFMT) === S_IFLNK;
}

/** DT_* of a directory entry (S_DT in include/linux/fs_types.h). */
export function direntType(mode: number): number {
  return (mode & S_IFMT) >>> 12;
}

/**
 * What a write, a truncation or a chown leaves (setattr_should_drop_suidgid, fs/attr.c). S_ISGID without group execution
 * means mandatory locking and stays.
 */
export function withoutSetId(mode: number): number {
  const kept = mode & ~S_ISUID;
  return (kept & S_IXGRP) !== 0 ? kept & ~S_ISGID : kept;
}

/**
 * The same where the kernel does not say whether the caller may keep the bits (FUSE_FALLOCATE): root may, as CAP_FSETID
 * lets it; S_ISGID without group execution goes as well when the caller is of another group.
 */
export function withoutSetIdOf(inode: { readonly mode: number; readonly gid: number }, caller: { readonly uid: number; readonly gid: number }): number {
  if (caller.uid === 0) return inode.mode;
  return caller.gid === inode.gid ? withoutSetId(inode.mode) : inode.mode & ~(S_ISUID | S_ISGID);
}
