// Numbers of the FUSE kernel interface (include/uapi/linux/fuse.h), under the kernel's names.

export const FUSE_KERNEL_VERSION = 7;
/** The minor version that this file describes (Linux 6.18). */
export const FUSE_KERNEL_MINOR_VERSION = 45;
/** Linux 5.4. Older kernels send shorter structs, which are not decoded here. */
export const oldestMinor = 31;
export const FUSE_ROOT_ID = 1;

/**
 * Set in fuse_in_header.unique of a request that FUSE_NOTIFY_RESEND made the kernel send again, and in the request that it waits for
 * as well (fuse_chan_resend, fs/fuse/dev.c): a reply without it finds nobody.
 */
export const FUSE_UNIQUE_RESEND = 1n << 63n;

/** fuse_setattr_in.valid */
export const FATTR = {
  MODE: 1 << 0, UID: 1 << 1, GID: 1 << 2, SIZE: 1 << 3, ATIME: 1 << 4, MTIME: 1 << 5, FH: 1 << 6,
  ATIME_NOW: 1 << 7, MTIME_NOW: 1 << 8, LOCKOWNER: 1 << 9, CTIME: 1 << 10, KILL_SUIDGID: 1 << 11,
} as const;

/** fuse_open_out.open_flags */
export const FOPEN = {
  DIRECT_IO: 1 << 0, KEEP_CACHE: 1 << 1, NONSEEKABLE: 1 << 2, CACHE_DIR: 1 << 3, STREAM: 1 << 4, NOFLUSH: 1 << 5,
  PARALLEL_DIRECT_WRITES: 1 << 6, PASSTHROUGH: 1 << 7,
} as const;

/** fuse_init_in.flags and, shifted down by 32, fuse_init_in.flags2 */
export const FUSE_INIT_FLAGS = {
  ASYNC_READ: 1n << 0n, POSIX_LOCKS: 1n << 1n, FILE_OPS: 1n << 2n, ATOMIC_O_TRUNC: 1n << 3n, EXPORT_SUPPORT: 1n << 4n,
  BIG_WRITES: 1n << 5n, DONT_MASK: 1n << 6n, SPLICE_WRITE: 1n << 7n, SPLICE_MOVE: 1n << 8n, SPLICE_READ: 1n << 9n,
  FLOCK_LOCKS: 1n << 10n, HAS_IOCTL_DIR: 1n << 11n, AUTO_INVAL_DATA: 1n << 12n, DO_READDIRPLUS: 1n << 13n,
  READDIRPLUS_AUTO: 1n << 14n, ASYNC_DIO: 1n << 15n, WRITEBACK_CACHE: 1n << 16n, NO_OPEN_SUPPORT: 1n << 17n,
  PARALLEL_DIROPS: 1n << 18n, HANDLE_KILLPRIV: 1n << 19n, POSIX_ACL: 1n << 20n, ABORT_ERROR: 1n << 21n,
  MAX_PAGES: 1n << 22n, CACHE_SYMLINKS: 1n << 23n, NO_OPENDIR_SUPPORT: 1n << 24n, EXPLICIT_INVAL_DATA: 1n << 25n,
  MAP_ALIGNMENT: 1n << 26n, SUBMOUNTS: 1n << 27n, HANDLE_KILLPRIV_V2: 1n << 28n, SETXATTR_EXT: 1n << 29n,
  INIT_EXT: 1n << 30n, INIT_RESERVED: 1n << 31n, SECURITY_CTX: 1n << 32n, HAS_INODE_DAX: 1n << 33n,
  CREATE_SUPP_GROUP: 1n << 34n, HAS_EXPIRE_ONLY: 1n << 35n, DIRECT_IO_ALLOW_MMAP: 1n << 36n, PASSTHROUGH: 1n << 37n,
  NO_EXPORT_SUPPORT: 1n << 38n, HAS_RESEND: 1n << 39n, ALLOW_IDMAP: 1n << 40n, OVER_IO_URING: 1n << 41n,
  REQUEST_TIMEOUT: 1n << 42n,
} as const;

export const FUSE_FSYNC_FDATASYNC = 1 << 0;

/** fuse_write_in.write_flags */
export const FUSE_WRITE = { CACHE: 1 << 0, LOCKOWNER: 1 << 1, KILL_SUIDGID: 1 << 2 } as const;

/** include/uapi/linux/fs.h, fuse_rename2_in.flags */
export const RENAME = { NOREPLACE: 1 << 0, EXCHANGE: 1 << 1, WHITEOUT: 1 << 2 } as const;

/** include/uapi/linux/falloc.h, fuse_fallocate_in.mode */
export const FALLOC_FL = {
  KEEP_SIZE: 0x01, PUNCH_HOLE: 0x02, COLLAPSE_RANGE: 0x08, ZERO_RANGE: 0x10, INSERT_RANGE: 0x20, UNSHARE_RANGE: 0x40,
  WRITE_ZEROES: 0x80,
} as const;

/** include/uapi/linux/fs.h, fuse_lseek_in.whence */
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;
