// Mutex and condition over pthreads: libstdc++'s bring exceptions with them, which this program is built without.
#pragma once

#include <pthread.h>
#include <time.h>

#include <cstdint>

namespace swapfs {

class Mutex {
 public:
  Mutex() noexcept = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  void Lock() noexcept { ::pthread_mutex_lock(&mutex_); }
  void Unlock() noexcept { ::pthread_mutex_unlock(&mutex_); }

 private:
  friend class Condition;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

class Guard {
 public:
  explicit Guard(Mutex& mutex) noexcept : mutex_(mutex) { mutex_.Lock(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  ~Guard() { mutex_.Unlock(); }

 private:
  Mutex& mutex_;
};

class Condition {
 public:
  Condition() noexcept = default;
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;
  void Wait(Mutex& mutex) noexcept { ::pthread_cond_wait(&condition_, &mutex.mutex_); }
  void WaitMillis(Mutex& mutex, std::uint32_t millis) noexcept {
    timespec until{};
    ::clock_gettime(CLOCK_REALTIME, &until);
    const std::uint64_t nanos = static_cast<std::uint64_t>(until.tv_nsec) + std::uint64_t{millis} * 1'000'000;
    until.tv_sec += static_cast<time_t>(nanos / 1'000'000'000);
    until.tv_nsec = static_cast<long>(nanos % 1'000'000'000);
    ::pthread_cond_timedwait(&condition_, &mutex.mutex_, &until);
  }
  void SignalOne() noexcept { ::pthread_cond_signal(&condition_); }
  void SignalAll() noexcept { ::pthread_cond_broadcast(&condition_); }

 private:
  pthread_cond_t condition_ = PTHREAD_COND_INITIALIZER;
};

}  // namespace swapfs
