// What a request needs to know of a file's extents: its own pages as runs that are contiguous on the device.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "../abi/messages.h"
#include "units.h"

namespace swapfs {

enum class PageState : std::uint8_t { kWritten, kUnwritten, kShared, kHole };

struct Run {
  std::uint64_t device_page;  // 0 for a hole
  std::uint32_t pages;
  PageState state;
};

class RunList {
 public:
  void Clear() noexcept { count_ = 0; }
  // Contiguous neighbours of one state become one run. Room is for a run to each page of the longest request.
  void Append(const Run& run) noexcept;
  std::span<const Run> runs() const noexcept { return {runs_.data(), count_}; }
  bool AllWritten() const noexcept;
  // State and place of page `index` of the request.
  Run PageAt(std::uint32_t index) const noexcept;

 private:
  std::array<Run, kRequestPagesMax> runs_{};
  std::uint32_t count_ = 0;
};

// Index of the first extent that ends after `page`; `extents` are sorted by file page and do not overlap.
std::size_t FirstExtentAfter(std::span<const abi::ExtentEntry> extents, std::uint64_t page) noexcept;

// Describes pages [first, first + count), count <= kRequestPagesMax; what no extent covers is a hole.
void CollectRuns(std::span<const abi::ExtentEntry> extents, std::uint64_t first, std::uint32_t count,
                 RunList& runs) noexcept;

// Sorted, without overlap, no empty entry, no block 0 (the superblock; 0 means hole to bmap).
bool WellFormed(std::span<const abi::ExtentEntry> extents) noexcept;

}  // namespace swapfs
