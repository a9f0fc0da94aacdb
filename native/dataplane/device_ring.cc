#include "device_ring.h"

#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "log.h"
#include "plane.h"

namespace swapfs {

bool DeviceRing::Init(Plane& plane, int ring_fd) noexcept {
  if (ring_fd < 0) return false;
  plane_ = &plane;
  tally_.Init(plane.session, kRingShard);
  memory_ = MappedRegion::Anonymous(kFlights * kFlightBytes);
  if (!memory_.valid()) return false;
  if (const int error = ::io_uring_queue_mmap(ring_fd, &plane.session.private_part().ring, &ring_); error != 0) {
    Log("cannot map the io_uring (%s): the device is used synchronously", ErrnoName(-error));
    return false;
  }
  const iovec region{memory_.data(), memory_.size()};
  registered_ = ::io_uring_register_buffers(&ring_, &region, 1) == 0;
  for (std::size_t i = flights_.size(); i-- > 0;) {
    flights_[i].pages = memory_.data() + i * kFlightBytes;
    flights_[i].next = free_;
    free_ = &flights_[i];
  }
  ready_ = true;
  return true;
}

Flight* DeviceRing::Take() noexcept {
  const Guard guard(mutex_);
  if (free_ == nullptr) return nullptr;
  Flight* flight = free_;
  free_ = flight->next;
  flight->next = nullptr;
  out_++;
  return flight;
}

void DeviceRing::Give(Flight& flight) noexcept {
  const Guard guard(mutex_);
  flight.next = free_;
  free_ = &flight;
  if (--out_ == 0) idle_.SignalAll();
}

bool DeviceRing::Add(Flight& flight, bool more) noexcept {
  const Guard guard(mutex_);
  const bool joins = Joins(flight);
  if (joins) {
    open_.last->next = &flight;
  } else {
    SubmitOpen();
    open_.first = &flight;
  }
  open_.last = &flight;
  open_.page_count += flight.page_count;
  open_.flights++;
  if (!more || submitted_ == 0) SubmitOpen();
  return joins;
}

bool DeviceRing::Joins(const Flight& flight) const noexcept {
  return open_.first != nullptr && open_.flights < kBatchMax && open_.first->transfer == flight.transfer &&
         open_.first->device_page + open_.page_count == flight.device_page;
}

// With the lock held: submitting waits for nothing but memory of the kernel's.
void DeviceRing::SubmitOpen() noexcept {
  if (open_.first == nullptr) return;
  // There are as many entries as flights, and each is submitted before the lock is given back.
  io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
  Prepare(*sqe, open_);
  while (::io_uring_submit(&ring_) < 0) ::usleep(100);
  submitted_++;
  open_ = {};
}

void DeviceRing::Prepare(io_uring_sqe& sqe, const Batch& batch) noexcept {
  Flight& first = *batch.first;
  const std::uint64_t offset = first.device_page * kPageBytes;
  const int fd = plane_->device.fd();
  const bool write = first.transfer != Transfer::kRead;
  if (batch.flights == 1) {
    const unsigned bytes = first.page_count * kPageBytes;
    if (registered_ && write) ::io_uring_prep_write_fixed(&sqe, fd, first.pages, bytes, offset, 0);
    if (registered_ && !write) ::io_uring_prep_read_fixed(&sqe, fd, first.pages, bytes, offset, 0);
    if (!registered_ && write) ::io_uring_prep_write(&sqe, fd, first.pages, bytes, offset);
    if (!registered_ && !write) ::io_uring_prep_read(&sqe, fd, first.pages, bytes, offset);
  } else {
    auto& vectors = vectors_[static_cast<std::size_t>(&first - flights_.data())];
    unsigned count = 0;
    for (Flight* flight = &first; flight != nullptr; flight = flight->next) {
      vectors[count++] = {flight->pages, std::size_t{flight->page_count} * kPageBytes};
    }
    if (write) {
      ::io_uring_prep_writev(&sqe, fd, vectors.data(), count, offset);
    } else {
      ::io_uring_prep_readv(&sqe, fd, vectors.data(), count, offset);
    }
  }
  if (first.transfer == Transfer::kDurableWrite) sqe.rw_flags = RWF_DSYNC;
  ::io_uring_sqe_set_data(&sqe, &first);
}

void DeviceRing::Run() noexcept {
  for (;;) {
    io_uring_cqe* done = nullptr;
    if (::io_uring_wait_cqe(&ring_, &done) != 0) continue;
    auto* first = static_cast<Flight*>(::io_uring_cqe_get_data(done));
    const int result = done->res;
    ::io_uring_cqe_seen(&ring_, done);
    {
      const Guard guard(mutex_);
      submitted_--;
      SubmitOpen();
    }
    Complete(*first, result);
  }
}

void DeviceRing::Complete(Flight& first, int result) noexcept {
  std::size_t bytes = 0;
  for (const Flight* flight = &first; flight != nullptr; flight = flight->next) {
    bytes += std::size_t{flight->page_count} * kPageBytes;
  }
  Tally::Add(tally_.shard().transfers);
  const bool again = result == -EAGAIN || result == -EINTR;
  const bool alone = first.next == nullptr;
  if (again && alone) return Answer(first, plane_->device.Exact(first.transfer, first.pages, bytes, first.device_page));
  const int error = again ? result : plane_->device.Judge(first.transfer, first.device_page, bytes, result);
  if (error != 0 && !alone) return Separate(first);
  for (Flight* flight = &first; flight != nullptr;) {
    Flight* next = flight->next;
    Answer(*flight, error);
    flight = next;
  }
}

// That a transfer failed says nothing about its parts, which may be of several files: each is done once more by itself.
void DeviceRing::Separate(Flight& first) noexcept {
  const Guard guard(mutex_);
  SubmitOpen();
  for (Flight* flight = &first; flight != nullptr;) {
    Flight* next = std::exchange(flight->next, nullptr);
    open_ = {flight, flight, flight->page_count, 1};
    SubmitOpen();
    flight = next;
  }
}

void DeviceRing::Answer(Flight& flight, int error) noexcept {
  abi::CounterShard& shard = tally_.shard();
  const bool write = flight.transfer != Transfer::kRead;
  const abi::LatencyClass kind = write ? abi::kLatencyWrite : abi::kLatencyRead;
  // A map that is to be revoked must not wait for the answer, whose reader may ask for just that.
  flight.hold.Release();
  if (error != 0) {
    SessionView::Add(plane_->session.counters().errors);
    plane_->fuse.ReplyError(flight.unique, error);
  } else if (write) {
    Tally::Add(shard.written_bytes, flight.reply_bytes);
    const fuse::fuse_write_out out{flight.reply_bytes, 0};
    plane_->fuse.Reply(flight.unique, std::as_bytes(std::span(&out, 1)));
  } else {
    Tally::Add(shard.read_bytes, flight.reply_bytes);
    Tally::Add(flight.swap_rw ? shard.swap_rw_pages_in : shard.ordinary_pages_in, flight.page_count);
    plane_->fuse.Reply(flight.unique, {flight.pages, flight.reply_bytes});
  }
  tally_.Answered(kind, flight.start_ns);
  tally_.End();
  Give(flight);
}

void DeviceRing::WaitIdle() noexcept {
  const Guard guard(mutex_);
  SubmitOpen();
  while (out_ > 0) idle_.Wait(mutex_);
}

}  // namespace swapfs
