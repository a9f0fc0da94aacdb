#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "fuse_uring.h"

namespace swapfs::experiment {

namespace {

constexpr std::uint64_t kFileNode = 2;
constexpr char kFileName[] = "file";

template <typename Body>
Store::Reply Put(std::byte* payload, const Body& body) noexcept {
  std::memcpy(payload, &body, sizeof(body));
  return {0, sizeof(body)};
}

}  // namespace

bool Store::Open(const char* device) noexcept {
  device_ = ::open(device, O_RDWR | O_DIRECT | O_CLOEXEC);
  std::uint64_t bytes = 0;
  if (device_ < 0 || ::ioctl(device_, BLKGETSIZE64, &bytes) != 0 || bytes / kPage <= kFirstBlock) return false;
  pages_ = bytes / kPage - kFirstBlock;
  return true;
}

fuse_attr Store::Attributes(std::uint64_t node) const noexcept {
  fuse_attr attr{};
  attr.ino = node;
  attr.nlink = 1;
  attr.blksize = kPage;
  attr.mode = node == kFileNode ? S_IFREG | 0600 : S_IFDIR | 0755;
  attr.size = node == kFileNode ? pages_ * kPage : 0;
  attr.blocks = attr.size / 512;
  return attr;
}

Store::Reply Store::Transfer(const fuse_in_header& header, const void* operation, std::byte* payload) noexcept {
  static_assert(offsetof(fuse_read_in, offset) == offsetof(fuse_write_in, offset));
  static_assert(offsetof(fuse_read_in, size) == offsetof(fuse_write_in, size));
  fuse_read_in in;
  std::memcpy(&in, operation, sizeof(in));
  const std::uint64_t end = pages_ * kPage;
  if (in.offset % kPage != 0 || in.size % kPage != 0 || in.size > kPayloadBytes) return {-EINVAL};
  if (in.offset > end || in.size > end - in.offset) return {-ENOSPC};
  const auto at = static_cast<off_t>(in.offset + kFirstBlock * kPage);
  const ssize_t done = header.opcode == FUSE_READ ? ::pread(device_, payload, in.size, at) : ::pwrite(device_, payload, in.size, at);
  if (done != static_cast<ssize_t>(in.size)) return {-EIO};
  if (header.opcode == FUSE_READ) return {0, in.size};
  return Put(payload, fuse_write_out{in.size, 0});
}

// Attributes and names are never valid: a stat is a request, which is how kill.sh finds out whether anyone answers.
Store::Reply Store::Serve(const fuse_in_header& header, const void* operation, std::byte* payload) noexcept {
  switch (header.opcode) {
    case FUSE_READ:
    case FUSE_WRITE:
      return Transfer(header, operation, payload);
    case FUSE_BMAP: {
      fuse_bmap_in in;
      std::memcpy(&in, operation, sizeof(in));
      return Put(payload, fuse_bmap_out{in.block < pages_ ? in.block + kFirstBlock : 0});
    }
    case FUSE_LOOKUP: {
      if (std::strcmp(reinterpret_cast<const char*>(payload), kFileName) != 0) return {-ENOENT};
      fuse_entry_out out{};
      out.nodeid = kFileNode;
      out.attr = Attributes(kFileNode);
      return Put(payload, out);
    }
    case FUSE_GETATTR: {
      fuse_attr_out out{};
      out.attr = Attributes(header.nodeid);
      return Put(payload, out);
    }
    case FUSE_OPEN: {
      fuse_open_out out{};
      out.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
      return Put(payload, out);
    }
    case FUSE_RELEASE:
    case FUSE_FLUSH:
    case FUSE_FSYNC:
    case FUSE_SETATTR:
    case FUSE_DESTROY:
      return header.opcode == FUSE_SETATTR ? Reply{-EPERM} : Reply{};
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
      return {0, 0, true};
    default:
      return {-ENOSYS};
  }
}

int AnswerInit(int fuse, bool& over_io_uring) noexcept {
  alignas(8) std::byte buffer[FUSE_MIN_READ_BUFFER];
  if (::read(fuse, buffer, sizeof(buffer)) < 0) return -errno;
  fuse_in_header header;
  fuse_init_in in;
  std::memcpy(&header, buffer, sizeof(header));
  std::memcpy(&in, buffer + sizeof(header), sizeof(in));
  if (header.opcode != FUSE_INIT) return -EPROTO;
  const std::uint64_t offered = in.flags | static_cast<std::uint64_t>(in.flags2) << 32;
  std::uint64_t wanted = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2 |
                         FUSE_MAX_PAGES | FUSE_INIT_EXT | kHasResend;
  if (over_io_uring) wanted |= kOverIoUring;
  const std::uint64_t flags = offered & wanted;
  over_io_uring = (flags & kOverIoUring) != 0;
  struct {
    fuse_out_header header;
    fuse_init_out out;
  } reply{};
  reply.header = {sizeof(reply), 0, header.unique};
  reply.out.major = FUSE_KERNEL_VERSION;
  reply.out.minor = std::min(in.minor, 42u);
  reply.out.max_readahead = kPayloadBytes;
  reply.out.flags = static_cast<std::uint32_t>(flags);
  reply.out.flags2 = static_cast<std::uint32_t>(flags >> 32);
  reply.out.max_background = 64;  // as src/ops/init.ts
  reply.out.congestion_threshold = 48;
  reply.out.max_write = kPayloadBytes;
  reply.out.time_gran = 1;
  reply.out.max_pages = kPayloadBytes / kPage;
  return ::write(fuse, &reply, sizeof(reply)) < 0 ? -errno : 0;
}

}  // namespace swapfs::experiment
