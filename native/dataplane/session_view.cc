#include "session_view.h"

#include <sys/stat.h>
#include <time.h>

#include <cerrno>

namespace swapfs {

int SessionView::Open(int fd) noexcept {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return -errno;
  if (status.st_size < static_cast<off_t>(kSessionFileBytes)) return -EPROTO;
  shared_ = MappedRegion::Shared(fd, 0, kSessionMappedBytes);
  tail_ = MappedRegion::Shared(fd, kPrivateSessionOffset, 4096);
  if (!shared_.valid() || !tail_.valid()) return -ENOMEM;
  session_ = reinterpret_cast<abi::Session*>(shared_.data());
  private_ = reinterpret_cast<PrivateSession*>(tail_.data());
  const bool known = header().magic == abi::kSessionMagic && header().version == abi::kSessionVersion;
  return known ? 0 : -EPROTO;
}

void SessionView::Touch(std::uint64_t ino) noexcept {
  const std::uint64_t now = RealtimeNs();
  const Guard guard(touch_mutex_);
  for (std::size_t i = 0; i < abi::kTouchSlots; i++) {
    abi::TouchSlot& slot = session_->touched[(ino + i) % abi::kTouchSlots];
    const bool taken = Load(slot.time_ns) != 0;
    if (taken && slot.ino != ino) continue;
    // The control plane may take the old time between the check and here; the slot then stands for this write alone.
    if (!taken) Store(slot.ino, ino);
    Store(slot.time_ns, now);
    return;
  }
}

namespace {

std::uint64_t ReadClock(clockid_t clock) noexcept {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

std::uint64_t RealtimeNs() noexcept { return ReadClock(CLOCK_REALTIME); }
std::uint64_t MonotonicNs() noexcept { return ReadClock(CLOCK_MONOTONIC); }

}  // namespace swapfs
