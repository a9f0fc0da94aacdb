#include "shared_ring.h"

namespace swapfs {

int SharedRing::Make(unsigned entries, io_uring_params& params) noexcept {
  Close();
  params = {};
  const int error = ::io_uring_queue_init_params(entries, &ring_, &params);
  made_ = error == 0;
  return error;
}

void SharedRing::Close() noexcept {
  if (made_) ::io_uring_queue_exit(&ring_);
  made_ = false;
}

// Each entry that the kernel has taken gets one completion, also when the process that handed it over is gone. Both counters
// only ever grow, and wrap together.
unsigned SharedRing::UnderWay() const noexcept {
  if (!made_) return 0;
  return io_uring_smp_load_acquire(ring_.sq.khead) - io_uring_smp_load_acquire(ring_.cq.ktail);
}

}  // namespace swapfs
