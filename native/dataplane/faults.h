// Faults of the device for tests: a device that fails, answers short or is slow at a moment that a test chooses. The
// rule lies in a file that SWAPFS_TEST_FAULTS names, which tests write at any time (test/support/faults.ts) and which
// outlives a data plane. Without that variable nothing is mapped, and a transfer costs one comparison more.
#pragma once

#include <cstddef>
#include <cstdint>

#include "mapped_region.h"

namespace swapfs {

enum class FaultKind : std::uint32_t { kNone = 0, kFail = 1, kShort = 2, kDelay = 3 };
// kDurableWrite: RWF_DSYNC. To a rule it is a write.
enum class Transfer : std::uint32_t { kRead = 1, kWrite = 2, kDurableWrite = 6 };

// The first `skip` transfers of these kinds that touch device pages [first_page, end_page) pass, the next `count` are hit.
struct FaultRule {
  std::uint32_t kind;       // FaultKind; written last
  std::uint32_t transfers;  // Transfer, or-ed
  std::uint64_t first_page;
  std::uint64_t end_page;
  std::uint64_t skip;
  std::uint64_t count;
  std::uint32_t delay_ms;   // also before a failure or a short answer
  std::uint32_t padding;
  std::uint64_t matched;    // counted here
};
static_assert(sizeof(FaultRule) == 56);

class Faults {
 public:
  // Takes the file, when the environment names one. 0 or -errno.
  int Open() noexcept;

  // To be called with what a transfer has given: bytes or -errno. Returns what the caller shall believe.
  long Result(Transfer transfer, std::uint64_t device_page, std::size_t bytes, long got) noexcept {
    return rule_ == nullptr ? got : Hit(transfer, device_page, bytes, got);
  }

 private:
  long Hit(Transfer transfer, std::uint64_t device_page, std::size_t bytes, long got) noexcept;

  MappedRegion region_;
  FaultRule* rule_ = nullptr;
};

}  // namespace swapfs
