// Writing zeros to a file so that its filesystem has written extents there afterwards, and not merely promised ones; and
// copying within a device. Both from one buffer, both with direct I/O where the descriptor has it.

#include "syscalls.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace swapfs::sys {

namespace {

constexpr std::size_t kBufferBytes = 2 << 20;

// Zeros, at first. One huge page where there is one: direct I/O then sees one segment and not 512 of them.
class IoBuffer {
 public:
  IoBuffer() noexcept
      : mapped_(mmap(nullptr, 2 * kBufferBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (!valid()) return;
    const auto address = reinterpret_cast<std::uintptr_t>(mapped_);
    bytes_ = reinterpret_cast<std::byte*>((address + kBufferBytes - 1) & ~(kBufferBytes - 1));
    madvise(bytes_, kBufferBytes, MADV_HUGEPAGE);
    // Touched, so that these are pages of our own and not the kernel's one zero page, again and again.
    for (std::size_t at = 0; at < kBufferBytes; at += 4096) static_cast<volatile std::byte*>(bytes_)[at] = std::byte{0};
  }
  ~IoBuffer() {
    if (valid()) munmap(mapped_, 2 * kBufferBytes);
  }
  IoBuffer(const IoBuffer&) = delete;
  IoBuffer& operator=(const IoBuffer&) = delete;

  [[nodiscard]] bool valid() const noexcept { return mapped_ != MAP_FAILED; }
  [[nodiscard]] std::byte* bytes() const noexcept { return bytes_; }

 private:
  void* mapped_;
  std::byte* bytes_ = nullptr;
};

// pread(2) or pwrite(2) until all of it is done. 0 or -errno.
template <typename Transfer>
int Whole(Transfer transfer, int fd, std::byte* bytes, std::size_t count, std::uint64_t offset) noexcept {
  while (count > 0) {
    const ssize_t done = transfer(fd, bytes, count, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return done < 0 ? -errno : -EIO;
    bytes += done;
    count -= static_cast<std::size_t>(done);
    offset += static_cast<std::uint64_t>(done);
  }
  return 0;
}

std::size_t StepOf(std::uint64_t left) noexcept {
  return static_cast<std::size_t>(std::min<std::uint64_t>(left, kBufferBytes));
}

}  // namespace

int WriteZeroes(int fd, std::uint64_t offset, std::uint64_t length) noexcept {
  const IoBuffer zeroes;
  if (!zeroes.valid()) return -ENOMEM;
  for (std::uint64_t at = 0; at < length; at += kBufferBytes) {
    if (const int error = Whole(pwrite, fd, zeroes.bytes(), StepOf(length - at), offset + at); error < 0) return error;
  }
  return 0;
}

int CopyWithin(int fd, std::uint64_t from, std::uint64_t to, std::uint64_t length) noexcept {
  const IoBuffer buffer;
  if (!buffer.valid()) return -ENOMEM;
  for (std::uint64_t at = 0; at < length; at += kBufferBytes) {
    const std::size_t count = StepOf(length - at);
    if (const int error = Whole(pread, fd, buffer.bytes(), count, from + at); error < 0) return error;
    if (const int error = Whole(pwrite, fd, buffer.bytes(), count, to + at); error < 0) return error;
  }
  return 0;
}

}  // namespace swapfs::sys
