#include "affinity_burst.h"

#include <cstring>

#include "session_view.h"

namespace swapfs {

namespace {

static_assert(sizeof(cpu_set_t) == kAffinityBytes);

cpu_set_t Only(std::uint32_t cpu) noexcept {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  return cpus;
}

}  // namespace

void AffinityBurst::Init(BurstRecord& record, bool enabled) noexcept {
  record_ = &record;
  enabled_ = enabled && ::sched_getaffinity(0, sizeof(own_), &own_) == 0;
  RestoreCaller();
}

void AffinityBurst::AddReader(int reader) noexcept {
  const Guard guard(mutex_);
  readers_[static_cast<std::size_t>(reader)] = ::pthread_self();
}

bool AffinityBurst::OnBmap(std::uint32_t caller) noexcept {
  count_.fetch_add(1, std::memory_order_relaxed);
  if (caller_.exchange(caller, std::memory_order_relaxed) != caller) {
    row_.store(1, std::memory_order_relaxed);
    return false;
  }
  const std::uint32_t row = row_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (row != kBurstLength || !enabled_ || active()) return false;
  Begin(caller);
  return active();
}

void AffinityBurst::Begin(std::uint32_t caller) noexcept {
  const Guard guard(mutex_);
  cpu_set_t saved;
  const auto pid = static_cast<pid_t>(caller);
  const int here = ::sched_getcpu();
  if (here < 0 || ::sched_getaffinity(pid, sizeof(saved), &saved) != 0) return;
  if (!CPU_ISSET(here, &saved)) return;  // its owner wants it elsewhere
  record_->pid = caller;
  record_->cpu = static_cast<std::uint32_t>(here);
  std::memcpy(record_->affinity, &saved, sizeof(saved));
  std::atomic_ref<std::uint32_t>(record_->active).store(1);
  const cpu_set_t one = Only(record_->cpu);
  if (::sched_setaffinity(pid, sizeof(one), &one) != 0) {
    std::atomic_ref<std::uint32_t>(record_->active).store(0);
    return;
  }
  PinReaders(one);
  seen_ = count_.load(std::memory_order_relaxed);
  ticked_ns_ = MonotonicNs();
  active_.store(true, std::memory_order_relaxed);
}

void AffinityBurst::Tick() noexcept {
  const std::uint64_t now = MonotonicNs();
  if (now - ticked_ns_ < std::uint64_t{kTickMillis} * 1'000'000) return;
  const std::uint64_t count = count_.load(std::memory_order_relaxed);
  if (count == seen_) End();
  seen_ = count;
  ticked_ns_ = now;
}

void AffinityBurst::End() noexcept {
  const Guard guard(mutex_);
  if (!active()) return;
  RestoreCaller();
  PinReaders(own_);
  caller_.store(0, std::memory_order_relaxed);
  active_.store(false, std::memory_order_relaxed);
}

void AffinityBurst::RestoreCaller() noexcept {
  if (std::atomic_ref<std::uint32_t>(record_->active).load() == 0) return;
  const auto pid = static_cast<pid_t>(record_->pid);
  const cpu_set_t ours = Only(record_->cpu);
  cpu_set_t now;
  // Only what is still as we set it: the caller may have ended, and its number may be another's.
  if (::sched_getaffinity(pid, sizeof(now), &now) == 0 && CPU_EQUAL(&now, &ours)) {
    cpu_set_t saved;
    std::memcpy(&saved, record_->affinity, sizeof(saved));
    ::sched_setaffinity(pid, sizeof(saved), &saved);
  }
  std::atomic_ref<std::uint32_t>(record_->active).store(0);
}

void AffinityBurst::PinReaders(const cpu_set_t& cpus) noexcept {
  for (const pthread_t reader : readers_) {
    if (reader != 0) ::pthread_setaffinity_np(reader, sizeof(cpus), &cpus);
  }
}

}  // namespace swapfs
