// Writes notifications to the kernel on a thread of its own. FUSE_NOTIFY_INVAL_INODE waits for locked pages
// (invalidate_inode_pages2_range), that is for READ requests in flight; the relay, which brings their answers, must not
// wait with it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "fuse_channel.h"
#include "sync.h"

namespace swapfs {

class Notifier {
 public:
  explicit Notifier(FuseChannel& fuse) noexcept : fuse_(fuse) {}

  // Never waits. Logs what it has no room for.
  void Put(std::span<const std::byte> notification) noexcept;
  [[noreturn]] void Run() noexcept;

 private:
  static constexpr std::size_t kSlots = 256;
  static constexpr std::size_t kBytesMax = 320;  // FUSE_NOTIFY_INVAL_ENTRY with a name of 255 bytes
  struct Slot {
    std::size_t length;
    std::byte bytes[kBytesMax];
  };

  FuseChannel& fuse_;
  Mutex mutex_;
  Condition filled_;
  std::array<Slot, kSlots> slots_{};
  std::size_t head_ = 0;
  std::size_t count_ = 0;
};

}  // namespace swapfs
