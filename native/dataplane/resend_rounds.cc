#include "resend_rounds.h"

#include "log.h"

namespace swapfs {

namespace {

constexpr std::uint64_t kPatienceNs = 100'000'000;

}  // namespace

void ResendRounds::Start() noexcept {
  // While the control plane is down its kControlHello is on the way.
  if (!plane_.session.control_up()) return;
  plane_.link.PostHeader(abi::MessageType::kDataHello, plane_.session.generation());
}

void ResendRounds::OnDataReadyGo() noexcept {
  if (started_) return;
  // A map that is not pinned was sent to the data plane before this one; the control plane no longer counts on it.
  plane_.maps.ForgetUnpinned();
  OpenWorld();
}

void ResendRounds::OnControlHello(std::uint64_t tag) noexcept {
  plane_.gate.Close();
  plane_.gate.WaitStopped();
  plane_.ring.WaitIdle();
  plane_.parked.Discard();
  plane_.copier.Discard();
  plane_.in_flight.Clear();
  plane_.session.ForgetRequests();
  plane_.maps.ForgetUnpinned();
  plane_.session.SetControlUp();
  plane_.link.PostHeader(abi::MessageType::kDataReady, tag);
  OpenWorld();
}

// At the very first start nothing is in flight, and the kernel's answer says what it can.
void ResendRounds::OpenWorld() noexcept {
  plane_.deferred.store(false);
  deferred_since_ns_ = 0;
  plane_.can_resend.store(plane_.in_flight.Resend());
  if (!plane_.can_resend.load() && !started_) {
    Log("this kernel has no FUSE_NOTIFY_RESEND (before 6.9): requests in flight at a restart stay unanswered");
  }
  started_ = true;
  plane_.gate.Open();
}

int ResendRounds::Advance() noexcept {
  if (!started_ || !plane_.deferred.load()) return -1;
  const std::uint64_t now = MonotonicNs();
  if (deferred_since_ns_ == 0) deferred_since_ns_ = now;
  const bool patient = now - deferred_since_ns_ < kPatienceNs;
  // Each round brings all again: it is worth it for many, and after a while for some.
  if (!(patient ? RoomForMost() : RoomForSome())) return patient ? 1 : 10;
  plane_.gate.Close();
  plane_.gate.WaitStopped();
  plane_.ring.WaitIdle();
  OpenWorld();
  return -1;
}

bool ResendRounds::RoomForMost() noexcept {
  return plane_.parked.free_count() >= kParkedSlots / 2 && plane_.large.available() >= kSpareBuffers / 2 &&
         plane_.small.available() >= kSmallBuffers / 2 && plane_.link.HasRoom();
}

bool ResendRounds::RoomForSome() noexcept {
  return plane_.parked.free_count() > 0 && plane_.large.available() > 0 && plane_.link.HasRoom();
}

}  // namespace swapfs
