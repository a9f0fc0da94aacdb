#include "extent_arena.h"

#include <cstring>

namespace swapfs {

bool ExtentArena::Init() noexcept {
  region_ = MappedRegion::Anonymous(std::size_t{kExtentsMax} * sizeof(abi::ExtentEntry));
  for (std::size_t i = 0; i < kPieces; i++) free_handles_[i] = static_cast<Handle>(i);
  free_count_ = kPieces;
  return region_.valid();
}

ExtentArena::Handle ExtentArena::Allocate(std::uint32_t count) noexcept {
  if (free_count_ == 0 || order_count_ == kOrderMax || count > kExtentsMax - top_) return kNone;
  const Handle handle = free_handles_[--free_count_];
  pieces_[handle] = {top_, count};
  top_ += count;
  live_ += count;
  place_[handle] = static_cast<std::uint16_t>(order_count_);
  order_[order_count_++] = handle;
  return handle;
}

void ExtentArena::Free(Handle handle) noexcept {
  if (handle == kNone) return;
  live_ -= pieces_[handle].count;
  order_[place_[handle]] = kNone;
  free_handles_[free_count_++] = handle;
  while (order_count_ > 0 && order_[order_count_ - 1] == kNone) order_count_--;
  top_ = 0;
  if (order_count_ > 0) {
    const Piece& last = pieces_[order_[order_count_ - 1]];
    top_ = last.offset + last.count;
  }
}

std::span<abi::ExtentEntry> ExtentArena::Entries(Handle handle) noexcept {
  if (handle == kNone) return {};
  auto* entries = reinterpret_cast<abi::ExtentEntry*>(region_.data());
  return {entries + pieces_[handle].offset, pieces_[handle].count};
}

void ExtentArena::Compact() noexcept {
  auto* entries = reinterpret_cast<abi::ExtentEntry*>(region_.data());
  std::size_t kept = 0;
  top_ = 0;
  for (std::size_t i = 0; i < order_count_; i++) {
    const Handle handle = order_[i];
    if (handle == kNone) continue;
    Piece& piece = pieces_[handle];
    if (piece.offset != top_) {
      std::memmove(entries + top_, entries + piece.offset, piece.count * sizeof(abi::ExtentEntry));
      piece.offset = top_;
    }
    top_ += piece.count;
    place_[handle] = static_cast<std::uint16_t>(kept);
    order_[kept++] = handle;
  }
  order_count_ = kept;
}

}  // namespace swapfs
