// The data plane's end of the socket to the control plane. Nobody waits on it: Send says no when there is no room, and
// what must arrive (Post) waits in a fixed outbox that the relay empties.
#pragma once

#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "../abi/messages.h"
#include "descriptor.h"
#include "sync.h"

namespace swapfs {

class ControlLink {
 public:
  // Takes the descriptor over. 0 or -errno.
  int Init(int fd) noexcept;

  int fd() const noexcept { return socket_.get(); }
  // Readable when the relay must look at the outbox or at a deferral.
  int wake_fd() const noexcept { return wake_.get(); }
  void Wake() const noexcept;
  void ClearWake() const noexcept;

  // A header and up to one more part. False: no room now, and nothing was sent.
  bool Send(const abi::MessageHeader& header, std::span<const std::byte> body) noexcept;

  template <typename Message>
  bool TrySend(const Message& message) noexcept {
    return Send(message.header, {reinterpret_cast<const std::byte*>(&message) + sizeof(abi::MessageHeader),
                                 sizeof(Message) - sizeof(abi::MessageHeader)});
  }

  // A message that must not be lost. The outbox has room: its users are bounded (CanReceive).
  template <typename Message>
  void Post(const Message& message) noexcept {
    static_assert(sizeof(Message) <= kPostBytesMax);
    PostBytes(&message, sizeof(Message));
  }
  void PostHeader(abi::MessageType type, std::uint64_t tag) noexcept;

  // Sends what the outbox holds as far as there is room.
  void Flush() noexcept;
  bool outbox_empty() const noexcept { return outbox_count_.load() == 0; }
  // What is sent now would find room.
  bool HasRoom() const noexcept;
  // Messages from the control plane may make us post answers: read them only while there is room for those.
  bool CanReceive() const noexcept { return outbox_count_.load() < kOutboxSlots / 2; }

  // Head of the next message without taking it. 0: there is one; -EAGAIN: none waits; -EPIPE: the keeper closed the link.
  int Peek(abi::MessageHeader& header) const noexcept;
  // Length of the message taken, or -errno (-EAGAIN: none; -EPIPE: closed).
  long Receive(std::span<std::byte> buffer) const noexcept;

 private:
  static constexpr std::size_t kPostBytesMax = 48;
  static constexpr std::size_t kOutboxSlots = 2048;
  struct Letter {
    std::uint32_t length;
    std::byte bytes[kPostBytesMax];
  };

  void PostBytes(const void* bytes, std::size_t length) noexcept;
  bool SendVector(iovec* parts, std::size_t count) const noexcept;

  Descriptor socket_;
  Descriptor wake_;
  Mutex mutex_;
  std::array<Letter, kOutboxSlots> outbox_{};
  std::size_t outbox_head_ = 0;
  std::atomic<std::size_t> outbox_count_{0};
};

}  // namespace swapfs
