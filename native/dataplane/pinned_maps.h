// The maps of pinned and activated files once more, to be looked up without a lock: what is in them does not change while
// requests come for them. An entry has a gate, one word: whether it is open, how many threads look into the entry right
// now, and how many requests hold the map until their I/O is over. Whoever comes in adds itself first and looks then
// whether the gate was open; so whoever changes the map, under the table's lock, closes the gate and waits for those who
// look, which takes as long as they need to copy the runs of a request, and knows from then on who still holds it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "../abi/messages.h"

namespace swapfs {

class PinnedMaps {
 public:
  using Index = std::uint16_t;
  static constexpr Index kNone = 0xffff;

  struct Map {
    std::uint64_t size = 0;
    std::uint32_t flags = 0;
    std::span<const abi::ExtentEntry> extents;
  };

  // Without a lock, of any thread. kNone: not here, ask under the lock. Else map() may be read until EndLook.
  Index Look(std::uint64_t ino) noexcept;
  const Map& map(Index entry) const noexcept { return entries_[entry].map; }
  // True: the request keeps the map until Leave.
  void EndLook(Index entry, bool hold) noexcept;
  // True: the gate is closed and nobody holds the map any more.
  bool Leave(Index entry) noexcept;

  // Under the table's lock. kNone: no room; the map is then looked up under the lock alone.
  Index Claim(std::uint64_t ino, Index slot) noexcept;
  void Open(Index entry, const Map& map) noexcept;
  // Nobody looks into the map when this returns, nor before Open.
  void Close(Index entry) noexcept;
  void Release(Index entry) noexcept;  // nobody holds it
  bool Held(Index entry) const noexcept;
  // The slot that has it; kNone: released.
  Index SlotOf(Index entry) const noexcept { return entries_[entry].slot; }

 private:
  static constexpr std::size_t kEntries = 128;
  static constexpr std::size_t kProbes = 4;  // from the entry of its number on
  static constexpr std::uint32_t kOpen = 1u << 31;
  static constexpr std::uint32_t kLooks = 1u << 16;  // one of those who look
  static constexpr std::uint32_t kHolds = 1;
  static constexpr std::uint32_t kLooksMask = kOpen - kLooks;
  static constexpr std::uint32_t kHoldsMask = kLooks - kHolds;

  struct alignas(64) Entry {
    std::atomic<std::uint32_t> gate{0};
    Index slot = kNone;
    std::atomic<std::uint64_t> ino{0};  // changes only while the gate is closed
    Map map;
  };
  static_assert(sizeof(Entry) == 64);

  std::array<Entry, kEntries> entries_{};
};

}  // namespace swapfs
