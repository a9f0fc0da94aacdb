// Rounds of FUSE_NOTIFY_RESEND: the world is stopped, what waits is forgotten, and the kernel sends again every request
// that was read and not answered. At the start of a data plane, at the start of a control plane, and when requests had to
// be dropped for want of room.
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

  // Advances a round for deferred requests. Call often; true: call again within a millisecond.
  bool Advance() noexcept;

 private:
  static constexpr std::uint64_t kDrainNsMax = 1'000'000'000;
  void OpenWorld(bool resend) noexcept;
  bool Drained() const noexcept;

  Plane& plane_;
  bool started_ = false;
  bool draining_ = false;
  std::uint64_t drain_until_ = 0;
};

}  // namespace swapfs
