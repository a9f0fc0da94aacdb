// A word that threads of this process sleep on.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace swapfs {

// Sleeps while the word has this value. Ends early at a wake-up and at a signal. nanos 0: no limit.
inline void FutexSleep(std::atomic<std::uint32_t>& word, std::uint32_t value, std::uint64_t nanos = 0) noexcept {
  const timespec limit{static_cast<time_t>(nanos / 1'000'000'000), static_cast<long>(nanos % 1'000'000'000)};
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nanos == 0 ? nullptr : &limit, nullptr, 0);
}

inline void FutexWakeOne(std::atomic<std::uint32_t>& word) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

}  // namespace swapfs
