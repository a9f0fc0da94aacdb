#include "syscalls.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace swapfs::sys {

namespace {

int WaitWritable(int fd) noexcept {
  pollfd one{fd, POLLOUT, 0};
  int ready;
  do ready = poll(&one, 1, -1);
  while (ready < 0 && errno == EINTR);
  return ready < 0 ? -errno : 0;
}

mmsghdr HeaderOf(iovec& vector) noexcept {
  mmsghdr header{};
  header.msg_hdr.msg_iov = &vector;
  header.msg_hdr.msg_iovlen = 1;
  return header;
}

}  // namespace

Received ReceiveMessages(int fd, Bytes buffer, std::size_t slot_bytes, std::span<std::uint32_t> lengths) noexcept {
  std::array<iovec, kBatchMax> vectors;
  std::array<mmsghdr, kBatchMax> headers;
  const std::size_t slots = std::min({lengths.size(), kBatchMax, buffer.size() / slot_bytes});
  for (std::size_t i = 0; i < slots; i += 1) {
    vectors[i] = {buffer.data() + i * slot_bytes, slot_bytes};
    headers[i] = HeaderOf(vectors[i]);
  }
  int count;
  do count = recvmmsg(fd, headers.data(), static_cast<unsigned>(slots), MSG_DONTWAIT, nullptr);
  while (count < 0 && errno == EINTR);
  if (count < 0) return {errno == EAGAIN ? 0 : -errno, false};
  for (int i = 0; i < count; i += 1) {
    const mmsghdr& header = headers[static_cast<std::size_t>(i)];
    if (header.msg_hdr.msg_flags & MSG_TRUNC) return {-EMSGSIZE, false};
    // A seqpacket socket reports its end as a datagram of no bytes, again and again (unix_stream_read_generic and
    // unix_dgram_recvmsg return 0 on RCV_SHUTDOWN); our messages are never empty.
    if (header.msg_len == 0) return {i, true};
    lengths[static_cast<std::size_t>(i)] = header.msg_len;
  }
  return {count, false};
}

int SendMessage(int fd, ConstBytes message) noexcept {
  for (;;) {
    if (send(fd, message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return -errno;
    if (const int error = WaitWritable(fd); error < 0) return error;
  }
}

int SendMessages(int fd, std::span<const ConstBytes> messages) noexcept {
  std::array<iovec, kBatchMax> vectors;
  std::array<mmsghdr, kBatchMax> headers;
  while (!messages.empty()) {
    const std::size_t batch = std::min(messages.size(), kBatchMax);
    for (std::size_t i = 0; i < batch; i += 1) {
      vectors[i] = {const_cast<std::byte*>(messages[i].data()), messages[i].size()};
      headers[i] = HeaderOf(vectors[i]);
    }
    const int sent = sendmmsg(fd, headers.data(), static_cast<unsigned>(batch), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) messages = messages.subspan(static_cast<std::size_t>(sent));
    else if (errno == EAGAIN) {
      if (const int error = WaitWritable(fd); error < 0) return error;
    } else if (errno != EINTR) return -errno;
  }
  return 0;
}

int SeqpacketPair(int fds[2], int buffer_bytes) noexcept {
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) return -errno;
  for (int i = 0; i < 2; i += 1) {
    // Without CAP_NET_ADMIN the ordinary limit (net.core.wmem_max) has to do.
    if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &buffer_bytes, sizeof buffer_bytes) < 0)
      setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
  }
  return 0;
}

Credentials PeerCredentials(int fd) noexcept {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) return {-errno, 0, 0, 0};
  return {0, peer.pid, peer.uid, peer.gid};
}

int MemfdCreate(const char* name, std::uint64_t byte_length) noexcept {
  const int fd = memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) return -errno;
  if (ftruncate(fd, static_cast<off_t>(byte_length)) == 0) return fd;
  const int error = errno;
  close(fd);
  return -error;
}

int MapShared(int fd, std::size_t byte_length, void** address) noexcept {
  *address = mmap(nullptr, byte_length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return *address == MAP_FAILED ? -errno : 0;
}

void Unmap(void* address, std::size_t byte_length) noexcept { munmap(address, byte_length); }

std::int64_t Write(int fd, ConstBytes bytes) noexcept {
  ssize_t written;
  do written = write(fd, bytes.data(), bytes.size());
  while (written < 0 && errno == EINTR);
  return written < 0 ? -errno : written;
}

int OpenFlags(int fd) noexcept {
  const int flags = fcntl(fd, F_GETFL);
  return flags < 0 ? -errno : flags;
}

int Fallocate(int fd, int mode, std::uint64_t offset, std::uint64_t length) noexcept {
  int result;
  do result = fallocate(fd, mode, static_cast<off_t>(offset), static_cast<off_t>(length));
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 0;
}

std::int64_t FileFlags(int fd) noexcept {
  int flags = 0;  // the kernel reads and writes an int, whatever the number of the ioctl says
  if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0) return -errno;
  return static_cast<std::int64_t>(static_cast<unsigned>(flags));
}

int SetFileFlags(int fd, std::uint64_t flags) noexcept {
  const int value = static_cast<int>(flags);
  return ioctl(fd, FS_IOC_SETFLAGS, &value) < 0 ? -errno : 0;
}

std::int64_t BlockDeviceByteLength(int fd) noexcept {
  std::uint64_t bytes = 0;
  return ioctl(fd, BLKGETSIZE64, &bytes) < 0 ? -errno : static_cast<std::int64_t>(bytes);
}

int BlockDeviceReadOnly(int fd) noexcept {
  int read_only = 0;
  return ioctl(fd, BLKROGET, &read_only) < 0 ? -errno : read_only != 0;
}

int BlockDeviceDiscard(int fd, std::uint64_t offset, std::uint64_t length) noexcept {
  std::uint64_t range[2] = {offset, length};
  return ioctl(fd, BLKDISCARD, range) < 0 ? -errno : 0;
}

int Fiemap(int fd, std::uint64_t start, std::uint64_t length, bool sync, std::vector<FileExtent>& extents) {
  constexpr std::uint32_t kChunk = 512;
  std::vector<std::byte> memory(sizeof(fiemap) + kChunk * sizeof(fiemap_extent));
  auto* map = reinterpret_cast<fiemap*>(memory.data());
  const std::uint64_t end = start + length;
  for (std::uint64_t at = start; at < end;) {
    *map = {};
    map->fm_start = at;
    map->fm_length = end - at;
    map->fm_flags = sync ? FIEMAP_FLAG_SYNC : 0;
    map->fm_extent_count = kChunk;
    if (ioctl(fd, FS_IOC_FIEMAP, map) < 0) return -errno;
    const std::uint64_t before = at;
    if (map->fm_mapped_extents == 0) break;
    const auto* first = reinterpret_cast<const fiemap_extent*>(memory.data() + sizeof(fiemap));
    for (const fiemap_extent& one : std::span(first, map->fm_mapped_extents)) {
      extents.push_back({one.fe_logical, one.fe_physical, one.fe_length, one.fe_flags});
      at = std::max<std::uint64_t>(at, one.fe_logical + one.fe_length);
      if (one.fe_flags & FIEMAP_EXTENT_LAST) return 0;
    }
    if (at == before) return -EIO;  // the filesystem answers, but does not get on
  }
  return 0;
}

}  // namespace swapfs::sys
