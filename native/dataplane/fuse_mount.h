// The mount: type fuseblk on a block device, so that FUSE_BMAP and with it swapon work.
#pragma once

#include <cstddef>

#include "descriptor.h"

namespace swapfs {

struct MountFailure {
  int error = 0;  // errno
  char text[400] = {};
};

class FuseMount {
 public:
  // Opens /dev/fuse and mounts. False: `failure` says what, why and what to do.
  bool Mount(const char* device, const char* mountpoint, int max_read, MountFailure& failure) noexcept;

  int fd() const noexcept { return fd_.get(); }
  // Without the last descriptor the connection ends.
  void Close() noexcept { fd_.Close(); }

 private:
  bool Connected() const noexcept;

  Descriptor fd_;
};

}  // namespace swapfs
