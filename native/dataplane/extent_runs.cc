#include "extent_runs.h"

#include <algorithm>

namespace swapfs {

void RunList::Append(const Run& run) noexcept {
  if (run.pages == 0) return;
  if (count_ > 0) {
    Run& last = runs_[count_ - 1];
    const bool hole = run.state == PageState::kHole;
    if (last.state == run.state && (hole || last.device_page + last.pages == run.device_page)) {
      last.pages += run.pages;
      return;
    }
  }
  if (count_ < runs_.size()) runs_[count_++] = run;
}

bool RunList::AllWritten() const noexcept {
  return std::ranges::all_of(runs(), [](const Run& run) { return run.state == PageState::kWritten; });
}

Run RunList::PageAt(std::uint32_t index) const noexcept {
  for (const Run& run : runs()) {
    if (index < run.pages) {
      return {run.state == PageState::kHole ? 0 : run.device_page + index, 1, run.state};
    }
    index -= run.pages;
  }
  return {0, 1, PageState::kHole};
}

std::size_t FirstExtentAfter(std::span<const abi::ExtentEntry> extents, std::uint64_t page) noexcept {
  const auto ends_before = [page](const abi::ExtentEntry& extent) {
    return std::uint64_t{extent.file_page} + extent.count <= page;
  };
  return static_cast<std::size_t>(std::ranges::partition_point(extents, ends_before) - extents.begin());
}

void CollectRuns(std::span<const abi::ExtentEntry> extents, std::uint64_t first, std::uint32_t count,
                 RunList& runs) noexcept {
  runs.Clear();
  const std::uint64_t end = first + count;
  std::uint64_t page = first;
  for (std::size_t i = FirstExtentAfter(extents, first); i < extents.size() && page < end; i++) {
    const abi::ExtentEntry& extent = extents[i];
    if (extent.file_page >= end) break;
    if (extent.file_page > page) {
      runs.Append({0, static_cast<std::uint32_t>(extent.file_page - page), PageState::kHole});
      page = extent.file_page;
    }
    const std::uint64_t stop = std::min<std::uint64_t>(std::uint64_t{extent.file_page} + extent.count, end);
    runs.Append({extent.device_page + (page - extent.file_page), static_cast<std::uint32_t>(stop - page),
                 static_cast<PageState>(extent.state)});
    page = stop;
  }
  if (page < end) runs.Append({0, static_cast<std::uint32_t>(end - page), PageState::kHole});
}

bool WellFormed(std::span<const abi::ExtentEntry> extents) noexcept {
  std::uint64_t end = 0;
  for (const abi::ExtentEntry& extent : extents) {
    if (extent.count == 0 || extent.device_page == 0 || extent.state > abi::kShared) return false;
    if (extent.file_page < end) return false;
    end = std::uint64_t{extent.file_page} + extent.count;
  }
  return true;
}

}  // namespace swapfs
