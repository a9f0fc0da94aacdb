// Short requests whose device I/O goes on while their readers read the next ones: io_uring, for devices that make a caller wait.
// A fixed number of flights, each with memory of its own; what finds no room is done synchronously by its reader, which
// bounds what is in flight. Neighbours of one kind that are contiguous on the device share a transfer; when it fails, each
// is done by itself.
#pragma once

#include <liburing.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "extent_map_table.h"
#include "faults.h"
#include "mapped_region.h"
#include "sync.h"
#include "tally.h"
#include "units.h"

namespace swapfs {

struct Plane;

// A short READ or WRITE of whole pages in one piece of the device.
struct Flight {
  MapHold hold;
  std::byte* pages = nullptr;  // kFlightBytes, its own for ever
  std::uint64_t unique = 0;
  std::uint64_t start_ns = 0;
  std::uint64_t device_page = 0;
  std::uint32_t page_count = 0;
  std::uint32_t reply_bytes = 0;  // of a READ: shorter at the end of the file
  Transfer transfer = Transfer::kRead;
  bool swap_rw = false;
  Flight* next = nullptr;  // the one behind it in the same transfer, or among the free ones
};

class DeviceRing {
 public:
  // `ring_fd`: the keeper's SharedRing. False: it has none, or there is no memory; nothing else may be called then.
  bool Init(Plane& plane, int ring_fd) noexcept;
  bool ready() const noexcept { return ready_; }

  // nullptr: all are in use.
  Flight* Take() noexcept;
  void Give(Flight& flight) noexcept;

  // Hands a flight to the device. `more`: another request lies in /dev/fuse already and may continue it; then it may stay
  // here until that one comes, or until a transfer in flight is over, whichever is first. True: it shares the transfer of
  // the flight before it.
  bool Add(Flight& flight, bool more) noexcept;

  // The readers stand at the gate: waits until every flight is answered.
  void WaitIdle() noexcept;

  // The thread that answers.
  [[noreturn]] void Run() noexcept;

 private:
  void Complete(Flight& first, int result) noexcept;
  void Separate(Flight& first) noexcept;
  void Answer(Flight& flight, int error) noexcept;
  // Flights that are one transfer.
  struct Batch {
    Flight* first = nullptr;
    Flight* last = nullptr;
    std::uint32_t page_count = 0;
    std::uint32_t flights = 0;
  };
  bool Joins(const Flight& flight) const noexcept;
  void SubmitOpen() noexcept;
  void Prepare(io_uring_sqe& sqe, const Batch& batch) noexcept;

  Plane* plane_ = nullptr;
  Tally tally_;
  bool ready_ = false;
  bool registered_ = false;
  io_uring ring_{};
  MappedRegion memory_;
  Mutex mutex_;  // of the submission side and of the free flights; never held over device I/O
  Condition idle_;
  std::array<Flight, kFlights> flights_{};
  std::array<std::array<iovec, kBatchMax>, kFlights> vectors_{};  // of the transfer whose first flight has that place
  Flight* free_ = nullptr;
  std::size_t out_ = 0;  // flights in use
  // Only while a transfer is in flight, whose end submits it: no reader need come back for it.
  Batch open_;
  std::size_t submitted_ = 0;  // transfers in flight
};

}  // namespace swapfs
