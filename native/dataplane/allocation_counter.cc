#include "allocation_counter.h"

#include <atomic>
#include <cstddef>

namespace {

std::atomic<std::uint64_t*> allocation_counter{nullptr};

void Count() noexcept {
  std::uint64_t* counter = allocation_counter.load(std::memory_order_relaxed);
  if (counter != nullptr) std::atomic_ref<std::uint64_t>(*counter).fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

namespace swapfs {

void CountAllocations(std::uint64_t& counter) noexcept { allocation_counter.store(&counter); }

}  // namespace swapfs

extern "C" {

void* __real_malloc(std::size_t bytes);
void* __real_calloc(std::size_t count, std::size_t bytes);
void* __real_realloc(void* old, std::size_t bytes);
int __real_posix_memalign(void** out, std::size_t alignment, std::size_t bytes);

void* __wrap_malloc(std::size_t bytes) {
  Count();
  return __real_malloc(bytes);
}

void* __wrap_calloc(std::size_t count, std::size_t bytes) {
  Count();
  return __real_calloc(count, bytes);
}

void* __wrap_realloc(void* old, std::size_t bytes) {
  Count();
  return __real_realloc(old, bytes);
}

int __wrap_posix_memalign(void** out, std::size_t alignment, std::size_t bytes) {
  Count();
  return __real_posix_memalign(out, alignment, bytes);
}

}  // extern "C"
