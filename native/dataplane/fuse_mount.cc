#include "fuse_mount.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

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

}  // namespace

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
