// How a map is taken away: at once from those who look for it, and for good when the last request that uses it is done.
#include "extent_map_table.h"

namespace swapfs {

namespace {

abi::RevokeMessage Message(abi::MessageType type, std::uint64_t tag, std::uint64_t ino) noexcept {
  return {{static_cast<std::uint32_t>(type), sizeof(abi::RevokeMessage), tag}, ino};
}

}  // namespace

void ExtentMapTable::Revoke(const abi::RevokeMessage& message) noexcept {
  const Guard guard(mutex_);
  const std::uint64_t serial = next_serial_++;
  const Index index = Find(message.ino);
  if (index != kNoSlot) {
    Unlink(index);
    Hide(slots_[index]);
    if (!Busy(slots_[index])) {
      FreeSlot(index);
    } else {
      DropMap(slots_[index]);
      arena_.Free(slots_[index].filling.handle);
      slots_[index].filling = {};
      slots_[index].dying = true;
      slots_[index].serial = serial;
      slots_[index].next = dying_;
      dying_ = index;
    }
    UpdateGauges();
  }
  if (!Dying(message.ino, serial)) {
    link_.Post(Message(abi::MessageType::kRevoked, message.header.tag, message.ino));
    return;
  }
  link_.Post(Message(abi::MessageType::kForgotten, message.header.tag, message.ino));
  // Every waiter is a request in the middle of device I/O, which ends.
  while (revoke_count_ == kRevokesMax) revoke_ended_.Wait(mutex_);
  revokes_[revoke_count_++] = {message.header.tag, message.ino, serial};
}

void ExtentMapTable::Release(MapHold& hold) noexcept {
  if (hold.entry_ != PinnedMaps::kNone) {
    if (!pinned_.Leave(hold.entry_)) return;
    const Guard guard(mutex_);
    const Index index = pinned_.SlotOf(hold.entry_);
    if (index != kNoSlot) Settle(index);
    return;
  }
  const Guard guard(mutex_);
  slots_[hold.slot_].users--;
  Settle(hold.slot_);
}

bool ExtentMapTable::Busy(const Slot& slot) const noexcept {
  return slot.users > 0 || (slot.entry != PinnedMaps::kNone && pinned_.Held(slot.entry));
}

void ExtentMapTable::Show(Index index) noexcept {
  Slot& slot = slots_[index];
  if (!Steady(slot.flags)) return;
  if (slot.entry == PinnedMaps::kNone) slot.entry = pinned_.Claim(slot.ino, index);
  if (slot.entry != PinnedMaps::kNone) pinned_.Open(slot.entry, {slot.size, slot.flags, Entries(slot)});
}

void ExtentMapTable::Hide(const Slot& slot) noexcept {
  if (slot.entry != PinnedMaps::kNone) pinned_.Close(slot.entry);
}

// Extents move: nobody may look at them meanwhile.
void ExtentMapTable::Compact() noexcept {
  for (const Slot& slot : slots_) Hide(slot);
  arena_.Compact();
  for (std::size_t i = 0; i < kMapSlots; i++) {
    if (slots_[i].installed) Show(static_cast<Index>(i));
  }
}

void ExtentMapTable::Settle(Index index) noexcept {
  Slot& slot = slots_[index];
  if (Busy(slot)) return;
  if (slot.dying) {
    UnlinkDying(index);
    FreeSlot(index);
    CompleteRevokes();
  } else if (!slot.installed && !slot.filling.active) {
    Unlink(index);  // its successor could not be installed
    FreeSlot(index);
  }
}

bool ExtentMapTable::Dying(std::uint64_t ino, std::uint64_t up_to_serial) const noexcept {
  for (Index index = dying_; index != kNoSlot; index = slots_[index].next) {
    if (slots_[index].ino == ino && slots_[index].serial <= up_to_serial) return true;
  }
  return false;
}

void ExtentMapTable::UnlinkDying(Index index) noexcept {
  Index* link = &dying_;
  while (*link != index) link = &slots_[*link].next;
  *link = slots_[index].next;
}

void ExtentMapTable::CompleteRevokes() noexcept {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < revoke_count_; i++) {
    const PendingRevoke revoke = revokes_[i];
    if (Dying(revoke.ino, revoke.serial)) {
      revokes_[kept++] = revoke;
    } else {
      link_.Post(Message(abi::MessageType::kRevoked, revoke.tag, revoke.ino));
    }
  }
  if (kept != revoke_count_) revoke_ended_.SignalAll();
  revoke_count_ = kept;
}

}  // namespace swapfs
