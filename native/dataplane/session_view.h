// The session segment as the data plane sees it: flags, counters and touched times, all accessed atomically.
#pragma once

#include <atomic>
#include <cstdint>

#include "../abi/session.h"
#include "mapped_region.h"
#include "private_session.h"
#include "sync.h"

namespace swapfs {

class SessionView {
 public:
  // 0 or -errno; EPROTO: not a session of this version.
  int Open(int fd) noexcept;

  abi::SessionHeader& header() const noexcept { return session_->header; }
  abi::SessionCounters& counters() const noexcept { return session_->counters; }
  abi::CommitRing& ring() const noexcept { return session_->ring; }
  abi::DirectoryNotes& directories() const noexcept { return session_->directories; }
  PrivateSession& private_part() const noexcept { return *private_; }

  bool control_up() const noexcept { return Load(header().control_up) != 0; }
  bool destroyed() const noexcept { return Load(header().destroyed) != 0; }
  std::uint32_t generation() const noexcept { return Load(header().data_generation); }
  void SetControlUp() const noexcept { Store(header().control_up, std::uint32_t{1}); }
  void SetDestroyed() const noexcept { Store(header().destroyed, std::uint32_t{1}); }

  abi::CounterShard& shard(int index) const noexcept { return session_->shards[index]; }

  // READ and WRITE in flight, now and at most.
  void BeginRequest() const noexcept {
    const std::uint64_t now = std::atomic_ref(counters().in_flight).fetch_add(1, std::memory_order_relaxed) + 1;
    const std::atomic_ref<std::uint64_t> most(counters().in_flight_max);
    std::uint64_t seen = most.load(std::memory_order_relaxed);
    while (seen < now && !most.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
    }
  }
  void EndRequest() const noexcept {
    std::atomic_ref(counters().in_flight).fetch_sub(1, std::memory_order_relaxed);
  }
  // All that were in flight are forgotten: the kernel sends them again.
  void ForgetRequests() const noexcept { Store(counters().in_flight, std::uint64_t{0}); }

  // Records that a write through a map changed the file now. Lost when 512 files wait for the control plane to look.
  void Touch(std::uint64_t ino) noexcept;

  template <typename T>
  static void Store(T& field, T value) noexcept {
    std::atomic_ref<T>(field).store(value, std::memory_order_seq_cst);
  }
  template <typename T>
  static T Load(T& field) noexcept {
    return std::atomic_ref<T>(field).load(std::memory_order_seq_cst);
  }
  static void Add(std::uint64_t& counter, std::uint64_t amount = 1) noexcept {
    std::atomic_ref<std::uint64_t>(counter).fetch_add(amount, std::memory_order_relaxed);
  }

 private:
  MappedRegion shared_;
  MappedRegion tail_;
  abi::Session* session_ = nullptr;
  PrivateSession* private_ = nullptr;
  Mutex touch_mutex_;
};

std::uint64_t RealtimeNs() noexcept;
std::uint64_t MonotonicNs() noexcept;

}  // namespace swapfs
