// The directory under /run that belongs to one mount: removed at its end, with the sockets and files directly in it. It is
// named by the device's number, which the next mount of the device may have before we have ended: what is removed is the
// directory that was opened, and its name only while that is still its name.
#pragma once

#include "descriptor.h"

namespace swapfs {

class RunDir {
 public:
  // Locked (flock) for as long as the keeper lives: whoever gets the lock knows that nobody uses the directory.
  explicit RunDir(const char* path) noexcept;
  void Remove() noexcept;

 private:
  const char* path_;
  Descriptor fd_;
};

}  // namespace swapfs
