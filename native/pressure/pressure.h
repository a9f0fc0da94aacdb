// The memory workload: pages whose every byte follows from page number, generation and seed, so that a page that comes
// back from swap wrong, old, zero or from elsewhere is seen.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace swapfs::pressure {

inline constexpr std::size_t kPageBytes = 4096;

// In pages that are to be found again by whoever reads a device or a file: so many bytes, so far from each other.
inline constexpr std::size_t kMarkerBytes = 16;
inline constexpr std::size_t kMarkerDistance = 256;

struct Pattern {
  std::uint64_t seed = 1;
  bool marked = false;
  std::array<std::uint64_t, kMarkerBytes / sizeof(std::uint64_t)> marker = {};
};

struct Options {
  std::uint64_t bytes = 0;
  std::uint64_t touches = 0;
  std::uint64_t seconds = 0;  // of random touches; 0: as many as `touches` says
  Pattern pattern;
  unsigned threads = 1;
  bool huge = false;
  bool pageout = false;  // MADV_PAGEOUT behind the work, for machines without a memory cgroup
  std::string cgroup_procs;
};

struct Result {
  std::uint64_t bad_pages = 0;
  std::uint64_t touches = 0;
  double fill_seconds = 0;
  double verify_seconds = 0;
  double touch_seconds = 0;
};

// Fills page `page` with the pattern of its generation, and the marker over it.
void FillPage(std::byte* memory, std::uint64_t page, std::uint32_t generation, const Pattern& pattern) noexcept;
bool PageIsGood(const std::byte* memory, std::uint64_t page, std::uint32_t generation, const Pattern& pattern) noexcept;

// Fill, verify in order, touch at random; progress goes to stderr. Throws nothing; a mapping failure is an errno.
int Run(const Options& options, Result& result);

}  // namespace swapfs::pressure
