// swapfs-dataplane --fuse-fd F --control-fd S --session-fd M --device PATH [--ring-fd R]
// Started by swapfs-keeper. Everything is taken here; from Relay::Run on nothing is allocated.
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "allocation_counter.h"
#include "completer.h"
#include "log.h"
#include "options.h"
#include "plane.h"
#include "process_setup.h"
#include "reader.h"
#include "relay.h"
#include "thread.h"

namespace swapfs {

namespace {

constexpr int kUsage = 2;
constexpr int kCannotStart = 70;

struct DataPlaneOptions {
  int fuse_fd = -1;
  int control_fd = -1;
  int session_fd = -1;
  int ring_fd = -1;
  int affinity = 1;  // 0: no BMAP bursts on one CPU, to measure what they are worth
  int looks = 1;     // 0: readers never look at /dev/fuse before they sleep on it, to measure the same
  int awake = 1;     // 0: idle CPUs may halt between single requests, to measure the same
  int partner = 2;   // 0, 1: long transfers never, always have two threads, to measure and to test; 2: where that is faster
  int device_waits = 2;  // 0, 1: whether the device makes its callers wait, as a test wants it; 2: as it is
  int resend = 1;  // 0: as on a kernel that has no FUSE_NOTIFY_RESEND, to test that
  const char* device = nullptr;
};

bool Parse(std::span<char* const> arguments, DataPlaneOptions& options) noexcept {
  const Option known[] = {{"--fuse-fd", nullptr, &options.fuse_fd},
                          {"--control-fd", nullptr, &options.control_fd},
                          {"--session-fd", nullptr, &options.session_fd},
                          {"--ring-fd", nullptr, &options.ring_fd},
                          {"--affinity", nullptr, &options.affinity},
                          {"--looks", nullptr, &options.looks},
                          {"--awake", nullptr, &options.awake},
                          {"--partner", nullptr, &options.partner},
                          {"--device-waits", nullptr, &options.device_waits},
                          {"--resend", nullptr, &options.resend},
                          {"--device", &options.device, nullptr}};
  if (ParseOptions(arguments, known) < 0) return false;
  const bool whole = options.fuse_fd >= 0 && options.control_fd >= 0 && options.session_fd >= 0;
  if (!whole || options.device == nullptr) {
    std::fprintf(stderr, "usage: swapfs-dataplane --fuse-fd F --control-fd S --session-fd M --device PATH\n");
    return false;
  }
  return true;
}

int Failed(const char* what, int error) noexcept {
  Log("cannot %s: %s", what, ErrnoName(error < 0 ? -error : error));
  return kCannotStart;
}

// Before any thread exists: they inherit the I/O flusher flag.
void SetUpProcess(Plane& plane) noexcept {
  abi::SessionHeader& header = plane.session.header();
  SessionView::Store(header.io_flusher, SetIoFlusher() ? 1u : 0u);
  SessionView::Store(header.oom_protected, SetOomScoreAdjust(-1000) ? 1u : 0u);
  SessionView::Store(header.memory_locked, LockMemory() ? 1u : 0u);
  SessionView::Store(header.data_pid, static_cast<std::uint32_t>(::getpid()));
}

bool TakeMemory(Plane& plane) noexcept {
  constexpr std::size_t large = kReaders + kCompleters + kCopiers + kSpareBuffers;
  return plane.large.Init(large, kRequestBufferBytes) && plane.small.Init(kSmallBuffers, kSmallBufferBytes) &&
         plane.maps.Init();
}

int StartThreads(Plane& plane) noexcept {
  static Reader readers[kReaders];
  static Completer completers[kCompleters];
  int error = plane.ring.ready() ? StartThread(plane.ring, "ring") : 0;
  for (int i = 0; i < kReaders && error == 0; i++) {
    readers[i].Init(plane, i);
    error = StartThread(readers[i], "reader");
  }
  for (int i = 0; i < kCompleters && error == 0; i++) {
    completers[i].Init(plane, i);
    error = StartThread(completers[i], "completer");
  }
  if (error == 0 && plane.device.partner().enabled()) error = StartThread(plane.device.partner(), "partner");
  plane.copier.Init(plane.large, plane.device, plane.link);
  if (error == 0) error = StartThread(plane.copier, "copier");
  return error;
}

int Main(std::span<char* const> arguments) noexcept {
  SetLogName("swapfs-dataplane");
  ::signal(SIGPIPE, SIG_IGN);  // in the foreground the log's reader may end first
  DataPlaneOptions options;
  if (!Parse(arguments, options)) return kUsage;
  static Plane plane{Descriptor(options.fuse_fd)};
  if (const int error = plane.session.Open(options.session_fd)) return Failed("map the session", error);
  SetUpProcess(plane);
  if (const int error = plane.link.Init(options.control_fd)) return Failed("use the control socket", error);
  if (const int error = plane.device.Open(options.device, plane.session.counters().device_errors)) return Failed("open the device", error);
  if (!TakeMemory(plane)) return Failed("take memory", ENOMEM);
  plane.parked.Init(plane.session.generation());
  plane.in_flight.Init();
  if (options.resend == 0) plane.fuse.RefuseResend();
  plane.ablation.Init();
  plane.session.ForgetRequests();
  plane.gate.Init();
  const bool waits = options.device_waits == 2 ? plane.device.makes_wait() : options.device_waits != 0;
  if (waits) {
    plane.ring.Init(plane, options.ring_fd);
  } else if (options.ring_fd >= 0) {
    ::close(options.ring_fd);
  }
  // Where the device makes its callers wait, each reader that waits for it must find another one reading, and a wake-up
  // more does not matter.
  plane.crew.Init(waits);
  if (!waits) plane.device.partner().Init(plane.device, plane.session, static_cast<Partner::Use>(options.partner));
  plane.looks = options.looks != 0 && !waits;
  plane.awake.Init(plane.session, plane.looks && options.awake != 0);
  plane.burst.Init(plane.session.private_part().burst, options.affinity != 0);
  if (const int error = StartThreads(plane)) return Failed("start threads", error);
  SessionView::Store(plane.session.header().locked_bytes, LockedBytes());
  CountAllocations(plane.session.counters().allocations);
  static Relay relay(plane);
  relay.Run();
}

}  // namespace

}  // namespace swapfs

int main(int argc, char** argv) {
  swapfs::MarkStorageDaemon(argv);
  return swapfs::Main({argv + 1, static_cast<std::size_t>(argc - 1)});
}
