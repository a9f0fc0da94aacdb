#include "fuse_mount.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "log.h"

namespace swapfs {

namespace {

const char* MountRemedy(int error) noexcept {
  switch (error) {
    case EBUSY:
      return "the device or the mountpoint is in use: see findmnt and lsblk, unmount it first";
    case EPERM:
      return "run as root with CAP_SYS_ADMIN";
    case ENODEV:
      return "this kernel has no fuseblk: modprobe fuse, or a kernel with CONFIG_FUSE_FS and CONFIG_BLOCK";
    case ENOTBLK:
      return "the source must be a block device";
    case ENOENT:
    case ENOTDIR:
      return "the mountpoint must be a directory that exists";
    case EACCES:
    case EROFS:
      return "the device is read-only";
    default:
      return "see dmesg and swapfs doctor";
  }
}

// The kernel reads ahead 128 KiB and FUSE_INIT can only lower that (process_init_reply, fs/fuse/inode.c); a request carries
// up to 1 MiB. Failing costs speed of sequential reads through the page cache, nothing else.
void RaiseReadAhead(const char* device, int kib) noexcept {
  struct stat status {};
  if (::stat(device, &status) != 0) return;
  char path[96];
  std::snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u-fuseblk/read_ahead_kb", major(status.st_rdev),
                minor(status.st_rdev));
  const Descriptor file(::open(path, O_WRONLY | O_CLOEXEC));
  char text[16];
  const int length = std::snprintf(text, sizeof(text), "%d", kib);
  if (!file.valid() || ::write(file.get(), text, static_cast<std::size_t>(length)) != length) {
    Log("cannot set %s: %s, large reads stay at 128 KiB", path, ErrnoName(errno));
  }
}

// "\040" and the like, in place: seq_path escapes blanks, newlines and backslashes (show_mountinfo, fs/proc_namespace.c).
void Unescape(char* text) noexcept {
  char* to = text;
  for (const char* from = text; *from != '\0'; to++) {
    unsigned octal = 0;
    if (*from == '\\' && std::sscanf(from + 1, "%3o", &octal) == 1) {
      *to = static_cast<char>(octal);
      from += 4;
    } else {
      *to = *from++;
    }
  }
  *to = '\0';
}

}  // namespace

int FindMount(const char* device, std::span<char> path) noexcept {
  struct stat status {};
  if (::stat(device, &status) != 0) return -errno;
  std::FILE* table = std::fopen("/proc/self/mountinfo", "re");
  if (table == nullptr) return -errno;
  int found = -EINVAL;  // as umount2 says it
  char* line = nullptr;
  std::size_t capacity = 0;
  while (::getline(&line, &capacity, table) > 0) {
    unsigned device_major = 0;
    unsigned device_minor = 0;
    int from = 0;
    int to = 0;
    if (std::sscanf(line, "%*u %*u %u:%u %*s %n%*s%n", &device_major, &device_minor, &from, &to) != 2) continue;
    const std::size_t length = static_cast<std::size_t>(to - from);
    if (makedev(device_major, device_minor) != status.st_rdev || to <= from || length >= path.size()) continue;
    std::memcpy(path.data(), line + from, length);
    path[length] = '\0';
    Unescape(path.data());
    found = 0;
  }
  std::free(line);
  std::fclose(table);
  return found;
}

bool FuseMount::Mount(const char* device, const char* mountpoint, int flags, int max_read,
                      MountFailure& failure) noexcept {
  fd_ = Descriptor(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!fd_.valid()) {
    failure.error = errno;
    std::snprintf(failure.text, sizeof(failure.text), "cannot open /dev/fuse: %s, modprobe fuse as root",
                  ErrnoName(failure.error));
    return false;
  }
  char data[160];
  std::snprintf(data, sizeof(data),
                "fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other,blksize=4096,max_read=%d",
                fd_.get(), max_read);
  if (::mount(device, mountpoint, "fuseblk", static_cast<unsigned long>(flags), data) == 0) {
    if (Connected()) {
      RaiseReadAhead(device, max_read / 1024);
      return true;
    }
    ::umount2(mountpoint, MNT_DETACH);
    errno = EBUSY;
  }
  failure.error = errno;
  std::snprintf(failure.text, sizeof(failure.text), "cannot mount %.120s on %.120s: %s, %s", device, mountpoint,
                ErrnoName(failure.error), MountRemedy(failure.error));
  return false;
}

// A second mount of a device that is fuseblk already succeeds and is the first one again (get_tree_bdev, fs/super.c).
// Our descriptor then has no connection, which fuse_dev_poll (fs/fuse/dev.c) shows.
bool FuseMount::Connected() const noexcept {
  pollfd fuse{fd_.get(), POLLIN, 0};
  return ::poll(&fuse, 1, 0) >= 0 && (fuse.revents & POLLERR) == 0;
}

}  // namespace swapfs
