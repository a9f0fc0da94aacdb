// The pipe on which whoever started the mount waits for one line of JSON. The control plane writes the good news, the
// keeper the bad.
#pragma once

#include "descriptor.h"

namespace swapfs {

class ReadyPipe {
 public:
  // -1: nobody waits.
  explicit ReadyPipe(int fd) noexcept;

  int fd() const noexcept { return fd_.get(); }
  void ReportError(const char* text) noexcept;
  void Close() noexcept { fd_.Close(); }

 private:
  Descriptor fd_;
};

}  // namespace swapfs
