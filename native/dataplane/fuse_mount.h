// The mount: type fuseblk on a block device, so that FUSE_BMAP and with it swapon work.
#pragma once

#include <sys/mount.h>

#include <cstddef>
#include <span>

#include "descriptor.h"

namespace swapfs {

inline constexpr int kMountFlags = MS_NOSUID | MS_NODEV;

struct MountFailure {
  int error = 0;  // errno
  char text[400] = {};
};

// Where a mount of the block device is now, in this mount namespace: it may have been moved, and something else be mounted
// where it was. From the mount table, which touches no mount. 0 or -errno.
int FindMount(const char* device, std::span<char> path) noexcept;

class FuseMount {
 public:
  // Opens /dev/fuse and mounts; `flags`: MS_ of mount(2), max_read in bytes. False: `failure` says what, why and what to do.
  bool Mount(const char* device, const char* mountpoint, int flags, int max_read, MountFailure& failure) noexcept;

  int fd() const noexcept { return fd_.get(); }
  // Without the last descriptor the connection ends.
  void Close() noexcept { fd_.Close(); }

 private:
  bool Connected() const noexcept;

  Descriptor fd_;
};

}  // namespace swapfs
