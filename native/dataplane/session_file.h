// The session's memfd: made by the keeper, so that counters, handles and touched times outlive both planes.
#pragma once

#include "../abi/session.h"
#include "descriptor.h"
#include "mapped_region.h"
#include "private_session.h"

namespace swapfs {

class SessionFile {
 public:
  // 0 or -errno.
  int Create() noexcept;
  int fd() const noexcept { return fd_.get(); }
  PrivateSession& private_part() const noexcept { return *reinterpret_cast<PrivateSession*>(private_.data()); }
  abi::SessionHeader& header() const noexcept { return *reinterpret_cast<abi::SessionHeader*>(region_.data()); }

 private:
  Descriptor fd_;
  MappedRegion region_;
  MappedRegion private_;
};

}  // namespace swapfs
