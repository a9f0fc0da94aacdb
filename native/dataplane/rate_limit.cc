#include "rate_limit.h"

#include <utility>

namespace swapfs {

bool RateLimit::Pass(std::uint64_t now_ns, std::uint64_t& left_out) noexcept {
  const Guard guard(mutex_);
  if (now_ns - window_began_ns_ >= kWindowNs) {
    window_began_ns_ = now_ns;
    in_window_ = 0;
  }
  if (in_window_ == kInWindow) {
    left_out_++;
    return false;
  }
  in_window_++;
  left_out = std::exchange(left_out_, 0);
  return true;
}

}  // namespace swapfs
