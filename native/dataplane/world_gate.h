// Stops the readers for a round of FUSE_NOTIFY_RESEND. A reader passes the gate before each read(2); a closed gate stops
// it there, and SIGUSR1 brings it out of a read that waits. What it read while the gate was closing it must drop, since
// the round brings it again.
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>

#include "sync.h"
#include "units.h"

namespace swapfs {

class WorldGate {
 public:
  // Installs the empty handler of SIGUSR1, without SA_RESTART: read(2) of /dev/fuse must end with EINTR.
  void Init() noexcept;

  // Of a reader, once: its thread can be kicked from now on.
  void Enroll(int reader) noexcept;
  // Of a reader, before each read.
  void Pass(int reader) noexcept;
  bool closed() const noexcept { return closed_.load(); }

  // Closed at the start. Close() returns at once; the readers follow.
  void Close() noexcept { closed_.store(true); }
  bool Stopped() noexcept;
  // Kicks until all readers stand at the gate: that takes as long as the device I/O they are in.
  void WaitStopped() noexcept;
  void Kick() noexcept;
  void Open() noexcept;

 private:
  Mutex mutex_;
  Condition opened_;
  Condition stopped_;
  std::atomic<bool> closed_{true};
  int waiting_ = 0;
  std::array<pthread_t, kReaders> threads_{};
  std::array<bool, kReaders> at_gate_{};
  std::array<bool, kReaders> known_{};
};

}  // namespace swapfs
