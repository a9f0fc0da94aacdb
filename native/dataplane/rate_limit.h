// How often one kind of line may go to the log: a device that fails for hours must neither fill the disk nor fall silent.
#pragma once

#include <cstdint>

#include "sync.h"

namespace swapfs {

class RateLimit {
 public:
  // True when a line may be written at `now_ns`; `left_out` says how many were not since the last one that was.
  bool Pass(std::uint64_t now_ns, std::uint64_t& left_out) noexcept;

 private:
  static constexpr std::uint64_t kWindowNs = 5'000'000'000;
  static constexpr std::uint32_t kInWindow = 20;

  Mutex mutex_;
  std::uint64_t window_began_ns_ = 0;
  std::uint32_t in_window_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace swapfs
