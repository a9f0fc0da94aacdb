#include "world_gate.h"

#include <signal.h>

namespace swapfs {

void WorldGate::Init() noexcept {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &action, nullptr);
}

void WorldGate::Enroll(int reader) noexcept {
  const Guard guard(mutex_);
  threads_[static_cast<std::size_t>(reader)] = ::pthread_self();
  known_[static_cast<std::size_t>(reader)] = true;
}

void WorldGate::Pass(int reader) noexcept {
  if (!closed()) return;
  const auto index = static_cast<std::size_t>(reader);
  const Guard guard(mutex_);
  at_gate_[index] = true;
  if (++waiting_ == kReaders) stopped_.SignalAll();
  while (closed()) opened_.Wait(mutex_);
  waiting_--;
  at_gate_[index] = false;
}

bool WorldGate::Stopped() noexcept {
  const Guard guard(mutex_);
  return closed() && waiting_ == kReaders;
}

void WorldGate::Kick() noexcept {
  const Guard guard(mutex_);
  for (std::size_t i = 0; i < threads_.size(); i++) {
    if (known_[i] && !at_gate_[i]) ::pthread_kill(threads_[i], SIGUSR1);
  }
}

void WorldGate::WaitStopped() noexcept {
  for (;;) {
    Kick();
    const Guard guard(mutex_);
    if (waiting_ == kReaders) return;
    stopped_.WaitMillis(mutex_, 1);
  }
}

void WorldGate::Open() noexcept {
  const Guard guard(mutex_);
  closed_.store(false);
  opened_.SignalAll();
}

}  // namespace swapfs
