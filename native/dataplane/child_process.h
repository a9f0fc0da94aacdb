// One of the keeper's two children: started, watched, started again.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>

namespace swapfs {

class ChildProcess {
 public:
  explicit ChildProcess(const char* name) noexcept : name_(name) {}

  const char* name() const noexcept { return name_; }
  pid_t pid() const noexcept { return pid_; }
  bool running() const noexcept { return pid_ > 0; }
  // Not running, and the pause after quick deaths is over.
  bool Due(std::uint64_t now_ns) const noexcept { return !running() && now_ns >= not_before_ns_; }
  // When it is due, or has been since. 0: it never died.
  std::uint64_t not_before_ns() const noexcept { return not_before_ns_; }

  // Forks. In the child `inherit` stay open over exec and the mask and dispositions of signals are the ordinary ones;
  // the caller then execs. Returns as fork(2).
  pid_t Fork(std::span<const int> inherit, std::uint64_t now_ns) noexcept;

  // waitpid said so. Five deaths in a row within two seconds of their start: one start a second from then on.
  void Died(std::uint64_t now_ns) noexcept;
  void Kill(int signal) const noexcept;

 private:
  static constexpr std::uint64_t kQuickNs = 2'000'000'000;
  static constexpr std::uint64_t kPauseNs = 1'000'000'000;
  static constexpr int kQuickDeaths = 5;

  const char* name_;
  pid_t pid_ = 0;
  std::uint64_t started_ns_ = 0;
  std::uint64_t not_before_ns_ = 0;
  int quick_deaths_ = 0;
};

}  // namespace swapfs
