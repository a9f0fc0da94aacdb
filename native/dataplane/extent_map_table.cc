#include "extent_map_table.h"

#include <algorithm>
#include <cerrno>

#include "log.h"

namespace swapfs {

namespace {

void CollectClipped(std::span<const abi::ExtentEntry> extents, std::uint64_t size, std::uint64_t offset, std::uint32_t length,
                    RunList& runs) noexcept {
  const std::uint64_t clipped = offset >= size ? 0 : std::min<std::uint64_t>(length, size - offset);
  CollectRuns(extents, FirstPage(offset), PageCount(offset, clipped), runs);
}

// On the device; 0 for a hole.
std::uint64_t PlaceOf(std::span<const abi::ExtentEntry> extents, std::uint64_t file_page) noexcept {
  const std::size_t at = FirstExtentAfter(extents, file_page);
  const bool hole = at == extents.size() || extents[at].file_page > file_page;
  return hole ? 0 : extents[at].device_page + (file_page - extents[at].file_page);
}

}  // namespace

void MapHold::Release() noexcept {
  if (table_ != nullptr) table_->Release(*this);
  table_ = nullptr;
}

void MapHold::GiveTo(MapHold& other) noexcept {
  other.table_ = table_;
  other.slot_ = slot_;
  other.entry_ = entry_;
  other.size = size;
  other.flags = flags;
  table_ = nullptr;
}

bool ExtentMapTable::Init() noexcept {
  buckets_.fill(kNoSlot);
  for (std::size_t i = kMapSlots; i-- > 0;) {
    slots_[i].next = free_;
    free_ = static_cast<Index>(i);
  }
  SessionView::Store(session_.counters().maps, std::uint64_t{0});
  SessionView::Store(session_.counters().extents, std::uint64_t{0});
  ring_.Init(session_.ring());
  return arena_.Init();
}

bool ExtentMapTable::Acquire(std::uint64_t ino, std::uint64_t offset, std::uint32_t length, RunList& runs,
                             MapHold& hold) noexcept {
  if (AcquirePinned(ino, offset, length, runs, hold)) return true;
  const Guard guard(mutex_);
  const Index index = Find(ino);
  if (index == kNoSlot || !slots_[index].installed) return false;
  Slot& slot = slots_[index];
  CollectClipped(Entries(slot), slot.size, offset, length, runs);
  slot.users++;
  hold.table_ = this;
  hold.slot_ = index;
  hold.entry_ = PinnedMaps::kNone;
  hold.size = slot.size;
  hold.flags = slot.flags;
  return true;
}

bool ExtentMapTable::AcquirePinned(std::uint64_t ino, std::uint64_t offset, std::uint32_t length, RunList& runs,
                                   MapHold& hold) noexcept {
  const PinnedMaps::Index entry = pinned_.Look(ino);
  if (entry == PinnedMaps::kNone) return false;
  const PinnedMaps::Map& map = pinned_.map(entry);
  CollectClipped(map.extents, map.size, offset, length, runs);
  hold.table_ = this;
  hold.entry_ = entry;
  hold.size = map.size;
  hold.flags = map.flags;
  pinned_.EndLook(entry, true);
  return true;
}

bool ExtentMapTable::PinnedPage(std::uint64_t ino, std::uint64_t file_page, std::uint64_t& device_page) noexcept {
  if (const PinnedMaps::Index entry = pinned_.Look(ino); entry != PinnedMaps::kNone) {
    const PinnedMaps::Map& map = pinned_.map(entry);
    const bool pinned = (map.flags & abi::kMapPinned) != 0;
    if (pinned) device_page = PlaceOf(map.extents, file_page);
    pinned_.EndLook(entry, false);
    return pinned;
  }
  const Guard guard(mutex_);
  const Index index = Find(ino);
  if (index == kNoSlot || !slots_[index].installed || (slots_[index].flags & abi::kMapPinned) == 0) return false;
  device_page = PlaceOf(Entries(slots_[index]), file_page);
  return true;
}

void ExtentMapTable::Install(const abi::InstallMessage& message, std::span<const abi::ExtentEntry> extents) noexcept {
  std::int32_t error = 0;
  {
    const Guard guard(mutex_);
    Index index = Find(message.ino);
    if (index == kNoSlot) index = Claim(message.ino);
    if (index == kNoSlot) {
      error = -ENOMEM;
    } else {
      Slot& slot = slots_[index];
      if ((message.flags & abi::kMapFirst) != 0) Begin(slot, message);
      Append(slot, extents);
      if ((message.flags & abi::kMapLast) == 0) return;
      Publish(slot, message);
      error = slot.filling.error;
      slot.filling = {};
      Settle(index);
    }
    UpdateGauges();
  }
  if ((message.flags & abi::kMapLast) != 0) {
    link_.Post(abi::ResultMessage{{static_cast<std::uint32_t>(abi::MessageType::kInstalled), sizeof(abi::ResultMessage),
                                   message.header.tag}, error, 0});
  }
}

void ExtentMapTable::Begin(Slot& slot, const abi::InstallMessage& message) noexcept {
  arena_.Free(slot.filling.handle);
  slot.filling = {};
  slot.filling.active = true;
  // A pinned map serves until its successor is whole: BMAP and swap must not fall back to the control plane in between.
  if ((slot.flags & abi::kMapPinned) == 0) DropMap(slot);
  const std::uint64_t count = std::uint64_t{message.total} + ((message.flags & abi::kMapGranted) != 0 ? message.room : 0);
  if (count == 0) return;
  slot.filling.total = message.total;
  slot.filling.handle = Reserve(count);
  if (slot.filling.handle == ExtentArena::kNone) slot.filling.error = -ENOMEM;
}

void ExtentMapTable::Append(Slot& slot, std::span<const abi::ExtentEntry> extents) noexcept {
  Filling& filling = slot.filling;
  if (!filling.active) filling.error = -EPROTO;
  if (filling.error != 0) return;
  const std::span<abi::ExtentEntry> room = arena_.Entries(filling.handle);
  if (extents.size() > filling.total - filling.filled) {
    filling.error = -EPROTO;
    return;
  }
  std::ranges::copy(extents, room.begin() + filling.filled);
  filling.filled += static_cast<std::uint32_t>(extents.size());
}

void ExtentMapTable::Publish(Slot& slot, const abi::InstallMessage& message) noexcept {
  Filling& filling = slot.filling;
  const std::span<const abi::ExtentEntry> extents = arena_.Entries(filling.handle).first(filling.filled);
  if (filling.error == 0 && (filling.filled != filling.total || !WellFormed(extents))) filling.error = -EPROTO;
  if (filling.error != 0) {
    Log("cannot install the map of inode %lu: %s", message.ino, ErrnoName(-filling.error));
    arena_.Free(filling.handle);
    return;
  }
  DropMap(slot);
  slot.handle = filling.handle;
  slot.count = filling.filled;
  slot.size = message.size;
  slot.flags = message.flags & ~(abi::kMapFirst | abi::kMapLast);
  slot.serial = next_serial_++;
  slot.installed = true;
  installed_++;
  Show(static_cast<Index>(&slot - slots_.data()));
}

ExtentArena::Handle ExtentMapTable::Reserve(std::uint64_t entries) noexcept {
  if (entries > kExtentsMax) return ExtentArena::kNone;
  const auto count = static_cast<std::uint32_t>(entries);
  ExtentArena::Handle handle = arena_.Allocate(count);
  if (handle != ExtentArena::kNone) return handle;
  // An eighth more than asked for, so that the next installs need no compaction.
  const std::uint32_t wanted = std::min(kExtentsMax, count + kExtentsMax / 8);
  while (arena_.available() < wanted && EvictOldest()) {
  }
  Compact();
  return arena_.Allocate(count);
}

bool ExtentMapTable::EvictOldest() noexcept {
  Index oldest = kNoSlot;
  for (std::size_t i = 0; i < kMapSlots; i++) {
    const Slot& slot = slots_[i];
    if (!slot.installed || Busy(slot) || Steady(slot.flags) || slot.filling.active) continue;
    if (oldest == kNoSlot || slot.serial < slots_[oldest].serial) oldest = static_cast<Index>(i);
  }
  if (oldest == kNoSlot) return false;
  Unlink(oldest);
  FreeSlot(oldest);
  SessionView::Add(session_.counters().evicted);
  return true;
}

void ExtentMapTable::ForgetUnpinned() noexcept {
  const Guard guard(mutex_);
  for (std::size_t i = 0; i < kMapSlots; i++) {
    Slot& slot = slots_[i];
    arena_.Free(slot.filling.handle);
    const bool half_made = slot.filling.active && !slot.installed;
    slot.filling = {};
    if (half_made || (slot.installed && (slot.flags & abi::kMapPinned) == 0)) {
      Unlink(static_cast<Index>(i));
      FreeSlot(static_cast<Index>(i));
    }
  }
  UpdateGauges();
}

void ExtentMapTable::DropMap(Slot& slot) noexcept {
  if (!slot.installed) return;
  Hide(slot);
  arena_.Free(slot.handle);
  slot.handle = ExtentArena::kNone;
  slot.count = 0;
  slot.flags = 0;
  slot.installed = false;
  installed_--;
}

ExtentMapTable::Index ExtentMapTable::Find(std::uint64_t ino) const noexcept {
  Index index = buckets_[ino % kBuckets];
  while (index != kNoSlot && slots_[index].ino != ino) index = slots_[index].next;
  return index;
}

ExtentMapTable::Index ExtentMapTable::Claim(std::uint64_t ino) noexcept {
  if (free_ == kNoSlot && !EvictOldest()) return kNoSlot;
  const Index index = free_;
  free_ = slots_[index].next;
  slots_[index] = {};
  slots_[index].ino = ino;
  slots_[index].next = buckets_[ino % kBuckets];
  buckets_[ino % kBuckets] = index;
  return index;
}

void ExtentMapTable::Unlink(Index index) noexcept {
  Index* link = &buckets_[slots_[index].ino % kBuckets];
  while (*link != index) link = &slots_[*link].next;
  *link = slots_[index].next;
}

void ExtentMapTable::FreeSlot(Index index) noexcept {
  DropMap(slots_[index]);
  arena_.Free(slots_[index].filling.handle);
  if (slots_[index].entry != PinnedMaps::kNone) pinned_.Release(slots_[index].entry);
  slots_[index] = {};
  slots_[index].next = free_;
  free_ = index;
}

void ExtentMapTable::UpdateGauges() noexcept {
  SessionView::Store(session_.counters().maps, installed_);
  SessionView::Store(session_.counters().extents, std::uint64_t{arena_.live()});
}

}  // namespace swapfs
