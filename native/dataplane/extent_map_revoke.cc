// How a map is taken away: at once from those who look for it, and for good when the last request that uses it is done.
#include "extent_map_table.h"

namespace swapfs {

namespace {

abi::RevokeMessage Revoked(std::uint64_t tag, std::uint64_t ino) noexcept {
  return {{static_cast<std::uint32_t>(abi::MessageType::kRevoked), sizeof(abi::RevokeMessage), tag}, ino};
}

}  // namespace

void ExtentMapTable::Revoke(const abi::RevokeMessage& message) noexcept {
  const Guard guard(mutex_);
  const std::uint64_t serial = next_serial_++;
  const Index index = Find(message.ino);
  if (index != kNoSlot) {
    Unlink(index);
    if (slots_[index].users == 0) {
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
    link_.Post(Revoked(message.header.tag, message.ino));
    return;
  }
  // Every waiter is a request in the middle of device I/O, which ends.
  while (revoke_count_ == kRevokesMax) revoke_ended_.Wait(mutex_);
  revokes_[revoke_count_++] = {message.header.tag, message.ino, serial};
}

void ExtentMapTable::Release(Index index) noexcept {
  const Guard guard(mutex_);
  Slot& slot = slots_[index];
  slot.users--;
  if (slot.users > 0) return;
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
      link_.Post(Revoked(revoke.tag, revoke.ino));
    }
  }
  if (kept != revoke_count_) revoke_ended_.SignalAll();
  revoke_count_ = kept;
}

}  // namespace swapfs
