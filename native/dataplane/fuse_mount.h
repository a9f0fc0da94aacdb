// The mount: type fuseblk on a block device, so that FUSE_BMAP and with it swapon work.
#pragma once

#include <sys/mount.h>

#include <cstddef>

#include "descriptor.h"

namespace swapfs {

inline constexpr int kMountFlags = MS_NOSUID | MS_NODEV;

struct MountFailure {
  int error = 0;  // errno
  char text[400] = {};
};

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
