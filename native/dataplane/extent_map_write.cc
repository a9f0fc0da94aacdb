// Writes under a granted map: into pages that the control plane has allocated and nobody has written, and beyond the end
// of the file. The map follows each write, and the commit ring tells the control plane.
#include <algorithm>
#include <array>

#include "extent_map_table.h"
#include "log.h"

namespace swapfs {

namespace {

constexpr std::uint32_t kCountMax = (1u << 30) - 1;

abi::ExtentEntry Part(const abi::ExtentEntry& extent, std::uint64_t from, std::uint64_t to, abi::ExtentState state) noexcept {
  abi::ExtentEntry part{};
  part.device_page = extent.device_page + (from - extent.file_page);
  part.file_page = static_cast<std::uint32_t>(from);
  part.count = static_cast<std::uint32_t>(to - from) & kCountMax;
  part.state = state & 3u;
  return part;
}

std::uint64_t EndOf(const abi::ExtentEntry& extent) noexcept { return std::uint64_t{extent.file_page} + extent.count; }

bool Follows(const abi::ExtentEntry& a, const abi::ExtentEntry& b) noexcept {
  return a.state == b.state && EndOf(a) == b.file_page && a.device_page + a.count == b.device_page &&
         std::uint64_t{a.count} + b.count <= kCountMax;
}

// At most: neighbour, rest before, the part itself, rest behind, neighbour.
class Replacement {
 public:
  void Add(const abi::ExtentEntry& extent) noexcept {
    if (extent.count == 0) return;
    if (count_ > 0 && Follows(entries_[count_ - 1], extent)) {
      entries_[count_ - 1].count = (entries_[count_ - 1].count + extent.count) & kCountMax;
    } else {
      entries_[count_++] = extent;
    }
  }
  std::span<const abi::ExtentEntry> entries() const noexcept { return {entries_.data(), count_}; }

