#include "process_setup.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "descriptor.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif

namespace swapfs {

namespace {

// The text of a small /proc file, NUL-terminated; empty when it cannot be read.
template <std::size_t kBytes>
void ReadText(const char* path, char (&text)[kBytes]) noexcept {
  const Descriptor file(::open(path, O_RDONLY | O_CLOEXEC));
  const ssize_t length = file.valid() ? ::read(file.get(), text, kBytes - 1) : 0;
  text[length > 0 ? length : 0] = '\0';
}

}  // namespace

bool SetIoFlusher() noexcept {
  // All five arguments: the kernel refuses the call when one of the unused is not 0.
  if (::prctl(PR_SET_IO_FLUSHER, 1UL, 0UL, 0UL, 0UL) != 0) return false;
  return ::prctl(PR_GET_IO_FLUSHER, 0UL, 0UL, 0UL, 0UL) == 1;
}

void ClearIoFlusher() noexcept { ::prctl(PR_SET_IO_FLUSHER, 0UL, 0UL, 0UL, 0UL); }

bool LockMemory() noexcept {
#ifdef SWAPFS_SANITIZE
  return false;  // the sanitizers' shadow memory is larger than the machine
#else
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  ::setrlimit(RLIMIT_MEMLOCK, &unlimited);
  return ::mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
#endif
}

bool SetOomScoreAdjust(int value) noexcept {
  char text[16];
  const int length = std::snprintf(text, sizeof(text), "%d", value);
  const Descriptor file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (!file.valid() || ::write(file.get(), text, static_cast<std::size_t>(length)) != length) return false;
  return OomScoreAdjust() == value;
}

int OomScoreAdjust() noexcept {
  char text[32];
  ReadText("/proc/self/oom_score_adj", text);
  return std::atoi(text);
}

std::uint64_t LockedBytes() noexcept {
  char text[4096];
  ReadText("/proc/self/status", text);
  const char* line = std::strstr(text, "VmLck:");
  return line == nullptr ? 0 : std::strtoull(line + 6, nullptr, 10) * 1024;
}

}  // namespace swapfs
