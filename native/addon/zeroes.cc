// Writing zeros to a file so that its filesystem has written extents there afterwards, and not merely promised ones.

#include "syscalls.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace swapfs::sys {

namespace {

constexpr std::size_t kBufferBytes = 2 << 20;

// Zeros to write from. One huge page where there is one: direct I/O then sees one segment and not 512 of them.
class Zeroes {
 public:
  Zeroes() noexcept
      : mapped_(mmap(nullptr, 2 * kBufferBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (!valid()) return;
    const auto address = reinterpret_cast<std::uintptr_t>(mapped_);
    bytes_ = reinterpret_cast<std::byte*>((address + kBufferBytes - 1) & ~(kBufferBytes - 1));
    madvise(bytes_, kBufferBytes, MADV_HUGEPAGE);
    // Touched, so that these are pages of our own and not the kernel's one zero page, again and again.
    for (std::size_t at = 0; at < kBufferBytes; at += 4096) const_cast<volatile std::byte*>(bytes_)[at] = std::byte{0};
  }
  ~Zeroes() {
    if (valid()) munmap(mapped_, 2 * kBufferBytes);
  }
  Zeroes(const Zeroes&) = delete;
  Zeroes& operator=(const Zeroes&) = delete;

  [[nodiscard]] bool valid() const noexcept { return mapped_ != MAP_FAILED; }
  [[nodiscard]] const std::byte* bytes() const noexcept { return bytes_; }

 private:
  void* mapped_;
  std::byte* bytes_ = nullptr;
};

}  // namespace

int WriteZeroes(int fd, std::uint64_t offset, std::uint64_t length) noexcept {
  const Zeroes zeroes;
  if (!zeroes.valid()) return -ENOMEM;
  for (const std::uint64_t end = offset + length; offset < end;) {
    const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(end - offset, kBufferBytes));
    const ssize_t put = pwrite(fd, zeroes.bytes(), count, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return put < 0 ? -errno : -EIO;
    offset += static_cast<std::uint64_t>(put);
  }
  return 0;
}

}  // namespace swapfs::sys
