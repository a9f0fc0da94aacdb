// The structs of include/uapi/linux/fuse.h that are read or written here: kernel names, kernel order, padding is a field.

import { Struct, bytes, i32, i64, inline, u16, u32, u64 } from "../base/struct";

export const fuse_in_header = new Struct("fuse_in_header", {
  len: u32, opcode: u32, unique: u64, nodeid: u64, uid: u32, gid: u32, pid: u32, total_extlen: u16, padding: u16,
});
export const fuse_out_header = new Struct("fuse_out_header", { len: u32, error: i32, unique: u64 });

/** Times are u64 in the header and time64_t in the kernel (fuse_change_attributes_common): signed here. */
export const fuse_attr = new Struct("fuse_attr", {
  ino: u64, size: u64, blocks: u64, atime: i64, mtime: i64, ctime: i64, atimensec: u32, mtimensec: u32, ctimensec: u32,
  mode: u32, nlink: u32, uid: u32, gid: u32, rdev: u32, blksize: u32, flags: u32,
});
export const fuse_kstatfs = new Struct("fuse_kstatfs", {
  blocks: u64, bfree: u64, bavail: u64, files: u64, ffree: u64, bsize: u32, namelen: u32, frsize: u32, padding: u32,
  spare: bytes(24, 4),
});

export const fuse_entry_out = new Struct("fuse_entry_out", {
  nodeid: u64, generation: u64, entry_valid: u64, attr_valid: u64, entry_valid_nsec: u32, attr_valid_nsec: u32,
  attr: inline(fuse_attr),
});
export const fuse_attr_out = new Struct("fuse_attr_out", {
  attr_valid: u64, attr_valid_nsec: u32, dummy: u32, attr: inline(fuse_attr),
});

export const fuse_forget_in = new Struct("fuse_forget_in", { nlookup: u64 });
export const fuse_batch_forget_in = new Struct("fuse_batch_forget_in", { count: u32, dummy: u32 });
export const fuse_getattr_in = new Struct("fuse_getattr_in", { getattr_flags: u32, dummy: u32, fh: u64 });
export const fuse_statx_in = new Struct("fuse_statx_in", {
  getattr_flags: u32, reserved: u32, fh: u64, sx_flags: u32, sx_mask: u32,
});
export const fuse_mknod_in = new Struct("fuse_mknod_in", { mode: u32, rdev: u32, umask: u32, padding: u32 });
export const fuse_mkdir_in = new Struct("fuse_mkdir_in", { mode: u32, umask: u32 });
export const fuse_rename_in = new Struct("fuse_rename_in", { newdir: u64 });
export const fuse_rename2_in = new Struct("fuse_rename2_in", { newdir: u64, flags: u32, padding: u32 });
export const fuse_link_in = new Struct("fuse_link_in", { oldnodeid: u64 });
export const fuse_setattr_in = new Struct("fuse_setattr_in", {
  valid: u32, padding: u32, fh: u64, size: u64, lock_owner: u64, atime: i64, mtime: i64, ctime: i64, atimensec: u32,
  mtimensec: u32, ctimensec: u32, mode: u32, unused4: u32, uid: u32, gid: u32, unused5: u32,
});

export const fuse_open_in = new Struct("fuse_open_in", { flags: u32, open_flags: u32 });
export const fuse_create_in = new Struct("fuse_create_in", { flags: u32, mode: u32, umask: u32, open_flags: u32 });
export const fuse_open_out = new Struct("fuse_open_out", { fh: u64, open_flags: u32, backing_id: i32 });
/** What FUSE_CREATE is answered with: two structs, one after the other (fuse_create_open in fs/fuse/dir.c). */
export const fuse_create_out = new Struct("fuse_create_out", {
  entry: inline(fuse_entry_out), open: inline(fuse_open_out),
});
export const fuse_release_in = new Struct("fuse_release_in", {
  fh: u64, flags: u32, release_flags: u32, lock_owner: u64,
});
export const fuse_flush_in = new Struct("fuse_flush_in", { fh: u64, unused: u32, padding: u32, lock_owner: u64 });
export const fuse_read_in = new Struct("fuse_read_in", {
  fh: u64, offset: u64, size: u32, read_flags: u32, lock_owner: u64, flags: u32, padding: u32,
});
export const fuse_write_in = new Struct("fuse_write_in", {
  fh: u64, offset: u64, size: u32, write_flags: u32, lock_owner: u64, flags: u32, padding: u32,
});
export const fuse_write_out = new Struct("fuse_write_out", { size: u32, padding: u32 });
export const fuse_statfs_out = new Struct("fuse_statfs_out", { st: inline(fuse_kstatfs) });
export const fuse_fsync_in = new Struct("fuse_fsync_in", { fh: u64, fsync_flags: u32, padding: u32 });

/** FUSE_COMPAT_SETXATTR_IN_SIZE: what the kernel sends unless FUSE_SETXATTR_EXT was agreed, and it never is. */
export const fuse_setxattr_in = new Struct("fuse_setxattr_in", { size: u32, flags: u32 });
export const fuse_getxattr_in = new Struct("fuse_getxattr_in", { size: u32, padding: u32 });
export const fuse_getxattr_out = new Struct("fuse_getxattr_out", { size: u32, padding: u32 });
export const fuse_access_in = new Struct("fuse_access_in", { mask: u32, padding: u32 });

export const fuse_init_in = new Struct("fuse_init_in", {
  major: u32, minor: u32, max_readahead: u32, flags: u32, flags2: u32, unused: bytes(44, 4),
});
/** Before FUSE_INIT_EXT (7.36) the kernel sent no more than this. */
export const initInShortBytes = fuse_init_in.offsets.flags2;
export const fuse_init_out = new Struct("fuse_init_out", {
  major: u32, minor: u32, max_readahead: u32, flags: u32, max_background: u16, congestion_threshold: u16,
  max_write: u32, time_gran: u32, max_pages: u16, map_alignment: u16, flags2: u32, max_stack_depth: u32,
  request_timeout: u16, unused: bytes(22, 2),
});

export const fuse_interrupt_in = new Struct("fuse_interrupt_in", { unique: u64 });
export const fuse_bmap_in = new Struct("fuse_bmap_in", { block: u64, blocksize: u32, padding: u32 });
export const fuse_bmap_out = new Struct("fuse_bmap_out", { block: u64 });
export const fuse_fallocate_in = new Struct("fuse_fallocate_in", {
  fh: u64, offset: u64, length: u64, mode: u32, padding: u32,
});
export const fuse_lseek_in = new Struct("fuse_lseek_in", { fh: u64, offset: u64, whence: u32, padding: u32 });
export const fuse_lseek_out = new Struct("fuse_lseek_out", { offset: u64 });
export const fuse_copy_file_range_in = new Struct("fuse_copy_file_range_in", {
  fh_in: u64, off_in: u64, nodeid_out: u64, fh_out: u64, off_out: u64, len: u64, flags: u64,
});
export const fuse_copy_file_range_out = new Struct("fuse_copy_file_range_out", { bytes_copied: u64 });
export const fuse_syncfs_in = new Struct("fuse_syncfs_in", { padding: u64 });

/** `char name[]` follows, then padding to a multiple of 8 (FUSE_DIRENT_ALIGN). */
export const fuse_dirent = new Struct("fuse_dirent", { ino: u64, off: u64, namelen: u32, type: u32 });
