// The part of the FUSE protocol that the data plane takes part in; kernel names (include/uapi/linux/fuse.h). Everything
// else is relayed to the control plane unread, which has the whole protocol in src/wire.
#pragma once

#include <cstddef>
#include <cstdint>

namespace swapfs::fuse {

enum fuse_opcode : std::uint32_t {
  FUSE_LOOKUP = 1,
  FUSE_FORGET = 2,
  FUSE_GETATTR = 3,
  FUSE_READ = 15,
  FUSE_WRITE = 16,
  FUSE_GETXATTR = 22,
  FUSE_INTERRUPT = 36,
  FUSE_BMAP = 37,
  FUSE_DESTROY = 38,
  FUSE_IOCTL = 39,
  FUSE_BATCH_FORGET = 42,
};

enum fuse_notify_code : std::int32_t { FUSE_NOTIFY_RESEND = 7 };

// Set by fuse_resend (fs/fuse/dev.c) in the unique of a request that was read before. It is part of the name by which
// the reply is matched, so a late reply to the first sending gets ENOENT.
inline constexpr std::uint64_t FUSE_UNIQUE_RESEND = 1ULL << 63;

inline constexpr std::uint32_t FUSE_WRITE_KILL_SUIDGID = 1u << 2;

struct fuse_in_header {
  std::uint32_t len;
  std::uint32_t opcode;
  std::uint64_t unique;
  std::uint64_t nodeid;
  std::uint32_t uid;
  std::uint32_t gid;
  std::uint32_t pid;
  std::uint16_t total_extlen;
  std::uint16_t padding;
};
static_assert(sizeof(fuse_in_header) == 40);

struct fuse_out_header {
  std::uint32_t len;
  std::int32_t error;
  std::uint64_t unique;
};
static_assert(sizeof(fuse_out_header) == 16);

struct fuse_read_in {
  std::uint64_t fh;
  std::uint64_t offset;
  std::uint32_t size;
  std::uint32_t read_flags;
  std::uint64_t lock_owner;
  std::uint32_t flags;
  std::uint32_t padding;
};
static_assert(sizeof(fuse_read_in) == 40);

struct fuse_write_in {
  std::uint64_t fh;
  std::uint64_t offset;
  std::uint32_t size;
  std::uint32_t write_flags;
  std::uint64_t lock_owner;
  std::uint32_t flags;
  std::uint32_t padding;
};
static_assert(sizeof(fuse_write_in) == 40);

struct fuse_write_out {
  std::uint32_t size;
  std::uint32_t padding;
};
static_assert(sizeof(fuse_write_out) == 8);

struct fuse_bmap_in {
  std::uint64_t block;
  std::uint32_t blocksize;
  std::uint32_t padding;
};
static_assert(sizeof(fuse_bmap_in) == 16);

struct fuse_attr {
  std::uint64_t ino, size, blocks, atime, mtime, ctime;
  std::uint32_t atimensec, mtimensec, ctimensec, mode, nlink, uid, gid, rdev, blksize, flags;
};
static_assert(sizeof(fuse_attr) == 88);

struct fuse_entry_out {
  std::uint64_t nodeid;
  std::uint64_t generation;
  std::uint64_t entry_valid;
  std::uint64_t attr_valid;
  std::uint32_t entry_valid_nsec;
  std::uint32_t attr_valid_nsec;
  fuse_attr attr;
};
static_assert(sizeof(fuse_entry_out) == 128);

// For how long the kernel may remember a name or that it is not there: src/wire/reply.ts, validSeconds.
inline constexpr std::uint64_t kValidSeconds = 86400;

struct fuse_bmap_out {
  std::uint64_t block;
};
static_assert(sizeof(fuse_bmap_out) == 8);

}  // namespace swapfs::fuse
