// Memory from mmap with an owner: pools are taken at the start and never given back.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <utility>

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

  // Zeroed, page-aligned, present from the start. Not valid when there is no memory.
  static MappedRegion Anonymous(std::size_t bytes) noexcept {
    return Map(bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  }
  static MappedRegion Shared(int fd, std::size_t offset, std::size_t bytes) noexcept {
    return Map(bytes, MAP_SHARED, fd, offset);
  }

  bool valid() const noexcept { return data_ != nullptr; }
  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return bytes_; }

 private:
  static MappedRegion Map(std::size_t bytes, int flags, int fd, std::size_t offset) noexcept {
    MappedRegion region;
    void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, static_cast<off_t>(offset));
    if (data == MAP_FAILED) return region;
    region.data_ = static_cast<std::byte*>(data);
    region.bytes_ = bytes;
    return region;
  }

  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace swapfs
