// swapfs-autoswap FOLDER: waits until free swap is short and then swaps on the file that lies ready: one swapon(2), without Node, without a
// fork, without an allocation. `swapfs auto` (src/cli/auto) starts it, makes the files ready and swaps off; this goes on when that dies.
//
// Lines from there, on stdin:   below BYTES           swap on as soon as less than this of swap is free
//                               ready NAME PRIORITY [DEVICE]   this file of FOLDER is next, by its block view where it has one
//                               withdraw              nothing lies ready any more
// Lines to there, on stdout:    psi WINDOW_MS         how it is woken; a negative errno: not at all, so it looks often
//                               opened ERRNO          the answer to `ready`
//                               withdrawn             the answer to `withdraw`: what was ready is on, as was said before, or stays off
//                               on ERRNO MICROSECONDS NAME   swapon was called; nothing lies ready any more
//                               look AVAILABLE SWAP_TOTAL SWAP_FREE PRESSED   bytes

#include <fcntl.h>
#include <getopt.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/swap.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "../dataplane/descriptor.h"
#include "../dataplane/process_setup.h"

namespace {

using swapfs::Descriptor;

// Somebody waited for memory during 2 % of the window. kswapd's own work counts (psi_memstall_enter in balance_pgdat, mm/vmscan.c).
constexpr struct {
  int ms;
  const char* trigger;
} kWindows[] = {{500, "some 10000 500000"}, {2000, "some 40000 2000000"}};  // without CAP_SYS_RESOURCE a multiple of 2 s (psi_trigger_create)
constexpr std::int64_t kPressedMs = 2500;  // a trigger fires at most once in its window
constexpr std::int64_t kPressedLookMs = 50;
constexpr std::int64_t kBlindLookMs = 200;
// Swap fills no faster than this. A trigger may come too late: it tells of waiting, and where swap is fast nobody waits long.
constexpr std::uint64_t kFillBytesPerMs = 1 << 20;
constexpr std::int64_t kReportMs = 250;

std::int64_t NowUs() noexcept {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

struct Memory {
  std::uint64_t available = 0;
  std::uint64_t total = 0;
  std::uint64_t free = ~std::uint64_t{0};  // unless it can be read, nothing is added
};

std::uint64_t FieldBytes(const char* text, const char* name) noexcept {
  const char* found = std::strstr(text, name);
  return found == nullptr ? 0 : std::strtoull(found + std::strlen(name), nullptr, 10) * 1024;
}

// Of /proc/meminfo.
Memory ReadMemory(int fd) noexcept {
  static char text[8192];
  const ssize_t length = ::pread(fd, text, sizeof(text) - 1, 0);
  if (length <= 0) return {};
  text[length] = '\0';
  if (std::strstr(text, "SwapFree:") == nullptr) return {};
  return {FieldBytes(text, "MemAvailable:"), FieldBytes(text, "SwapTotal:"), FieldBytes(text, "SwapFree:")};
}

// A trigger is written to it: into any other file that would be damage.
bool IsPressureFile(int fd) noexcept {
  struct statfs filesystem;
  if (::fstatfs(fd, &filesystem) != 0) return false;
  const auto type = static_cast<std::uint64_t>(filesystem.f_type);
  if (type != PROC_SUPER_MAGIC && type != CGROUP_SUPER_MAGIC && type != CGROUP2_SUPER_MAGIC) return false;
  char text[16];
  constexpr char kBegin[] = "some avg10=";
  return ::pread(fd, text, sizeof(text), 0) == sizeof(text) && std::memcmp(text, kBegin, sizeof(kBegin) - 1) == 0;
}

class Autoswap {
 public:
  Autoswap(int folder, int meminfo, std::int64_t interval_ms) noexcept : folder_(folder), meminfo_(meminfo), interval_ms_(interval_ms) {}

  // psi(5)-style triggers, Documentation/accounting/psi.rst. Held open: closing it ends the trigger.
  void WatchPressure(const char* file) noexcept {
    int error = 0;
    for (const auto& window : kWindows) {
      Descriptor fd(::open(file, O_RDWR | O_NONBLOCK | O_CLOEXEC));
      if (fd.valid() && !IsPressureFile(fd.get())) {
        error = EINVAL;
        break;
      }
      if (fd.valid() && ::write(fd.get(), window.trigger, std::strlen(window.trigger) + 1) > 0) {
        pressure_ = std::move(fd);
        return Say("psi %d\n", window.ms);
      }
      error = errno;
    }
    Say("psi %d\n", -error);
  }

  void Run() noexcept {
    while (parent_ || ready_.valid()) {
      Look();
      pollfd fds[] = {{parent_ ? STDIN_FILENO : -1, POLLIN, 0}, {pressure_.get(), POLLPRI, 0}};
      if (::poll(fds, 2, static_cast<int>(PauseMs())) <= 0) continue;
      if (fds[1].revents & POLLERR) pressure_.Close();  // its cgroup is gone
      if (fds[1].revents & POLLPRI) pressed_us_ = NowUs();
      if (fds[0].revents != 0) ReadLines();
    }
  }

 private:
  bool Pressed() const noexcept { return pressed_us_ > 0 && NowUs() - pressed_us_ < kPressedMs * 1000; }

  std::int64_t PauseMs() const noexcept {
    if (Pressed()) return kPressedLookMs;
    const std::int64_t usual = pressure_.valid() || interval_ms_ < kBlindLookMs ? interval_ms_ : kBlindLookMs;
    if (!ready_.valid() || free_ < below_) return usual;
    const auto filled = static_cast<std::int64_t>(std::min<std::uint64_t>((free_ - below_) / kFillBytesPerMs, 1 << 30));
    return std::clamp(filled, std::min(kPressedLookMs, usual), usual);
  }

  void Look() noexcept {
    Memory now = ReadMemory(meminfo_);
    if (ready_.valid() && now.free < below_) {
      SwapOn();
      now = ReadMemory(meminfo_);
      reported_us_ = 0;
    }
    free_ = now.free;
    if (NowUs() - reported_us_ < (Pressed() ? kReportMs : interval_ms_) * 1000) return;
    reported_us_ = NowUs();
    Say("look %llu %llu %llu %d\n", static_cast<unsigned long long>(now.available), static_cast<unsigned long long>(now.total),
        static_cast<unsigned long long>(now.free), Pressed() ? 1 : 0);
  }

  // Through what is open: no name needs to be looked up any more, and /proc/swaps shows it all the same. The kernel opens it once more, which
  // of a file asks the volume's control plane, and of a block view nobody.
  void SwapOn() noexcept {
    char path[32];
    std::snprintf(path, sizeof(path), "/proc/self/fd/%d", ready_.get());
    const std::int64_t begun = NowUs();
    const int error = ::swapon(path, SWAP_FLAG_PREFER | priority_) == 0 ? 0 : errno;
    if (error == ENOMEM) return;  // for its own tables: at the next look
    ready_.Close();
    Say("on %d %lld %s\n", error, static_cast<long long>(NowUs() - begun), name_);
  }

  void ReadLines() noexcept {
    const ssize_t length = ::read(STDIN_FILENO, input_ + held_, sizeof(input_) - 1 - held_);
    if (length <= 0) {
      parent_ = length < 0 && errno == EINTR;
      return;
    }
    held_ += static_cast<std::size_t>(length);
    input_[held_] = '\0';
    char* line = input_;
    for (char* end; (end = std::strchr(line, '\n')) != nullptr; line = end + 1) {
      *end = '\0';
      Take(line);
    }
    held_ -= static_cast<std::size_t>(line - input_);
    std::memmove(input_, line, held_);
  }

  void Take(char* line) noexcept {
    char* rest = line;
    const char* word = ::strsep(&rest, " ");
    if (std::strcmp(word, "withdraw") == 0) {
      ready_.Close();
      Say("withdrawn\n");
    }
    if (rest == nullptr) return;
    if (std::strcmp(word, "below") == 0) below_ = std::strtoull(rest, nullptr, 10);
    if (std::strcmp(word, "ready") != 0) return;
    const char* name = ::strsep(&rest, " ");
    std::snprintf(name_, sizeof(name_), "%s", name);
    priority_ = rest == nullptr ? 0 : std::atoi(rest) & SWAP_FLAG_PRIO_MASK;
    const char* device = rest == nullptr ? nullptr : std::strchr(rest, ' ');
    ready_ = Descriptor(::openat(folder_, device == nullptr ? name : device + 1, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    Say("opened %d\n", ready_.valid() ? 0 : errno);
  }

  // Where nobody reads, nothing is waited for.
  [[gnu::format(printf, 2, 3)]] void Say(const char* format, ...) noexcept {
    char text[128];
    va_list values;
    va_start(values, format);
    const int length = std::vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    if (::write(STDOUT_FILENO, text, static_cast<std::size_t>(length)) < 0 && errno == EPIPE) parent_ = false;
  }

  int folder_;
  int meminfo_;
  std::int64_t interval_ms_;
  Descriptor pressure_;
  Descriptor ready_;
  char name_[32] = {};
  int priority_ = 0;
  std::uint64_t below_ = 0;
  std::uint64_t free_ = 0;  // at the last look
  bool parent_ = true;
  std::int64_t pressed_us_ = 0;
  std::int64_t reported_us_ = 0;
  char input_[1024] = {};
  std::size_t held_ = 0;
};

constexpr option kOptions[] = {{"pressure", required_argument, nullptr, 'p'},
                               {"meminfo", required_argument, nullptr, 'm'},
                               {"interval", required_argument, nullptr, 'i'},
                               {"lock", required_argument, nullptr, 'l'},
                               {nullptr, 0, nullptr, 0}};

}  // namespace

int main(int argc, char** argv) {
  const char* pressure = "/proc/pressure/memory";
  const char* meminfo = "/proc/meminfo";
  const char* lock = nullptr;
  std::int64_t interval_ms = 1000;
  for (int code; (code = ::getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    if (code == 'p') pressure = optarg;
    else if (code == 'm') meminfo = optarg;
    else if (code == 'i') interval_ms = std::atoll(optarg);
    else if (code == 'l') lock = optarg;
    else return 2;
  }
  const int folder = optind + 1 == argc ? ::open(argv[optind], O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
  const int memory = ::open(meminfo, O_RDONLY | O_CLOEXEC);
  if (folder < 0 || memory < 0 || interval_ms <= 0) {
    std::fputs("usage: swapfs-autoswap [--pressure FILE] [--meminfo FILE] [--interval MS] [--lock FILE] FOLDER\n", stderr);
    return 2;
  }
  // By it one is found that has outlived its parent (watcher.ts). Held until the end.
  if (lock != nullptr && ::flock(::open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600), LOCK_EX | LOCK_NB) != 0) {
    std::fprintf(stderr, "swapfs-autoswap: cannot lock %s: %s\n", lock, std::strerror(errno));
    return 1;
  }
  std::signal(SIGPIPE, SIG_IGN);
  ::fcntl(STDOUT_FILENO, F_SETFL, ::fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
  swapfs::SetOomScoreAdjust(-1000);
  static Autoswap autoswap(folder, memory, interval_ms);
  swapfs::LockMemory();
  autoswap.WatchPressure(pressure);
  autoswap.Run();
  return 0;
}
