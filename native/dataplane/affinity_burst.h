// swapon sends one BMAP after the other, and each waits for its answer. When caller and server sit on different CPUs,
// every step pays a wake-up across CPUs; pinning the server alone does not help, since the scheduler wakes the caller on an
// idle CPU. So for the length of a burst both are kept on one CPU, and the caller gets its affinity back afterwards.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "private_session.h"
#include "sync.h"
#include "units.h"

namespace swapfs {

class AffinityBurst {
 public:
  // Restores what a data plane that was killed in a burst left behind.
  void Init(BurstRecord& record, bool enabled) noexcept;
  void AddReader(int reader) noexcept;

  // Of a reader, at each BMAP. True: a burst has begun, Tick must be called from now on.
  bool OnBmap(std::uint32_t caller) noexcept;

  bool active() const noexcept { return active_.load(std::memory_order_relaxed); }
  // Ends a burst without BMAP for 5 ms.
  void Tick() noexcept;
  void End() noexcept;

 private:
  static constexpr std::uint32_t kBurstLength = 32;
  void Begin(std::uint32_t caller) noexcept;
  void RestoreCaller() noexcept;
  void PinReaders(const cpu_set_t& cpus) noexcept;

  BurstRecord* record_ = nullptr;
  bool enabled_ = false;
  cpu_set_t own_{};  // of this process
  Mutex mutex_;
  std::array<pthread_t, kReaders> readers_{};
  std::atomic<bool> active_{false};
  std::atomic<std::uint32_t> caller_{0};
  std::atomic<std::uint32_t> row_{0};
  std::atomic<std::uint64_t> count_{0};
  std::atomic<std::uint64_t> seen_{0};  // count_ at the last tick
  std::atomic<std::uint64_t> ticked_ns_{0};
};

}  // namespace swapfs
