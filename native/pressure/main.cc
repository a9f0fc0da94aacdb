// swapfs-pressure: fills memory, reads it back, touches it at random, and says whether every page came back as it was.
// Progress: JSON lines on stderr. Result: one JSON object on stdout. Exit status 0: no bad page; 1: bad pages; 2: usage.

#include "pressure.h"

#include <fcntl.h>
#include <getopt.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

using swapfs::pressure::Options;
using swapfs::pressure::Pattern;
using swapfs::pressure::Result;

constexpr char kUsage[] =
    "usage: swapfs-pressure --bytes N [--touches N | --seconds N] [--threads N] [--seed N] [--huge] [--pageout]\n"
    "                       [--marker SIXTEEN_BYTES] [--cgroup-procs FILE]\n";

bool ParseNumber(const char* text, std::uint64_t& value) {
  char* end = nullptr;
  errno = 0;
  value = std::strtoull(text, &end, 10);
  return errno == 0 && end != text && *end == '\0' && text[0] != '-';
}

enum OptionCode : int { kBytes = 1, kTouches, kSeconds, kThreads, kSeed, kHuge, kPageout, kMarker, kCgroup };

constexpr option kOptions[] = {
    {"bytes", required_argument, nullptr, kBytes},     {"touches", required_argument, nullptr, kTouches},
    {"seconds", required_argument, nullptr, kSeconds}, {"threads", required_argument, nullptr, kThreads},
    {"seed", required_argument, nullptr, kSeed},       {"huge", no_argument, nullptr, kHuge},
    {"pageout", no_argument, nullptr, kPageout},       {"marker", required_argument, nullptr, kMarker},
    {"cgroup-procs", required_argument, nullptr, kCgroup}, {nullptr, 0, nullptr, 0},
};

bool ParseMarker(const char* text, Pattern& pattern) {
  if (std::strlen(text) != swapfs::pressure::kMarkerBytes) return false;
  std::memcpy(pattern.marker.data(), text, swapfs::pressure::kMarkerBytes);
  pattern.marked = true;
  return true;
}

bool ParseOptions(int argc, char** argv, Options& options) {
  for (int code; (code = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    std::uint64_t number = 0;
    const bool numeric = code >= kBytes && code <= kSeed;
    if (numeric && !ParseNumber(optarg, number)) return false;
    switch (code) {
      case kBytes: options.bytes = number; break;
      case kTouches: options.touches = number; break;
      case kSeconds: options.seconds = number; break;
      case kThreads: options.threads = static_cast<unsigned>(number); break;
      case kSeed: options.pattern.seed = number; break;
      case kHuge: options.huge = true; break;
      case kPageout: options.pageout = true; break;
      case kMarker:
        if (!ParseMarker(optarg, options.pattern)) return false;
        break;
      case kCgroup: options.cgroup_procs = optarg; break;
      default: return false;
    }
  }
  const std::uint64_t pages = options.bytes / swapfs::pressure::kPageBytes;
  return optind == argc && options.threads >= 1 && options.threads <= 256 && pages >= options.threads;
}

// Before the first page is touched: pages are charged to the group that touches them first.
int EnterCgroup(const char* file) {
  const int fd = open(file, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  const int error = write(fd, "0", 1) == 1 ? 0 : -errno;
  close(fd);
  return error;
}

void Print(const Options& options, const Result& result) {
  const double us_per_touch =
      result.touches == 0 ? 0 : result.touch_seconds * 1e6 * options.threads / static_cast<double>(result.touches);
  std::printf(
      "{\"bytes\":%llu,\"pages\":%llu,\"badPages\":%llu,\"fillSeconds\":%.6f,\"verifySeconds\":%.6f,"
      "\"touches\":%llu,\"touchSeconds\":%.6f,\"usPerTouch\":%.3f,\"threads\":%u}\n",
      static_cast<unsigned long long>(options.bytes),
      static_cast<unsigned long long>(options.bytes / swapfs::pressure::kPageBytes),
      static_cast<unsigned long long>(result.bad_pages), result.fill_seconds, result.verify_seconds,
      static_cast<unsigned long long>(result.touches), result.touch_seconds, us_per_touch, options.threads);
}

}  // namespace

int main(int argc, char** argv) {
  // Whoever runs this removes the swap under it: it must not outlive its parent.
  const pid_t parent = getppid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) return 1;
  Options options;
  if (!ParseOptions(argc, argv, options)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  if (!options.cgroup_procs.empty()) {
    if (const int error = EnterCgroup(options.cgroup_procs.c_str()); error < 0) {
      std::fprintf(stderr, "cannot enter the cgroup of %s: %s\n", options.cgroup_procs.c_str(), strerror(-error));
      return 2;
    }
  }
  Result result;
  if (const int error = swapfs::pressure::Run(options, result); error < 0) {
    std::fprintf(stderr, "cannot map %llu bytes: %s\n", static_cast<unsigned long long>(options.bytes), strerror(-error));
    return 2;
  }
  Print(options, result);
  return result.bad_pages == 0 ? 0 : 1;
}
