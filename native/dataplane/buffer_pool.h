// A fixed number of page-aligned buffers of one size. A lease gives its buffer back when it ends.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "mapped_region.h"
#include "sync.h"

namespace swapfs {

class BufferPool;

class BufferLease {
 public:
  BufferLease() noexcept = default;
  BufferLease(BufferPool* pool, std::byte* data) noexcept : pool_(pool), data_(data) {}
  BufferLease(BufferLease&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), data_(std::exchange(other.data_, nullptr)) {}
  BufferLease& operator=(BufferLease&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    return *this;
  }
  BufferLease(const BufferLease&) = delete;
  BufferLease& operator=(const BufferLease&) = delete;
  ~BufferLease() { Reset(); }

  bool valid() const noexcept { return data_ != nullptr; }
  std::byte* data() const noexcept { return data_; }
  void Reset() noexcept;

 private:
  BufferPool* pool_ = nullptr;
  std::byte* data_ = nullptr;
};

class BufferPool {
 public:
  static constexpr std::size_t kBuffersMax = 64;

  bool Init(std::size_t count, std::size_t buffer_bytes) noexcept {
    region_ = MappedRegion::Anonymous(count * buffer_bytes);
    if (!region_.valid() || count > kBuffersMax) return false;
    for (std::size_t i = 0; i < count; i++) free_[i] = region_.data() + i * buffer_bytes;
    free_count_ = count;
    return true;
  }

  // Never waits: not valid when all are out.
  BufferLease Take() noexcept {
    const Guard guard(mutex_);
    if (free_count_ == 0) return {};
    return {this, free_[--free_count_]};
  }

  std::size_t available() noexcept {
    const Guard guard(mutex_);
    return free_count_;
  }

 private:
  friend class BufferLease;
  void Give(std::byte* data) noexcept {
    const Guard guard(mutex_);
    free_[free_count_++] = data;
  }

  MappedRegion region_;
  Mutex mutex_;
  std::array<std::byte*, kBuffersMax> free_{};
  std::size_t free_count_ = 0;
};

inline void BufferLease::Reset() noexcept {
  if (data_ != nullptr) pool_->Give(data_);
  pool_ = nullptr;
  data_ = nullptr;
}

}  // namespace swapfs
