#include "child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

namespace swapfs {

pid_t ChildProcess::Fork(std::span<const int> inherit, std::uint64_t now_ns) noexcept {
  const pid_t pid = ::fork();
  if (pid != 0) {
    pid_ = pid > 0 ? pid : 0;
    started_ns_ = now_ns;
    if (pid < 0) not_before_ns_ = now_ns + kPauseNs;
    return pid;
  }
  // A session of its own: Ctrl-C on the terminal of a mount in the foreground is for the keeper alone, which unmounts.
  ::setsid();
  for (const int fd : inherit) {
    if (fd >= 0) ::fcntl(fd, F_SETFD, 0);
  }
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGPIPE}) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  return 0;
}

void ChildProcess::Died(std::uint64_t now_ns) noexcept {
  pid_ = 0;
  quick_deaths_ = now_ns - started_ns_ < kQuickNs ? quick_deaths_ + 1 : 0;
  not_before_ns_ = quick_deaths_ >= kQuickDeaths ? now_ns + kPauseNs : now_ns;
}

void ChildProcess::Kill(int signal) const noexcept {
  if (running()) ::kill(pid_, signal);
}

}  // namespace swapfs
