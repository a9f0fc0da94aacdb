#include "pressure.h"

#include <cstring>

namespace swapfs::pressure {

namespace {

constexpr std::size_t kWords = kPageBytes / sizeof(std::uint64_t);

// SplitMix64: one multiplication chain for each page, then a cheap step for each word; no compressor shrinks it to
// nothing, so that zram below does real work, and the check is far cheaper than the page fault it waits for.
std::uint64_t Mix(std::uint64_t value) noexcept {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

std::uint64_t StartOf(std::uint64_t page, std::uint32_t generation, std::uint64_t seed) noexcept {
  return Mix(Mix(page ^ Mix(seed)) + generation);
}

std::uint64_t Next(std::uint64_t value) noexcept { return value * 6364136223846793005u + 1442695040888963407u; }

constexpr std::size_t kDistanceWords = kMarkerDistance / sizeof(std::uint64_t);

// Calls each(offset, value) for every word of the page.
template <typename Each>
void ForWords(std::uint64_t page, std::uint32_t generation, const Pattern& pattern, Each each) noexcept {
  std::uint64_t value = StartOf(page, generation, pattern.seed);
  for (std::size_t word = 0; word < kWords; word += 1, value = Next(value)) {
    const std::size_t at = word % kDistanceWords;
    each(word * sizeof value, pattern.marked && at < pattern.marker.size() ? pattern.marker[at] : value);
  }
}

}  // namespace

void FillPage(std::byte* memory, std::uint64_t page, std::uint32_t generation, const Pattern& pattern) noexcept {
  ForWords(page, generation, pattern, [memory](std::size_t offset, std::uint64_t value) {
    std::memcpy(memory + offset, &value, sizeof value);
  });
}

bool PageIsGood(const std::byte* memory, std::uint64_t page, std::uint32_t generation, const Pattern& pattern) noexcept {
  std::uint64_t difference = 0;
  ForWords(page, generation, pattern, [memory, &difference](std::size_t offset, std::uint64_t value) {
    std::uint64_t found;
    std::memcpy(&found, memory + offset, sizeof found);
    difference |= found ^ value;
  });
  return difference == 0;
}

}  // namespace swapfs::pressure
