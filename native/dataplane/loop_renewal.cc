#include "loop_renewal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "../addon/syscalls.h"
#include "descriptor.h"
#include "log.h"

namespace swapfs {

namespace {

constexpr int kTries = 50;
constexpr unsigned kPauseMicros = 20'000;

// Attached without LO_FLAGS_AUTOCLEAR: by hand, and it stays attached.
bool AttachedByHand(int index) noexcept {
  char path[64];
  std::snprintf(path, sizeof(path), "/sys/block/loop%d/loop/autoclear", index);
  const Descriptor file(::open(path, O_RDONLY | O_CLOEXEC));
  char flag = '1';
  return file.valid() && ::read(file.get(), &flag, 1) == 1 && flag == '0';
}

}  // namespace

void RenewLoop(const char* device) noexcept {
  int index = -1;
  char rest = 0;
  if (std::sscanf(device, "/dev/loop%d%c", &index, &rest) != 1 || AttachedByHand(index)) return;
  const char* call = "";
  int error = -EBUSY;
  for (int i = 0; i < kTries && error == -EBUSY; i++) {
    error = sys::LoopReset(index, &call);
    if (error == -EBUSY) ::usleep(kPauseMicros);
  }
  if (error != 0 && error != -EBUSY) Log("cannot renew %s: %s says %s", device, call, ErrnoName(-error));
}

}  // namespace swapfs
