#include "pinned_maps.h"

#include <sched.h>

namespace swapfs {

PinnedMaps::Index PinnedMaps::Look(std::uint64_t ino) noexcept {
  for (std::size_t i = 0; i < kProbes; i++) {
    const auto index = static_cast<Index>((ino + i) % kEntries);
    Entry& entry = entries_[index];
    if (entry.ino.load(std::memory_order_relaxed) != ino) continue;
    const std::uint32_t gate = entry.gate.fetch_add(kLooks, std::memory_order_acquire);
    // Once more: it may have become another's in between, but not from here on.
    if ((gate & kOpen) != 0 && entry.ino.load(std::memory_order_relaxed) == ino) return index;
    entry.gate.fetch_sub(kLooks, std::memory_order_release);
  }
  return kNone;
}

// One step from looking to holding: a closer that sees nobody look any more sees who holds.
void PinnedMaps::EndLook(Index entry, bool hold) noexcept {
  entries_[entry].gate.fetch_sub(hold ? kLooks - kHolds : kLooks, std::memory_order_release);
}

bool PinnedMaps::Leave(Index entry) noexcept {
  const std::uint32_t gate = entries_[entry].gate.fetch_sub(kHolds, std::memory_order_acq_rel);
  return (gate & kOpen) == 0 && (gate & kHoldsMask) == kHolds;
}

PinnedMaps::Index PinnedMaps::Claim(std::uint64_t ino, Index slot) noexcept {
  for (std::size_t i = 0; i < kProbes; i++) {
    const auto index = static_cast<Index>((ino + i) % kEntries);
    Entry& entry = entries_[index];
    if (entry.slot != kNone) continue;
    entry.slot = slot;
    entry.ino.store(ino, std::memory_order_relaxed);
    return index;
  }
  return kNone;
}

void PinnedMaps::Open(Index entry, const Map& map) noexcept {
  entries_[entry].map = map;
  entries_[entry].gate.fetch_or(kOpen, std::memory_order_release);
}

void PinnedMaps::Close(Index entry) noexcept {
  std::atomic<std::uint32_t>& gate = entries_[entry].gate;
  gate.fetch_and(~kOpen, std::memory_order_acq_rel);
  while ((gate.load(std::memory_order_acquire) & kLooksMask) != 0) ::sched_yield();
}

void PinnedMaps::Release(Index entry) noexcept { entries_[entry].slot = kNone; }

bool PinnedMaps::Held(Index entry) const noexcept {
  return (entries_[entry].gate.load(std::memory_order_acquire) & kHoldsMask) != 0;
}

}  // namespace swapfs
