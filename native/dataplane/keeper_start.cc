// How the keeper starts its children, and what each of them gets.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "keeper.h"
#include "log.h"
#include "process_setup.h"
#include "session_view.h"
#include "units.h"

namespace swapfs {

namespace {

constexpr int kCannotExec = 127;
constexpr std::uint64_t kTellBusyNs = 1'000'000'000;
constexpr std::uint64_t kLockPatienceNs = 1'000'000'000;

struct NumberText {
  explicit NumberText(int number) noexcept { std::snprintf(text, sizeof(text), "%d", number); }
  char text[16];
};

void SetNumber(const char* name, int number) noexcept { ::setenv(name, NumberText(number).text, 1); }

}  // namespace

void Keeper::StartDue() noexcept {
  const std::uint64_t now = MonotonicNs();
  if (data_plane_.Due(now) && DeviceIsDone(now)) StartDataPlane(now);
  // Once the end has begun nobody is started any more but the one who must answer FUSE_DESTROY.
  const bool destroyed = SessionView::Load(session_.header().destroyed) != 0;
  if (!destroyed && control_plane_.Due(now) && TakeDeviceLock(now)) StartControlPlane(now);
}

// The lock on a device went with the control plane that died. Who has it meanwhile sees that the mount claims the device,
// and gives it back; only a stranger may keep it, and no request waits for him.
bool Keeper::TakeDeviceLock(std::uint64_t now_ns) noexcept {
  if (lock_.valid() || options_.lock_fd < 0) return true;
  Descriptor device(::open(options_.device, O_RDONLY | O_CLOEXEC));
  const bool taken = device.valid() && ::flock(device.get(), LOCK_EX | LOCK_NB) == 0;
  if (!taken && now_ns - control_plane_.not_before_ns() < kLockPatienceNs) return false;
  if (!taken) Log("cannot lock %s: somebody else has it, going on without", options_.device);
  if (taken) lock_ = std::move(device);
  return true;
}

// Nothing that a data plane which died had under way may come after what the next one does.
bool Keeper::DeviceIsDone(std::uint64_t now_ns) noexcept {
  const unsigned under_way = ring_.UnderWay();
  if (under_way == 0) {
    told_busy_ = false;
    return true;
  }
  if (!told_busy_ && now_ns - data_plane_.not_before_ns() > kTellBusyNs) {
    told_busy_ = true;
    Log("%u transfers of the data plane that died are still under way in %s, the next one waits for their end", under_way,
        options_.device);
  }
  return false;
}

void Keeper::StartDataPlane(std::uint64_t now_ns) noexcept {
  if (const int error = ring_.Make(kFlights, session_.private_part().ring); error != 0) {
    Log("io_uring is not there (%s): the device is used synchronously", ErrnoName(-error));
  }
  abi::SessionHeader& header = session_.header();
  SessionView::Store(header.data_generation, header.data_generation + 1);
  const int inherit[] = {mount_.fd(), data_socket_.get(), session_.fd(), ring_.fd()};
  const pid_t pid = data_plane_.Fork(inherit, now_ns);
  if (pid == 0) ExecDataPlane();
  if (pid < 0) return Log("cannot start the data plane: %s", ErrnoName(errno));
  SessionView::Store(header.data_pid, static_cast<std::uint32_t>(pid));
}

void Keeper::ExecDataPlane() noexcept {
  NumberText fuse(mount_.fd()), control(data_socket_.get()), session(session_.fd()), affinity(options_.affinity);
  NumberText waits(options_.device_waits), awake(options_.awake), partner(options_.partner);
  NumberText ring(ring_.fd()), resend(options_.resend);
  const char* const arguments[] = {options_.dataplane, "--fuse-fd",    fuse.text,     "--control-fd", control.text,
                                   "--session-fd",     session.text,   "--affinity",  affinity.text,
                                   "--device-waits",   waits.text,     "--awake",     awake.text,     "--partner",
                                   partner.text,       "--resend",     resend.text,   "--device",   options_.device,
                                   ring_.fd() < 0 ? nullptr : "--ring-fd", ring.text, nullptr};
  ::execv(options_.dataplane, const_cast<char* const*>(arguments));
  Log("cannot start %s: %s", options_.dataplane, ErrnoName(errno));
  ::_exit(kCannotExec);
}

void Keeper::StartControlPlane(std::uint64_t now_ns) noexcept {
  abi::SessionHeader& header = session_.header();
  SessionView::Store(header.control_up, 0u);
  SessionView::Store(header.control_generation, header.control_generation + 1);
  const int inherit[] = {mount_.fd(), control_socket_.get(), session_.fd(), lock_.get(), ready_.fd()};
  const pid_t pid = control_plane_.Fork(inherit, now_ns);
  if (pid == 0) ExecControlPlane();
  if (ever_up_) LetGoOfDevice();
  if (pid < 0) return Log("cannot start the control plane: %s", ErrnoName(errno));
  SessionView::Store(header.control_pid, static_cast<std::uint32_t>(pid));
}

void Keeper::ExecControlPlane() noexcept {
  ClearIoFlusher();
  SetOomScoreAdjust(oom_score_);
  SetNumber("SWAPFS_FUSE_FD", mount_.fd());
  SetNumber("SWAPFS_CONTROL_FD", control_socket_.get());
  SetNumber("SWAPFS_SESSION_FD", session_.fd());
  ::unsetenv("SWAPFS_LOCK_FD");
  ::unsetenv("SWAPFS_READY_FD");
  if (lock_.valid()) SetNumber("SWAPFS_LOCK_FD", lock_.get());
  if (ready_.fd() >= 0) SetNumber("SWAPFS_READY_FD", ready_.fd());
  ::setenv("SWAPFS_DEVICE", options_.device, 1);
  ::setenv("SWAPFS_MOUNTPOINT", options_.mountpoint, 1);
  ::setenv("SWAPFS_RUN_DIR", options_.run_dir, 1);
  char program[PATH_MAX];
  std::snprintf(program, sizeof(program), "%s", options_.control[0]);
  MarkStorageDaemon(options_.control);
  ::execvp(program, options_.control);
  Log("cannot start %s: %s", program, ErrnoName(errno));
  ::_exit(kCannotExec);
}

}  // namespace swapfs
