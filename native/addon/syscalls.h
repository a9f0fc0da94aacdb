// System calls that Node has no name for. Knows no N-API: plain values in, a length, a descriptor or a negative errno out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace swapfs::sys {

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;

// Datagrams of a SOCK_SEQPACKET socket

struct Received {
  int count;   // datagrams, 0: none there now, or a negative errno (-EMSGSIZE: one was longer than its slot)
  bool ended;  // every descriptor of the other end is closed
};

inline constexpr std::size_t kBatchMax = 64;

// Takes up to lengths.size() (at most kBatchMax) datagrams; the i-th lies at i * slot_bytes, lengths[i] bytes long.
Received ReceiveMessages(int fd, Bytes buffer, std::size_t slot_bytes, std::span<std::uint32_t> lengths) noexcept;

// Sends whole datagrams in order and waits while the socket is full. 0 or -errno.
int SendMessage(int fd, ConstBytes message) noexcept;
int SendMessages(int fd, std::span<const ConstBytes> messages) noexcept;

int SeqpacketPair(int fds[2], int buffer_bytes) noexcept;

struct Credentials {
  int error;
  std::int32_t pid;
  std::uint32_t uid;
  std::uint32_t gid;
};
Credentials PeerCredentials(int fd) noexcept;

// Descriptors and memory

int MemfdCreate(const char* name, std::uint64_t byte_length) noexcept;
int MapShared(int fd, std::size_t byte_length, void** address) noexcept;
void Unmap(void* address, std::size_t byte_length) noexcept;
std::int64_t Write(int fd, ConstBytes bytes) noexcept;
int OpenFlags(int fd) noexcept;  // fcntl(F_GETFL)
int Fallocate(int fd, int mode, std::uint64_t offset, std::uint64_t length) noexcept;

// Writes zeros over [offset, offset + length) in steps of 2 MiB from memory that O_DIRECT takes. 0 or -errno.
int WriteZeroes(int fd, std::uint64_t offset, std::uint64_t length) noexcept;

// Copies [from, from + length) to `to`; the two do not overlap. 0 or -errno.
int CopyWithin(int fd, std::uint64_t from, std::uint64_t to, std::uint64_t length) noexcept;

// FS_*_FL as lsattr(1) shows them; flags or -errno, 0 or -errno
std::int64_t FileFlags(int fd) noexcept;
int SetFileFlags(int fd, std::uint64_t flags) noexcept;

// Block devices

std::int64_t BlockDeviceByteLength(int fd) noexcept;
int BlockDeviceReadOnly(int fd) noexcept;  // 1, 0 or -errno
int BlockDeviceDiscard(int fd, std::uint64_t offset, std::uint64_t length) noexcept;

// Loop devices

struct LoopDevice {
  int fd;         // open descriptor of the loop device, or -errno
  int index;      // N of /dev/loopN
  bool direct;    // the backing file is read and written with direct I/O
  int block_size; // logical block size that was accepted
};

struct LoopBacking {
  int fd;
  const char* name;  // what LOOP_GET_STATUS64 shows
  bool read_only;
  std::uint64_t offset;      // both in bytes
  std::uint64_t size_limit;  // 0: to the end
};

// What the kernel says of an attached loop device: st_dev, st_ino and st_rdev of what it is attached to, and the bytes of that.
struct LoopState {
  std::uint64_t device, inode, rdevice;
  std::uint64_t offset, size_limit;
  std::uint8_t name[64];
};

// Attaches the file behind `backing` (its descriptor may be closed afterwards) to a free loop device, autoclear: it is
// detached when the last opener (this fd, then the mount) is gone. `syscall` names what failed.
LoopDevice LoopAttach(const LoopBacking& backing, const char** syscall) noexcept;
int LoopStatus(int fd, LoopState& state) noexcept;  // 0 or -errno
int LoopSetCapacity(int fd) noexcept;

// Makes /dev/loopN anew, with the kernel's own limits; -EBUSY while something is attached or holds it open.
int LoopReset(int index, const char** syscall) noexcept;

// Device mapper

// `request`: a dm_ioctl and what belongs to it, which is answered in place. 0 or -errno.
int MapperIoctl(int control, std::uint8_t command, Bytes request) noexcept;

// A random "logon" key in the keyring of this thread: its bytes are locked in memory while they are here, and wiped. Its serial or -errno.
std::int64_t AddRandomKey(const char* description, std::size_t byte_length, const char** syscall) noexcept;
int UnlinkKey(std::int64_t serial) noexcept;  // by the thread that added it

// File extents

struct FileExtent {
  std::uint64_t logical;   // all three in bytes
  std::uint64_t physical;
  std::uint64_t length;
  std::uint32_t flags;     // FIEMAP_EXTENT_*
};

// Extents of [start, start + length) in order; with `sync` the file is written out first. 0 or -errno.
int Fiemap(int fd, std::uint64_t start, std::uint64_t length, bool sync, std::vector<FileExtent>& extents);

}  // namespace swapfs::sys
