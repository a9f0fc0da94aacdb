// How a reader hands the device I/O of a request to the ring and goes on reading.
#include <algorithm>
#include <cstring>

#include "reader.h"

namespace swapfs {

// Worth it where the device makes its callers wait and this request is not alone: one alone is done sooner here. Of long
// requests the readers have enough in flight, and each copies its own; one thread that answers them all would be slower.
bool Reader::MayFly(std::uint64_t offset, std::uint32_t size) const noexcept {
  if (!plane_->ring.ready() || size > kFlightBytes || ((offset | size) & kPageMask) != 0) return false;
  const auto runs = runs_.runs();
  if (runs.size() != 1 || runs[0].state != PageState::kWritten) return false;
  return waited_ || SessionView::Load(plane_->session.counters().in_flight) > 1;
}

bool Reader::Fly(std::uint64_t unique, std::uint64_t offset, std::uint32_t size, MapHold& hold, Transfer transfer) noexcept {
  Flight* flight = MayFly(offset, size) ? plane_->ring.Take() : nullptr;
  if (flight == nullptr) return false;
  const auto& run = runs_.runs()[0];
  flight->unique = unique;
  flight->start_ns = start_ns_;
  flight->device_page = run.device_page;
  flight->page_count = run.pages;
  flight->reply_bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(size, hold.size - offset));
  flight->transfer = transfer;
  flight->swap_rw = (hold.flags & abi::kMapSwapRw) != 0;
  hold.GiveTo(flight->hold);
  if (transfer != Transfer::kRead) std::memcpy(flight->pages, pages(), size);
  Tally::Add(tally_.shard().mapped);
  if (plane_->ring.Add(*flight, plane_->fuse.Waiting())) Tally::Add(tally_.shard().merged);
  return true;
}

}  // namespace swapfs
