// Device mapper's ioctls, and the random key of an encrypted device, which goes from here into the kernel's keyring and nowhere else.

#include "syscalls.h"

#include <linux/dm-ioctl.h>
#include <linux/keyctl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace swapfs::sys {

namespace {

constexpr std::size_t kPage = 4096;

int Filled(void* bytes, std::size_t length) noexcept {
  for (std::size_t at = 0; at < length;) {
    const ssize_t got = getrandom(static_cast<std::byte*>(bytes) + at, length - at, 0);
    if (got < 0 && errno != EINTR) return -errno;
    if (got > 0) at += static_cast<std::size_t>(got);
  }
  return 0;
}

}  // namespace

int MapperIoctl(int control, std::uint8_t command, Bytes request) noexcept {
  static_assert(sizeof(dm_ioctl) == 312 && sizeof(dm_target_spec) == 40);
  if (request.size() < sizeof(dm_ioctl)) return -EINVAL;
  return ioctl(control, _IOWR(DM_IOCTL, command, dm_ioctl), request.data()) < 0 ? -errno : 0;
}

std::int64_t AddRandomKey(const char* description, std::size_t byte_length, const char** syscall) noexcept {
  *syscall = "mmap";
  if (byte_length == 0 || byte_length > kPage) return -EINVAL;
  void* key = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (key == MAP_FAILED) return -errno;
  std::int64_t serial = 0;
  *syscall = "mlock";
  if (mlock(key, kPage) < 0) serial = -errno;
  madvise(key, kPage, MADV_DONTDUMP);
  *syscall = serial < 0 ? *syscall : "getrandom";
  if (serial == 0) serial = Filled(key, byte_length);
  if (serial == 0) {
    *syscall = "add_key";
    serial = ::syscall(SYS_add_key, "logon", description, key, byte_length, KEY_SPEC_THREAD_KEYRING);
    if (serial < 0) serial = -errno;
  }
  explicit_bzero(key, kPage);
  munmap(key, kPage);  // and with it the lock
  return serial;
}

int UnlinkKey(std::int64_t serial) noexcept {
  return ::syscall(SYS_keyctl, KEYCTL_UNLINK, serial, KEY_SPEC_THREAD_KEYRING) < 0 ? -errno : 0;
}

}  // namespace swapfs::sys
