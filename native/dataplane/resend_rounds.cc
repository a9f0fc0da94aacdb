#include "resend_rounds.h"

#include "log.h"

namespace swapfs {

void ResendRounds::Start() noexcept {
  // While the control plane is down its kControlHello is on the way.
  if (!plane_.session.control_up()) return;
  plane_.link.PostHeader(abi::MessageType::kDataHello, plane_.session.generation());
}

void ResendRounds::OnDataReadyGo() noexcept {
  if (started_) return;
  // A map that is not pinned was sent to the data plane before this one; the control plane no longer counts on it.
  plane_.maps.ForgetUnpinned();
  OpenWorld(plane_.session.generation() > 1);
}

void ResendRounds::OnControlHello(std::uint64_t tag) noexcept {
  const bool first = !started_ && plane_.session.generation() == 1;
  plane_.gate.Close();
  plane_.gate.WaitStopped();
  plane_.parked.Discard();
  plane_.maps.ForgetUnpinned();
  plane_.session.SetControlUp();
  plane_.link.PostHeader(abi::MessageType::kDataReady, tag);
  OpenWorld(!first);
}

void ResendRounds::OpenWorld(bool resend) noexcept {
  draining_ = false;
  plane_.deferred.store(false);
  if (resend && plane_.can_resend.load() && !plane_.fuse.Resend()) {
    plane_.can_resend.store(false);
    Log("this kernel has no FUSE_NOTIFY_RESEND (before 6.9): requests in flight at a restart stay unanswered");
  }
  started_ = true;
  plane_.gate.Open();
}

bool ResendRounds::Advance() noexcept {
  if (!started_) return false;
  if (!draining_) {
    if (!plane_.deferred.load()) return false;
    // The gate is closed first, so that what is parked drains: nothing that was begun is thrown away.
    plane_.gate.Close();
    draining_ = true;
    drain_until_ = MonotonicNs() + kDrainNsMax;
  }
  plane_.gate.Kick();
  if (!Drained() && MonotonicNs() < drain_until_) return true;
  plane_.gate.WaitStopped();
  plane_.parked.Discard();
  OpenWorld(true);
  return false;
}

bool ResendRounds::Drained() const noexcept {
  return plane_.gate.Stopped() && plane_.parked.empty() && plane_.link.outbox_empty();
}

}  // namespace swapfs
