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

}  // namespace

void FillPage(std::byte* memory, std::uint64_t page, std::uint32_t generation, std::uint64_t seed) noexcept {
  std::uint64_t value = StartOf(page, generation, seed);
  for (std::size_t word = 0; word < kWords; word += 1, value = Next(value)) {
    std::memcpy(memory + word * sizeof value, &value, sizeof value);
  }
}

bool PageIsGood(const std::byte* memory, std::uint64_t page, std::uint32_t generation, std::uint64_t seed) noexcept {
  std::uint64_t value = StartOf(page, generation, seed);
  std::uint64_t difference = 0;
  for (std::size_t word = 0; word < kWords; word += 1, value = Next(value)) {
    std::uint64_t found;
    std::memcpy(&found, memory + word * sizeof found, sizeof found);
    difference |= found ^ value;
  }
  return difference == 0;
}

}  // namespace swapfs::pressure
