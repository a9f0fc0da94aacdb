// Keeps idle CPUs from halting while requests of activated files stream in. A caller sleeps until its answer is there, its
// CPU goes idle, and in a virtual machine waking a halted CPU takes longer than all the rest of a request. While somebody
// asks for a latency of 0 through /dev/cpu_dma_latency (cpu_latency_qos_write, kernel/power/qos.c) idle CPUs poll instead:
// they take the caller up at once, without an interrupt, and whatever else wants to run as well. The kernel forgets the wish
// when its descriptor is closed, so also when this process dies. It holds for the whole machine, so only while requests
// come close together, and not on machines with many CPUs. Where many are in flight no CPU is idle for long anyway.
#pragma once

#include <atomic>
#include <cstdint>

#include "descriptor.h"
#include "tally.h"

namespace swapfs {

class Wakefulness {
 public:
  // Without the device, or with more CPUs than are worth it, nothing ever begins.
  void Init(SessionView& session, bool enabled) noexcept;

  // Of the reader that never rests, at each request of an activated file. True: Tick must be called from now on.
  bool OnRequest(std::uint64_t now_ns) noexcept;

  bool active() const noexcept { return active_.load(std::memory_order_relaxed); }
  // Of the relay: begins, and ends when the requests have become fewer.
  void Tick() noexcept;

 private:
  static constexpr std::uint32_t kRow = 64;              // requests, each soon after the one before
  static constexpr std::uint64_t kSoonNs = 200'000;
  static constexpr long kCpusMax = 16;
  bool Ask(std::int32_t latency_us) noexcept;

  Descriptor device_;
  Tally tally_;  // the relay's
  std::atomic<bool> active_{false};
  std::atomic<std::uint64_t> count_{0};
  std::uint32_t row_ = 0;  // the reader's
  std::uint64_t last_ns_ = 0;
  bool held_ = false;      // the relay's
  std::uint64_t seen_ = 0;
  std::uint64_t ticked_ns_ = 0;
};

}  // namespace swapfs
