#include "wakefulness.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "log.h"
#include "units.h"

namespace swapfs {

namespace {

constexpr std::int32_t kNoWish = -1;  // PM_QOS_DEFAULT_VALUE

}  // namespace

void Wakefulness::Init(SessionView& session, bool enabled) noexcept {
  tally_.Init(session, kRelayShard);
  if (!enabled || ::sysconf(_SC_NPROCESSORS_ONLN) > kCpusMax) return;
  // Opened here, because later nothing may be allocated; to write to it takes no memory.
  device_ = Descriptor(::open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC));
  if (!device_.valid()) Log("cannot open /dev/cpu_dma_latency: %s, single requests wait for CPUs to wake up", ErrnoName(errno));
}

bool Wakefulness::OnRequest(std::uint64_t now_ns) noexcept {
  count_.store(count_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  row_ = now_ns - last_ns_ < kSoonNs ? row_ + 1 : 0;
  last_ns_ = now_ns;
  if (row_ < kRow || !device_.valid() || active()) return false;
  row_ = 0;
  active_.store(true, std::memory_order_relaxed);
  return true;
}

void Wakefulness::Tick() noexcept {
  const std::uint64_t now = MonotonicNs();
  const std::uint64_t count = count_.load(std::memory_order_relaxed);
  if (!held_) {
    held_ = Ask(0);
    if (!held_) return active_.store(false, std::memory_order_relaxed);
    Tally::Add(tally_.shard().awake_began);
  } else {
    const std::uint64_t past_ns = now - ticked_ns_;
    if (past_ns < std::uint64_t{kTickMillis} * 1'000'000) return;
    if ((count - seen_) * kSoonNs < past_ns) {
      Ask(kNoWish);
      held_ = false;
      Tally::Add(tally_.shard().awake_ended);
      return active_.store(false, std::memory_order_relaxed);
    }
  }
  seen_ = count;
  ticked_ns_ = now;
}

bool Wakefulness::Ask(std::int32_t latency_us) noexcept {
  return ::write(device_.get(), &latency_us, sizeof(latency_us)) == sizeof(latency_us);
}

}  // namespace swapfs
