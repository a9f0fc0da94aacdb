#include "keeper.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>

#include "log.h"
#include "loop_renewal.h"
#include "process_setup.h"
#include "session_view.h"

namespace swapfs {

namespace {

constexpr int kMountFailed = 12;
constexpr int kSocketBytes = 4 * 1024 * 1024;
constexpr std::uint64_t kLookAgainNs = 1'000'000;

sigset_t Signals() noexcept {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) ::sigaddset(&signals, signal);
  return signals;
}

// Waits for one of Signals(). 0 when none came in that time.
int NextSignal(std::uint64_t nanos) noexcept {
  const sigset_t signals = Signals();
  const timespec timeout{static_cast<time_t>(nanos / 1'000'000'000), static_cast<long>(nanos % 1'000'000'000)};
  const int signal = ::sigtimedwait(&signals, nullptr, &timeout);
  return signal > 0 ? signal : 0;
}

void LogDeath(const char* name, pid_t pid, int status) noexcept {
  if (WIFSIGNALED(status)) {
    Log("the %s (pid %d) died of signal %d, starting another", name, pid, WTERMSIG(status));
  } else {
    Log("the %s (pid %d) ended with status %d, starting another", name, pid, WEXITSTATUS(status));
  }
}

}  // namespace

Keeper::Keeper(const KeeperOptions& options) noexcept
    : options_(options), ready_(options.ready_fd), lock_(options.lock_fd), run_dir_(options.run_dir) {
  if (lock_.valid()) ::fcntl(lock_.get(), F_SETFD, FD_CLOEXEC);
}

int Keeper::Run() noexcept {
  const sigset_t signals = Signals();
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  if (!SetUp()) return kInternal;
  MountFailure failure;
  if (!mount_.Mount(options_.device, options_.mountpoint, options_.mount_flags, options_.max_read, failure)) {
    Log("%s", failure.text);
    ready_.ReportError(failure.text);
    return kMountFailed;
  }
  return Supervise();
}

bool Keeper::SetUp() noexcept {
  int error = session_.Create();
  if (error == 0) error = MakeSockets();
  if (error != 0) {
    Log("cannot make the session: %s", ErrnoName(-error));
    ready_.ReportError("cannot make the session, see the log");
    return false;
  }
  oom_score_ = OomScoreAdjust();
  SetOomScoreAdjust(-1000);
  // To fork and exec a data plane must not wait for the reclaim that needs this data plane.
  SetIoFlusher();
  LockMemory();
  return true;
}

int Keeper::MakeSockets() noexcept {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return -errno;
  data_socket_ = Descriptor(pair[0]);
  control_socket_ = Descriptor(pair[1]);
  for (const int fd : pair) {
    if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kSocketBytes, sizeof(kSocketBytes)) != 0) {
      ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSocketBytes, sizeof(kSocketBytes));
    }
  }
  return 0;
}

int Keeper::Supervise() noexcept {
  while (!data_ended_ && give_up_status_ == 0) {
    StartDue();
    WaitForSignal();
    NoticeControlUp();
  }
  return data_ended_ ? EndInOrder() : EndBeforeReady();
}

void Keeper::WaitForSignal() noexcept {
  std::uint64_t nanos = 3'600'000'000'000;
  const std::uint64_t now = MonotonicNs();
  for (const ChildProcess* child : {&data_plane_, &control_plane_}) {
    if (child->running()) continue;
    // One that is due and was not started waits for what sends no signal.
    const std::uint64_t next_look_ns = std::max(child->not_before_ns(), now + kLookAgainNs);
    nanos = std::min(nanos, next_look_ns - now);
  }
  if (!ever_up_ && nanos > 50'000'000) nanos = 50'000'000;
  const int signal = NextSignal(nanos);
  if (signal == SIGCHLD) Reap();
  if (signal == SIGTERM || signal == SIGINT) StartUnmount();
}

// The pipe's last writer is then the control plane, so that its reader sees an end.
void Keeper::NoticeControlUp() noexcept {
  if (ever_up_ || SessionView::Load(session_.header().control_up) == 0) return;
  ever_up_ = true;
  ready_.Close();
  LetGoOfDevice();
}

