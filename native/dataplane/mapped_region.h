// Memory from mmap with an owner: pools are taken at the start and never given back.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "units.h"

namespace swapfs {

class MappedRegion {
 public:
  MappedRegion() noexcept = default;
  MappedRegion(MappedRegion&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  MappedRegion& operator=(MappedRegion&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  MappedRegion(const MappedRegion&) = delete;
  MappedRegion& operator=(const MappedRegion&) = delete;
  ~MappedRegion() {
    if (data_ != nullptr) ::munmap(data_, bytes_);
  }

  // Zeroed, page-aligned, present from the start. Not valid when there is no memory. In huge pages where it is long enough
  // and the system gives them to who asks: the kernel looks buffers up page by page, and finds these in fewer steps.
  static MappedRegion Anonymous(std::size_t least_bytes) noexcept {
    const std::size_t bytes = (least_bytes + kPageMask) & ~std::size_t{kPageMask};
    const std::size_t spare = bytes < kHugeBytes ? 0 : kHugeBytes - kPageBytes;
    // No access until it is advised: under mlockall(MCL_FUTURE) it would be filled with small pages at once.
    MappedRegion region = Map(bytes + spare, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!region.valid()) return region;
    if (spare > 0) {
      region.Trim(-reinterpret_cast<std::uintptr_t>(region.data_) % kHugeBytes, bytes);
      ::madvise(region.data_, bytes, MADV_HUGEPAGE);
    }
    if (::mprotect(region.data_, bytes, PROT_READ | PROT_WRITE) != 0) return {};
    // Present also where nothing is locked. Before Linux 5.14 mlockall alone sees to that.
    if (::madvise(region.data_, bytes, MADV_POPULATE_WRITE) != 0 && errno != EINVAL) return {};
    return region;
  }
  static MappedRegion Shared(int fd, std::size_t offset, std::size_t bytes) noexcept {
    return Map(bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
  }

  bool valid() const noexcept { return data_ != nullptr; }
  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return bytes_; }

 private:
  static constexpr std::size_t kHugeBytes = 2 * 1024 * 1024;

  static MappedRegion Map(std::size_t bytes, int access, int flags, int fd, std::size_t offset) noexcept {
    MappedRegion region;
    void* data = ::mmap(nullptr, bytes, access, flags, fd, static_cast<off_t>(offset));
    if (data == MAP_FAILED) return region;
    region.data_ = static_cast<std::byte*>(data);
    region.bytes_ = bytes;
    return region;
  }

  // What lies before `start` and behind `bytes` from there goes back to the system.
  void Trim(std::size_t start, std::size_t bytes) noexcept {
    if (start > 0) ::munmap(data_, start);
    if (bytes_ > start + bytes) ::munmap(data_ + start + bytes, bytes_ - start - bytes);
    data_ += start;
    bytes_ = bytes;
  }

  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace swapfs
