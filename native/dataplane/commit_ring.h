// The data plane's end of the commit ring in the session segment: writes that it carried out under a granted map, for the
// control plane to commit. The lock of the map table is held over every call.
#pragma once

#include <cstdint>

#include "../abi/session.h"

namespace swapfs {

class CommitRing {
 public:
  // What a dead data plane left in it stays.
  void Init(abi::CommitRing& ring) noexcept { ring_ = &ring; }

  // Keeps `count` slots for a write that is about to be carried out. False: the control plane must commit first.
  bool Promise(std::uint32_t count) noexcept;
  void Withdraw(std::uint32_t count) noexcept { promised_ -= count; }

  // Entries of one write, seen by the control plane when they are published and not before.
  void Put(const abi::RingEntry& entry) noexcept;
  void Publish() noexcept;

  // True once for each time that half of the ring has filled.
  bool TakeHalfFull() noexcept;

 private:
  std::uint32_t Used() const noexcept;

  abi::CommitRing* ring_ = nullptr;
  std::uint32_t promised_ = 0;
  std::uint32_t put_ = 0;
  std::uint32_t told_at_ = 0;  // head when TakeHalfFull was true last
  bool told_ = false;
};

}  // namespace swapfs
