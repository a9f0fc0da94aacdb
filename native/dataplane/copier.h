// The thread that copies device pages for the control plane: the edges of a write that breaks sharing, a file that is
// made contiguous. One job after another through one buffer; no request waits behind it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "../abi/messages.h"
#include "buffer_pool.h"
#include "control_link.h"
#include "device_io.h"
#include "sync.h"

namespace swapfs {

class Copier {
 public:
  void Init(BufferPool& pool, DeviceIo& device, ControlLink& link) noexcept;
  [[noreturn]] void Run() noexcept;

  // Of the relay: carried out in the order of the calls, each answered by kCopied.
  void Put(const abi::CopyMessage& copy) noexcept;

  // The control plane is a new one: what is queued is dropped, and what is under way, which depends on the device alone,
  // is waited for. The pages may have other owners from then on.
  void Discard() noexcept;

 private:
  // As many as the control plane has under way at most (copiesMax in src/dataplane/nativeport.ts), twice: it may say them again.
  static constexpr std::size_t kJobs = 128;

  struct Job {
    std::uint64_t tag;
    std::uint64_t from_page;
    std::uint64_t to_page;
    std::uint32_t count;
  };

  void Answer(std::uint64_t tag, std::int32_t error) noexcept;
  int Copy(const Job& job) noexcept;

  DeviceIo* device_ = nullptr;
  ControlLink* link_ = nullptr;
  BufferLease buffer_;
  Mutex mutex_;
  Condition queued_;
  Condition idle_;
  std::array<Job, kJobs> jobs_{};
  std::size_t head_ = 0;
  std::size_t count_ = 0;
  bool busy_ = false;
};

}  // namespace swapfs
