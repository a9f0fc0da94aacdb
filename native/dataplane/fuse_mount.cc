#include "fuse_mount.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>

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

}  // namespace

bool FuseMount::Mount(const char* device, const char* mountpoint, int max_read, MountFailure& failure) noexcept {
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
  if (::mount(device, mountpoint, "fuseblk", MS_NOSUID | MS_NODEV, data) == 0) {
    if (Connected()) return true;
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
