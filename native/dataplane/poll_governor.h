// Whether a reader looks at /dev/fuse for a while before it sleeps there. A caller whose request finds its reader awake is
// spared the wake-up of a reader on another CPU (about 10 us in a virtual machine). It costs this CPU, so only while the
// last requests came within that time: each look in vain doubles the number of sleeps until the next one, and no look ever
// is longer than kLookNs. With no requests there is none: a reader looks at most once before it sleeps.
#pragma once

#include <algorithm>
#include <cstdint>

namespace swapfs {

class PollGovernor {
 public:
  static constexpr std::uint64_t kLookNs = 30'000;
  static constexpr std::uint32_t kSkipMax = 1024;

  // Before each sleep. How many nanoseconds to look; 0: sleep at once.
  std::uint64_t Next() noexcept {
    if (left_ > 0) {
      left_--;
      return 0;
    }
    return kLookNs;
  }

  // What came of a look.
  void OnLook(bool hit) noexcept {
    skip_ = hit ? 0 : std::min(std::max(skip_ * 2, std::uint32_t{1}), kSkipMax);
    left_ = skip_;
  }

  // After a sleep without a look: a request that came within the time of a look makes the next look worth it.
  void OnSleep(std::uint64_t slept_ns) noexcept {
    if (slept_ns >= kLookNs) return;
    left_ = left_ > kSoonBonus ? left_ - kSoonBonus : 0;
  }

 private:
  static constexpr std::uint32_t kSoonBonus = 8;
  std::uint32_t skip_ = 0;
  std::uint32_t left_ = 0;
};

}  // namespace swapfs
