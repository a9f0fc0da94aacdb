// Room for the extents of all maps, taken once. Pieces are handed out in ascending order and moved down when the end is
// reached, so that no freed entry is lost for ever. Its user holds a lock over every call and over every use of a span.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "../abi/messages.h"
#include "mapped_region.h"
#include "units.h"

namespace swapfs {

class ExtentArena {
 public:
  using Handle = std::uint16_t;
  static constexpr Handle kNone = 0xffff;

  bool Init() noexcept;

  // kNone: no room in one piece; Compact() or Free() first.
  Handle Allocate(std::uint32_t count) noexcept;
  void Free(Handle handle) noexcept;
  std::span<abi::ExtentEntry> Entries(Handle handle) noexcept;

  // Entries that Compact() would make available in one piece.
  std::uint32_t available() const noexcept { return kExtentsMax - live_; }
  std::uint32_t live() const noexcept { return live_; }
  void Compact() noexcept;

 private:
  struct Piece {
    std::uint32_t offset;
    std::uint32_t count;
  };
  // A map has at most one piece in use and one that is being filled.
  static constexpr std::size_t kPieces = 2 * kMapSlots;
  static constexpr std::size_t kOrderMax = 4 * kPieces;

  MappedRegion region_;
  std::uint32_t top_ = 0;
  std::uint32_t live_ = 0;
  std::array<Piece, kPieces> pieces_{};
  std::array<Handle, kPieces> free_handles_{};
  std::size_t free_count_ = 0;
  // Handles by ascending offset; kNone where the piece was freed.
  std::array<Handle, kOrderMax> order_{};
  std::array<std::uint16_t, kPieces> place_{};  // of a handle in order_
  std::size_t order_count_ = 0;
};

}  // namespace swapfs
