// Which readers read. The kernel wakes the reader that has slept longest on /dev/fuse (wait_event_interruptible_exclusive
// in fuse_dev_do_read, fs/fuse/dev.c), so every reader that sleeps there takes its turn, on another CPU than the last one.
// While requests come one at a time, one reader alone reads and the others rest; when requests wait for it they join, and
// rest again when they have found nothing to do. A reader that sits in the device for long is stood in for.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "units.h"
#include "world_gate.h"

namespace swapfs {

class Crew {
 public:
  // `all`: nobody ever rests. For a device that makes its callers wait: each reader is then one transfer in flight.
  void Init(bool all) noexcept;

  // Of a reader, before it reads: returns when it is needed, or when the gate is closed.
  void Await(int reader, const WorldGate& gate) noexcept;

  // Of a reader, with each request that it has read, after which it may sit in the device; and when that is over.
  // `waited`: the request lay there before its reader came for it. `bytes`: as read; a long one keeps its reader long.
  void OnRequest(int reader, bool waited, std::size_t bytes, std::uint64_t now_ns) noexcept;
  void OnDone(int reader) noexcept { seats_[Index(reader)].busy_since_ns.store(0, std::memory_order_relaxed); }

  // One more reader reads.
  void Call() noexcept;
  int reading() const noexcept;
  // Of a reader with a request in hand: nobody else has one.
  bool Alone() const noexcept;

 private:
  static constexpr int kCallAfter = 2;   // requests in a row that waited for their reader; one, when it is long
  static constexpr std::size_t kLongBytes = 64 * 1024;
  static constexpr int kRestAfter = 16;  // requests in a row whose reader was there before them
  static constexpr std::uint32_t kReading = 1;
  static constexpr std::uint32_t kWatchStep = 2;
  static constexpr std::uint64_t kStuckNs = 2'000'000;
  static constexpr std::uint64_t kWatchNs = 100'000'000;  // resting readers watch for so long after the last request

  struct alignas(64) Seat {
    std::atomic<std::uint32_t> word{0};  // a futex: kReading, and a count of the times that watching began
    std::atomic<std::uint64_t> busy_since_ns{0};
    std::atomic<std::uint64_t> last_ns{0};  // of its last request
    int waited = 0;  // requests in a row that waited, or did not; its reader's alone
    int idle = 0;
  };
  static std::size_t Index(int reader) noexcept { return static_cast<std::size_t>(reader); }
  bool AllStuck(std::uint64_t now_ns) const noexcept;
  bool Quiet(std::uint64_t now_ns) const noexcept;

  bool all_ = false;
  std::array<Seat, kReaders> seats_;
  // Resting readers watch only while requests come; the first request after a pause wakes one of them.
  std::atomic<bool> watched_{false};
};

}  // namespace swapfs
