// What one thread counts: a shard of the session segment that it alone writes, so that no count costs a locked
// instruction or a cache line that another CPU wants. A thread of a restarted data plane takes over its shard.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "../abi/session.h"
#include "session_view.h"
#include "units.h"

namespace swapfs {

// Shards by thread; the control plane has the last one.
inline constexpr int kReaderShard = 0;
inline constexpr int kCompleterShard = kReaderShard + kReaders;
inline constexpr int kRelayShard = kCompleterShard + kCompleters;
inline constexpr int kRingShard = kRelayShard + 1;
inline constexpr int kPartnerShard = kRingShard + 1;
static_assert(kPartnerShard + 1 < static_cast<int>(abi::kCounterShards));

constexpr std::size_t LatencyBucket(std::uint64_t ns) noexcept {
  const std::size_t bucket = ns == 0 ? 0 : static_cast<std::size_t>(std::bit_width(ns)) - 1;
  return bucket < abi::kLatencyBuckets ? bucket : abi::kLatencyBuckets - 1;
}
static_assert(LatencyBucket(0) == 0 && LatencyBucket(1) == 0 && LatencyBucket(2) == 1 && LatencyBucket(4095) == 11);
static_assert(LatencyBucket(4096) == 12 && LatencyBucket(~std::uint64_t{0}) == abi::kLatencyBuckets - 1);

class Tally {
 public:
  void Init(SessionView& session, int shard) noexcept {
    session_ = &session;
    shard_ = &session.shard(shard);
  }
  abi::CounterShard& shard() const noexcept { return *shard_; }

  static void Add(std::uint64_t& counter, std::uint64_t amount = 1) noexcept {
    const std::atomic_ref<std::uint64_t> cell(counter);
    cell.store(cell.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }

  void Request(std::uint32_t opcode) const noexcept {
    Add(shard_->requests[opcode < abi::kOpcodeSlots ? opcode : abi::kOpcodeSlots - 1]);
  }

  // A READ or WRITE was read, and was answered (or dropped: the kernel sends it again). Any thread may end it.
  void Begin() const noexcept { session_->BeginRequest(); }
  void End() const noexcept { session_->EndRequest(); }

  // An answer went out for a request that was read at `start_ns`.
  void Answered(abi::LatencyClass kind, std::uint64_t start_ns) const noexcept {
    const std::uint64_t now = MonotonicNs();
    Add(shard_->latency[kind][LatencyBucket(now > start_ns ? now - start_ns : 0)]);
  }

 private:
  SessionView* session_ = nullptr;
  abi::CounterShard* shard_ = nullptr;
};

}  // namespace swapfs
