#include "notifier.h"

#include <cstring>

#include "log.h"

namespace swapfs {

void Notifier::Put(std::span<const std::byte> notification) noexcept {
  const Guard guard(mutex_);
  if (count_ == kSlots || notification.size() > kBytesMax) {
    Log("a notification to the kernel is lost: %zu wait", count_);
    return;
  }
  Slot& slot = slots_[(head_ + count_) % kSlots];
  slot.length = notification.size();
  std::memcpy(slot.bytes, notification.data(), notification.size());
  count_++;
  filled_.SignalOne();
}

void Notifier::Run() noexcept {
  for (;;) {
    Slot slot;
    {
      const Guard guard(mutex_);
      while (count_ == 0) filled_.Wait(mutex_);
      slot = slots_[head_];
      head_ = (head_ + 1) % kSlots;
      count_--;
    }
    fuse_.WriteRaw({slot.bytes, slot.length});
  }
}

}  // namespace swapfs
