#include "commit_ring.h"

#include <atomic>

#include "session_view.h"

namespace swapfs {

static_assert((abi::kRingSlots & (abi::kRingSlots - 1)) == 0, "positions wrap at 2^32");

std::uint32_t CommitRing::Used() const noexcept { return ring_->tail - SessionView::Load(ring_->head); }

bool CommitRing::Promise(std::uint32_t count) noexcept {
  if (Used() + promised_ + count > abi::kRingSlots) return false;
  promised_ += count;
  return true;
}

void CommitRing::Put(const abi::RingEntry& entry) noexcept {
  ring_->entries[(ring_->tail + put_) % abi::kRingSlots] = entry;
  put_++;
}

void CommitRing::Publish() noexcept {
  SessionView::Store(ring_->tail, ring_->tail + put_);
  put_ = 0;
}

bool CommitRing::TakeHalfFull() noexcept {
  if (Used() < abi::kRingSlots / 2) return false;
  const std::uint32_t head = SessionView::Load(ring_->head);
  if (told_ && told_at_ == head) return false;
  told_ = true;
  told_at_ = head;
  return true;
}

}  // namespace swapfs
