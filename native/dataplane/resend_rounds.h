// Rounds of FUSE_NOTIFY_RESEND: the world is stopped, and the kernel sends again every request that was read and not
// answered. At the start of a data plane, at the start of a control plane (then all that waits for the old one is
// forgotten first), and when requests had to be dropped for want of room (then what waits goes on waiting).
#pragma once

#include <cstdint>

#include "plane.h"

namespace swapfs {

class ResendRounds {
 public:
  explicit ResendRounds(Plane& plane) noexcept : plane_(plane) {}

  // Says hello when a control plane is there; the world is still stopped.
  void Start() noexcept;
  bool started() const noexcept { return started_; }

  // kDataReadyGo: the pinned maps are there.
  void OnDataReadyGo() noexcept;
  // kControlHello. Everything of the old control plane is dropped before kDataReady is sent. The message is taken from
  // the socket only afterwards: a data plane killed in here leaves it to the next one.
  void OnControlHello(std::uint64_t tag) noexcept;

  // Holds a round for deferred requests when there is room for them. How many milliseconds the next call may wait; -1:
  // until something happens.
  int Advance() noexcept;

 private:
  void OpenWorld() noexcept;
  bool RoomForMost() noexcept;
  bool RoomForSome() noexcept;

  Plane& plane_;
  bool started_ = false;
  std::uint64_t deferred_since_ns_ = 0;  // 0: nothing is deferred
};

}  // namespace swapfs