 private:
  std::array<abi::ExtentEntry, 5> entries_{};
  std::size_t count_ = 0;
};

}  // namespace

bool ExtentMapTable::BeginWrite(std::uint64_t ino, std::uint64_t offset, std::uint32_t length, RunList& runs,
                                MapHold& hold) noexcept {
  const Guard guard(mutex_);
  const std::uint64_t first = FirstPage(offset);
  const std::uint32_t count = PageCount(offset, length);
  std::size_t claim = FreeClaim(ino, first, count);
  // Whoever is waited for is in the middle of device I/O, which ends.
  for (; claim == kClaims; claim = FreeClaim(ino, first, count)) claim_ended_.Wait(mutex_);
  const Index index = Find(ino);
  if (index == kNoSlot || !MayWrite(slots_[index], offset)) return false;
  Slot& slot = slots_[index];
  CollectRuns(Entries(slot), first, count, runs);
  std::uint32_t unwritten = 0;
  for (const Run& run : runs.runs()) {
    if (run.state != PageState::kWritten && run.state != PageState::kUnwritten) return false;
    if (run.state == PageState::kUnwritten) unwritten++;
  }
  const std::uint32_t growth = 2 * unwritten;  // entries: what is left before and behind each run
  if (arena_.Entries(slot.handle).size() - slot.count < slot.promised + growth) return false;
  if (!ring_.Promise(unwritten + 1)) return false;
  slot.promised += growth;
  slot.users++;
  claims_[claim] = {ino, first, count, unwritten, true};
  hold.table_ = this;
  hold.slot_ = index;
  hold.entry_ = PinnedMaps::kNone;
  hold.claim_ = static_cast<std::uint16_t>(claim);
  hold.size = slot.size;
  hold.flags = slot.flags;
  return true;
}

// Bytes between the end of the file and the write are zeros when they lie in pages that nobody has written. Those of the
// last page may be left over from a write that failed or that a crash undid: the control plane sees to them.
bool ExtentMapTable::MayWrite(const Slot& slot, std::uint64_t offset) const noexcept {
  constexpr std::uint32_t needed = abi::kMapGranted | abi::kMapPlain;
  if (!slot.installed || slot.failed || (slot.flags & needed) != needed) return false;
  return offset <= slot.size || slot.size % kPageBytes == 0;
}

void ExtentMapTable::EndWrite(MapHold& hold, const RunList& runs, std::uint64_t end, int error) noexcept {
  const Guard guard(mutex_);
  Slot& slot = slots_[hold.slot_];
  WriteClaim& claim = claims_[hold.claim_];
  ring_.Withdraw(claim.unwritten + 1);
  slot.promised -= 2 * claim.unwritten;
  if (error == 0) {
    Note(claim, runs, end);
    // A map that is being revoked is used by nobody any more; the control plane looks into the ring after kRevoked.
    if (slot.installed) Follow(slot, claim.first, runs, end);
  } else {
    slot.failed = true;  // bytes may have reached the last page: see MayWrite
  }
  claim.used = false;
  claim_ended_.SignalAll();
}

void ExtentMapTable::Note(const WriteClaim& claim, const RunList& runs, std::uint64_t end) noexcept {
  const std::uint64_t now = RealtimeNs();
  std::uint64_t page = claim.first;
  for (const Run& run : runs.runs()) {
    if (run.state == PageState::kUnwritten) {
      ring_.Put({claim.ino, run.device_page, end, now, static_cast<std::uint32_t>(page), run.pages});
    }
    page += run.pages;
  }
  if (claim.unwritten == 0) ring_.Put({claim.ino, 0, end, now, 0, 0});
  ring_.Publish();
  if (ring_.TakeHalfFull()) link_.PostHeader(abi::MessageType::kRingHalf, 0);
}

void ExtentMapTable::Follow(Slot& slot, std::uint64_t first, const RunList& runs, std::uint64_t end) noexcept {
  std::uint64_t page = first;
  for (const Run& run : runs.runs()) {
    if (run.state == PageState::kUnwritten) MarkWritten(slot, page, page + run.pages);
    page += run.pages;
  }
  slot.size = std::max(slot.size, end);
}

// Pages [from, to) lie in one or more unwritten extents.
void ExtentMapTable::MarkWritten(Slot& slot, std::uint64_t from, std::uint64_t to) noexcept {
  for (std::uint64_t page = from; page < to;) {
    const std::span<abi::ExtentEntry> entries = Entries(slot);
    const std::size_t at = FirstExtentAfter(entries, page);
    const abi::ExtentEntry extent = entries[at];
    const std::uint64_t stop = std::min(EndOf(extent), to);
    const std::size_t before = at > 0 ? 1 : 0;
    const std::size_t behind = at + 1 < entries.size() ? 1 : 0;
    Replacement made;
    if (before != 0) made.Add(entries[at - 1]);
    made.Add(Part(extent, extent.file_page, page, abi::kUnwritten));
    made.Add(Part(extent, page, stop, abi::kWritten));
    made.Add(Part(extent, stop, EndOf(extent), abi::kUnwritten));
    if (behind != 0) made.Add(entries[at + 1]);
    Splice(slot, at - before, before + 1 + behind, made.entries());
    page = stop;
  }
}

void ExtentMapTable::Splice(Slot& slot, std::size_t at, std::size_t count, std::span<const abi::ExtentEntry> made) noexcept {
  const std::span<abi::ExtentEntry> room = arena_.Entries(slot.handle);
  const auto place = room.begin() + static_cast<std::ptrdiff_t>(at);
  const auto rest = place + static_cast<std::ptrdiff_t>(count);
  const auto end = room.begin() + slot.count;
  if (made.size() > count) {
    std::move_backward(rest, end, end + static_cast<std::ptrdiff_t>(made.size() - count));
  } else if (made.size() < count) {
    std::move(rest, end, place + static_cast<std::ptrdiff_t>(made.size()));
  }
  std::ranges::copy(made, place);
  slot.count = static_cast<std::uint32_t>(slot.count + made.size() - count);
}

// A claim for pages that no other write is about to write for the first time; kClaims: not now.
std::size_t ExtentMapTable::FreeClaim(std::uint64_t ino, std::uint64_t first, std::uint32_t count) const noexcept {
  std::size_t free = kClaims;
  for (std::size_t i = 0; i < kClaims; i++) {
    const WriteClaim& claim = claims_[i];
    if (!claim.used) {
      free = i;
    } else if (claim.ino == ino && claim.first < first + count && first < claim.first + claim.count) {
      return kClaims;
    }
  }
  return free;
}

}  // namespace swapfs
