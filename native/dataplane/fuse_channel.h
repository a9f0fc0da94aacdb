// Reading requests from /dev/fuse and writing replies. One descriptor for all threads, never FUSE_DEV_IOC_CLONE: the
// requests in flight on a clone end with ECONNABORTED when its last holder dies.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "descriptor.h"
#include "session_view.h"

namespace swapfs {

class FuseChannel {
 public:
  FuseChannel(Descriptor fd, SessionView& session) noexcept : fd_(static_cast<Descriptor&&>(fd)), session_(session) {}
  // As on a kernel before 6.9, for tests.
  void RefuseResend() noexcept { refuses_resend_ = true; }

  int fd() const noexcept { return fd_.get(); }

  // One request. Length, or -EINTR; does not return when the connection is gone.
  long Read(std::span<std::byte> buffer) noexcept;

  // True: a request lies there, or the connection is gone; read() would not sleep.
  bool Waiting() const noexcept;

  // False: the kernel has no request of that name (any more) in the hands of a reader.
  bool ReplyError(std::uint64_t unique, std::int32_t error) noexcept;
  bool Reply(std::uint64_t unique, std::span<const std::byte> body) noexcept;
  // A reply that is whole already.
  bool WriteRaw(std::span<const std::byte> reply) noexcept;

  // FUSE_NOTIFY_RESEND: all requests that were read and not answered are queued again. False: kernel before 6.9.
  bool Resend() noexcept;

  // Ends the process in order: the connection is gone.
  [[noreturn]] void End() noexcept;

 private:
  bool Delivered(long written) noexcept;

  Descriptor fd_;
  SessionView& session_;
  bool refuses_resend_ = false;
};

}  // namespace swapfs