// The lock on a block device is a descriptor of it, and ours would keep the device busy for a moment after umount(2). The
// control plane has the lock as well, and the mount itself claims the device; the lock on an image is kept. Each later control
// plane gets one that is taken anew.
void Keeper::LetGoOfDevice() noexcept {
  struct stat status {};
  if (lock_.valid() && ::fstat(lock_.get(), &status) == 0 && S_ISBLK(status.st_mode)) lock_.Close();
}

void Keeper::Reap() noexcept {
  int status = 0;
  for (pid_t pid = ::waitpid(-1, &status, WNOHANG); pid > 0; pid = ::waitpid(-1, &status, WNOHANG)) {
    if (pid == data_plane_.pid()) {
      SessionView::Store(session_.header().data_pid, 0u);
      OnDeath(data_plane_, status);
    } else if (pid == control_plane_.pid()) {
      NoticeControlUp();
      SessionView::Store(session_.header().control_up, 0u);
      SessionView::Store(session_.header().control_pid, 0u);
      OnDeath(control_plane_, status);
    } else if (pid == unmount_pid_) {
      OnUnmounted(status);
    }
  }
}

void Keeper::OnDeath(ChildProcess& child, int status) noexcept {
  const pid_t pid = child.pid();
  child.Died(MonotonicNs());
  if (SessionView::Load(session_.header().destroyed) != 0) {
    if (&child == &data_plane_) data_ended_ = true;
    return;
  }
  if (!GiveUp(child, status)) LogDeath(child.name(), pid, status);
}

// A plane that ends by itself before the mount was ever usable has said why, and will say it again.
bool Keeper::GiveUp(const ChildProcess& child, int status) noexcept {
  NoticeControlUp();
  if (ever_up_ || !WIFEXITED(status) || WEXITSTATUS(status) == 0) return false;
  char text[160];
  std::snprintf(text, sizeof(text), "the %s ended with status %d at its start, see the log", child.name(),
                WEXITSTATUS(status));
  Log("%s", text);
  ready_.ReportError(text);
  give_up_status_ = WEXITSTATUS(status);
  return true;
}

void Keeper::StartUnmount() noexcept {
  if (unmount_pid_ != 0) return;
  // In a child, since umount2 waits until the data plane has answered FUSE_DESTROY, and we may have to restart that.
  unmount_pid_ = ::fork();
  if (unmount_pid_ != 0) return;
  mount_.Close();  // not to hold the connection when all others are gone
  char path[PATH_MAX];
  if (const int error = FindMount(options_.device, path); error != 0) ::_exit(-error);
  ::_exit(::umount2(path, UMOUNT_NOFOLLOW) == 0 ? 0 : errno);
}

void Keeper::OnUnmounted(int status) noexcept {
  unmount_pid_ = 0;
  const int error = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
  if (error == EBUSY) {
    Log("cannot unmount %s: it is in use (a swapfile that is on, an open file), swapoff or close it first",
        options_.mountpoint);
  } else if (error != 0) {
    Log("cannot unmount %s: %s", options_.mountpoint, ErrnoName(error));
  }
}

int Keeper::EndInOrder() noexcept {
  // The control plane reads what is left in the socket, and then its end.
  ::shutdown(data_socket_.get(), SHUT_RDWR);
  AwaitControlEnd(10);
  run_dir_.Remove();
  RenewLoop(options_.device);
  return 0;
}

int Keeper::EndBeforeReady() noexcept {
  data_plane_.Kill(SIGKILL);
  ::umount2(options_.mountpoint, MNT_DETACH);
  mount_.Close();
  AwaitControlEnd(2);
  run_dir_.Remove();
  RenewLoop(options_.device);
  return give_up_status_;
}

// SIGTERM after that time, SIGKILL two seconds later.
void Keeper::AwaitControlEnd(int seconds) noexcept {
  for (const int signal : {0, SIGTERM, SIGKILL}) {
    if (signal != 0) control_plane_.Kill(signal);
    const std::uint64_t patience = signal == 0 ? static_cast<std::uint64_t>(seconds) : 2;
    const std::uint64_t until = MonotonicNs() + patience * 1'000'000'000;
    for (std::uint64_t now = MonotonicNs(); control_plane_.running() && now < until; now = MonotonicNs()) {
      if (::waitpid(control_plane_.pid(), nullptr, WNOHANG) > 0) control_plane_.Died(now);
      if (control_plane_.running()) NextSignal(20'000'000);
    }
  }
}

}  // namespace swapfs
