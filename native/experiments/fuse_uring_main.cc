// Mounts, answers FUSE_INIT, and either serves (--keeper 0) or keeps /dev/fuse and the entries' memory while a child serves,
// which is replaced when a signal ends it. Writes a line "serving PID resumed=0|1" for each server.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <span>

#include "../dataplane/fuse_mount.h"
#include "../dataplane/log.h"
#include "../dataplane/options.h"
#include "../dataplane/thread.h"
#include "fuse_uring.h"

namespace swapfs::experiment {

namespace {

constexpr int kCpusMax = 64;
constexpr int kThreadsMax = 16;

struct Settings {
  const char* device = nullptr;
  const char* mountpoint = nullptr;
  const char* transport = "device";  // or "ring"
  int threads = 1;                   // readers of /dev/fuse
  int looks = 1;
  int depth = 8;  // entries of each queue
  int deferred = 1;
  int pinned = 1;
  int keeper = 0;
  int recovers = 1;  // 0: the next server registers anew and leaves alone what was in flight
};

class Server {
 public:
  Server(const Settings& settings, int fuse, RingEntry* entries, int queues) noexcept
      : settings_(settings), fuse_(fuse), entries_(entries), queues_(queues) {}

  [[noreturn]] void Serve(bool resumed) noexcept {
    if (!store_.Open(settings_.device)) {
      Log("cannot open %s: %s, it must be a block device", settings_.device, ErrnoName(errno));
      ::_exit(1);
    }
    std::printf("serving %d resumed=%d\n", ::getpid(), resumed ? 1 : 0);
    std::fflush(stdout);
    if (entries_ != nullptr) StartRings(resumed && settings_.recovers != 0);
    if (resumed && entries_ == nullptr && settings_.recovers != 0) Resend();
    // With a ring, /dev/fuse still brings FORGET.
    const int threads = entries_ != nullptr ? 1 : settings_.threads;
    const bool looks = entries_ == nullptr && settings_.looks != 0 && threads == 1;
    static DeviceReader reader(store_, fuse_, looks);
    for (int i = 1; i < threads; i++) StartThread(reader, "reader");
    reader.Run();
    ::_exit(1);
  }

 private:
  void StartRings(bool recovers) noexcept {
    const RingQueue::Options options{fuse_, settings_.depth, settings_.deferred != 0, settings_.looks != 0,
                                     settings_.pinned != 0, recovers};
    alignas(RingQueue) static std::byte memory[kCpusMax][sizeof(RingQueue)];
    for (int cpu = 0; cpu < queues_; cpu++) {
      auto* queue = new (memory[cpu]) RingQueue(store_, entries_ + cpu * settings_.depth, cpu, options);
      StartThread(*queue, "ring");
    }
  }

  void Resend() noexcept {
    const fuse_out_header notice{sizeof(notice), kNotifyResend, 0};
    if (::write(fuse_, &notice, sizeof(notice)) < 0) Log("cannot ask for requests again: %s", ErrnoName(errno));
  }

  const Settings& settings_;
  int fuse_;
  RingEntry* entries_;
  int queues_;
  Store store_;
};

// The entries of all queues, at an address that every server inherits.
RingEntry* MapEntries(int count) noexcept {
  void* memory = ::mmap(nullptr, sizeof(RingEntry) * static_cast<std::size_t>(count), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<RingEntry*>(memory);
}

int Keep(Server& server) noexcept {
  for (bool resumed = false;; resumed = true) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      server.Serve(resumed);
    }
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child) return 1;
    if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  }
}

int Main(std::span<char* const> arguments) noexcept {
  SetLogName("fuse-uring");
  Settings settings;
  const Option options[] = {{"--device", &settings.device, nullptr},       {"--mountpoint", &settings.mountpoint, nullptr},
                            {"--transport", &settings.transport, nullptr}, {"--threads", nullptr, &settings.threads},
                            {"--looks", nullptr, &settings.looks},         {"--depth", nullptr, &settings.depth},
                            {"--deferred", nullptr, &settings.deferred},   {"--pinned", nullptr, &settings.pinned},
                            {"--keeper", nullptr, &settings.keeper},       {"--recovers", nullptr, &settings.recovers}};
  if (ParseOptions(arguments, options) < 0) return 2;
  const bool ring = std::strcmp(settings.transport, "ring") == 0;
  const int cpus = static_cast<int>(::sysconf(_SC_NPROCESSORS_CONF));
  if (settings.device == nullptr || settings.mountpoint == nullptr || (!ring && std::strcmp(settings.transport, "device") != 0) ||
      settings.threads < 1 || settings.threads > kThreadsMax || settings.depth < 1 || cpus > kCpusMax) {
    std::fputs("usage: swapfs-fuse-uring --device DEV --mountpoint DIR [--transport device|ring] [--threads N] [--looks 0|1]\n"
               "         [--depth N] [--deferred 0|1] [--pinned 0|1] [--keeper 0|1] [--recovers 0|1]\n", stderr);
    return 2;
  }
  FuseMount mount;
  MountFailure failure;
  if (!mount.Mount(settings.device, settings.mountpoint, kMountFlags, kPayloadBytes, failure)) {
    Log("%s", failure.text);
    return 1;
  }
  bool over_io_uring = ring;
  const int error = AnswerInit(mount.fd(), over_io_uring);
  RingEntry* entries = ring ? MapEntries(cpus * settings.depth) : nullptr;
  if (error != 0 || over_io_uring != ring || (ring && entries == nullptr)) {
    Log("cannot serve: %s", error != 0 ? ErrnoName(-error)
                            : over_io_uring != ring ? "the kernel offers no FUSE over io_uring, set fuse.enable_uring" : "no memory");
    return 1;
  }
  Server server(settings, mount.fd(), entries, cpus);
  if (settings.keeper == 0) server.Serve(false);
  return Keep(server);
}

}  // namespace

void EndOfMount(int error) noexcept {
  // What an unmount looks like: ENODEV from read(2), ENOTCONN or ECONNABORTED in a ring.
  const bool gone = error == ENODEV || error == ENOTCONN || error == ECONNABORTED || error == ECANCELED;
  if (!gone) Log("cannot go on: %s", ErrnoName(error));
  ::_exit(gone ? 0 : 1);
}

}  // namespace swapfs::experiment

int main(int count, char** arguments) { return swapfs::experiment::Main(std::span(arguments + 1, static_cast<std::size_t>(count - 1))); }
