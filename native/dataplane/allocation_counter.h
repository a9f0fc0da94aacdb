// The data plane serves the very writes that free memory, so it may not allocate once it has started. This counts the
// calls that do so all the same; a test wants 0. The linker's --wrap sends every malloc, of libraries too, through here.
#pragma once

#include <cstdint>

namespace swapfs {

// From now on every allocation adds to `counter`, which lives for ever.
void CountAllocations(std::uint64_t& counter) noexcept;

}  // namespace swapfs
