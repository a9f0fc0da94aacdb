// One thread that does the device I/O of parked requests once the control plane has said where their pages lie.
#pragma once

#include <cstdint>

#include "buffer_pool.h"
#include "extent_runs.h"
#include "parked_table.h"
#include "plane.h"
#include "tally.h"

namespace swapfs {

class Completer {
 public:
  void Init(Plane& plane, int number) noexcept;
  [[noreturn]] void Run() noexcept;

 private:
  void Read(ParkedSlot& slot) noexcept;
  void Write(ParkedSlot& slot) noexcept;
  int WriteDevice(const ParkedSlot& slot) noexcept;

  Plane* plane_ = nullptr;
  BufferLease buffer_;  // for reads; a write brings its own
  RunList runs_;
  Tally tally_;
};

}  // namespace swapfs
