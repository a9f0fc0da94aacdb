// The io_uring of a data plane, made and held by the keeper. SIGKILL takes a process away at once, and what it handed to the
// ring goes on in the device: a write may take place long after waitpid(2) (seen with a loop device over a frozen host). The
// next data plane is told of the same request by the kernel, and whatever follows must not be overtaken by that write. So the
// ring outlives its user here, and says when the last transfer is over. What a thread waits for itself needs none of this:
// the process does not end before.
#pragma once

#include <liburing.h>

namespace swapfs {

class SharedRing {
 public:
  SharedRing() = default;
  ~SharedRing() { Close(); }
  SharedRing(const SharedRing&) = delete;
  SharedRing& operator=(const SharedRing&) = delete;

  // Makes a new one with no transfer in it, and closes the one before. `params` is what its user maps it with. 0 or -errno.
  int Make(unsigned entries, io_uring_params& params) noexcept;
  void Close() noexcept;
  // -1: there is none. It is closed on exec.
  int fd() const noexcept { return made_ ? ring_.ring_fd : -1; }

  // Transfers that were handed to the kernel and are not over. To be asked when its user is no more.
  unsigned UnderWay() const noexcept;

 private:
  io_uring ring_{};
  bool made_ = false;
};

}  // namespace swapfs
