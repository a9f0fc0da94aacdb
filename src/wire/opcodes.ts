// The opcode table: name, body, what follows the body, and reply. Dispatch, decode, encode and describe read it. What is always refused has
// its name alone.

import type { Fields, Struct } from "../base/struct";
import * as s from "./structs";

/** What follows the body: names end with a NUL each, "bytes" is the rest. */
export type Trailing = "none" | "name" | "two-names" | "name-bytes" | "bytes";

export interface Opcode<F extends Fields = Fields, R extends Fields = Fields> {
  readonly code: number;
  readonly name: string;
  readonly body: Struct<F> | undefined;
  /** Bytes of the body that every supported kernel sends; the rest decodes as zeros. */
  readonly bodyBytesMin: number;
  readonly trailing: Trailing;
  /** A struct, raw bytes (READ, READLINK, READDIR …), a header alone, or no reply at all. */
  readonly reply: Struct<R> | "bytes" | "empty" | "none";
}

function op<F extends Fields, R extends Fields = Fields>(
  code: number, name: string, body: Struct<F> | undefined, trailing: Trailing, reply: Opcode<F, R>["reply"],
  bodyBytesMin = body?.size ?? 0,
): Opcode<F, R> {
  return { code, name, body, bodyBytesMin, trailing, reply };
}

type None = Record<never, never>;
const none = undefined as Struct<None> | undefined;

export const opcodes = {
  lookup: op(1, "FUSE_LOOKUP", none, "name", s.fuse_entry_out),
  forget: op(2, "FUSE_FORGET", s.fuse_forget_in, "none", "none"),
  getattr: op(3, "FUSE_GETATTR", s.fuse_getattr_in, "none", s.fuse_attr_out),
  setattr: op(4, "FUSE_SETATTR", s.fuse_setattr_in, "none", s.fuse_attr_out),
  readlink: op(5, "FUSE_READLINK", none, "none", "bytes"),
  symlink: op(6, "FUSE_SYMLINK", none, "two-names", s.fuse_entry_out),
  mknod: op(8, "FUSE_MKNOD", s.fuse_mknod_in, "name", s.fuse_entry_out),
  mkdir: op(9, "FUSE_MKDIR", s.fuse_mkdir_in, "name", s.fuse_entry_out),
  unlink: op(10, "FUSE_UNLINK", none, "name", "empty"),
  rmdir: op(11, "FUSE_RMDIR", none, "name", "empty"),
  rename: op(12, "FUSE_RENAME", s.fuse_rename_in, "two-names", "empty"),
  link: op(13, "FUSE_LINK", s.fuse_link_in, "name", s.fuse_entry_out),
  open: op(14, "FUSE_OPEN", s.fuse_open_in, "none", s.fuse_open_out),
  read: op(15, "FUSE_READ", s.fuse_read_in, "none", "bytes"),
  write: op(16, "FUSE_WRITE", s.fuse_write_in, "bytes", s.fuse_write_out),
  statfs: op(17, "FUSE_STATFS", none, "none", s.fuse_statfs_out),
  release: op(18, "FUSE_RELEASE", s.fuse_release_in, "none", "empty"),
  fsync: op(20, "FUSE_FSYNC", s.fuse_fsync_in, "none", "empty"),
  setxattr: op(21, "FUSE_SETXATTR", s.fuse_setxattr_in, "name-bytes", "empty"),
  getxattr: op(22, "FUSE_GETXATTR", s.fuse_getxattr_in, "name", "bytes"),
  listxattr: op(23, "FUSE_LISTXATTR", s.fuse_getxattr_in, "none", "bytes"),
  removexattr: op(24, "FUSE_REMOVEXATTR", none, "name", "empty"),
  flush: op(25, "FUSE_FLUSH", s.fuse_flush_in, "none", "empty"),
  init: op(26, "FUSE_INIT", s.fuse_init_in, "none", s.fuse_init_out, s.initInShortBytes),
  opendir: op(27, "FUSE_OPENDIR", s.fuse_open_in, "none", s.fuse_open_out),
  readdir: op(28, "FUSE_READDIR", s.fuse_read_in, "none", "bytes"),
  releasedir: op(29, "FUSE_RELEASEDIR", s.fuse_release_in, "none", "empty"),
  fsyncdir: op(30, "FUSE_FSYNCDIR", s.fuse_fsync_in, "none", "empty"),
  getlk: op(31, "FUSE_GETLK", none, "none", "empty"),
  setlk: op(32, "FUSE_SETLK", none, "none", "empty"),
  setlkw: op(33, "FUSE_SETLKW", none, "none", "empty"),
  access: op(34, "FUSE_ACCESS", s.fuse_access_in, "none", "empty"),
  create: op(35, "FUSE_CREATE", s.fuse_create_in, "name", s.fuse_create_out),
  interrupt: op(36, "FUSE_INTERRUPT", s.fuse_interrupt_in, "none", "none"),
  bmap: op(37, "FUSE_BMAP", s.fuse_bmap_in, "none", s.fuse_bmap_out),
  destroy: op(38, "FUSE_DESTROY", none, "none", "empty"),
  ioctl: op(39, "FUSE_IOCTL", none, "bytes", "empty"),
  poll: op(40, "FUSE_POLL", none, "none", "empty"),
  notifyReply: op(41, "FUSE_NOTIFY_REPLY", none, "bytes", "none"),
  batchForget: op(42, "FUSE_BATCH_FORGET", s.fuse_batch_forget_in, "bytes", "none"),
  fallocate: op(43, "FUSE_FALLOCATE", s.fuse_fallocate_in, "none", "empty"),
  readdirplus: op(44, "FUSE_READDIRPLUS", s.fuse_read_in, "none", "bytes"),
  rename2: op(45, "FUSE_RENAME2", s.fuse_rename2_in, "two-names", "empty"),
  lseek: op(46, "FUSE_LSEEK", s.fuse_lseek_in, "none", s.fuse_lseek_out),
  copyFileRange: op(47, "FUSE_COPY_FILE_RANGE", s.fuse_copy_file_range_in, "none", s.fuse_write_out),
  setupmapping: op(48, "FUSE_SETUPMAPPING", none, "none", "empty"),
  removemapping: op(49, "FUSE_REMOVEMAPPING", none, "bytes", "empty"),
  syncfs: op(50, "FUSE_SYNCFS", s.fuse_syncfs_in, "none", "empty"),
  tmpfile: op(51, "FUSE_TMPFILE", s.fuse_create_in, "name", s.fuse_create_out),
  statx: op(52, "FUSE_STATX", s.fuse_statx_in, "none", "bytes"),
  copyFileRange64: op(53, "FUSE_COPY_FILE_RANGE_64", s.fuse_copy_file_range_in, "none", s.fuse_copy_file_range_out),
} as const;

const byCode: (Opcode<any, any> | undefined)[] = [];
for (const opcode of Object.values(opcodes)) byCode[opcode.code] = opcode;

export function opcodeOf(code: number): Opcode<any, any> | undefined {
  return byCode[code];
}

/** "FUSE_BMAP" for 37, "opcode 99" for one that this table does not hold. */
export function opcodeName(code: number): string {
  return byCode[code]?.name ?? `opcode ${code}`;
}
