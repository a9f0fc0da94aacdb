// The fake's end of the socket, and the messages it sends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "../../abi/messages.h"

namespace swapfs::fake {

class Link {
 public:
  explicit Link(int fd) noexcept : fd_(fd) {}

  // Waits. Empty: the keeper has closed it.
  std::span<std::byte> Receive() noexcept;

  void Header(abi::MessageType type, std::uint64_t tag) noexcept;
  void Result(abi::MessageType type, std::uint64_t tag, std::int32_t error) noexcept;
  void Answer(std::uint64_t tag, std::int32_t error, std::uint64_t size,
              std::span<const abi::ExtentEntry> extents) noexcept;
  void Install(std::uint64_t ino, std::uint64_t size, std::uint32_t flags,
               std::span<const abi::ExtentEntry> extents) noexcept;
  void Revoke(std::uint64_t tag, std::uint64_t ino) noexcept;
  void Zero(std::uint64_t tag, std::uint64_t device_page, std::uint32_t from, std::uint32_t length) noexcept;
  void Copy(std::uint64_t tag, std::uint64_t from_page, std::uint64_t to_page, std::uint32_t count) noexcept;
  // A FUSE reply: error, or body.
  void Reply(std::uint64_t unique, std::int32_t error, const void* body, std::size_t bytes) noexcept;
  // The same reply as before to a request that the kernel sent again; false: there was none.
  bool ReplyAgain(std::uint64_t unique) noexcept;

 private:
  void Send(const void* head, std::size_t head_bytes, const void* body, std::size_t body_bytes) noexcept;

  int fd_;
  std::map<std::uint64_t, std::vector<std::byte>> replies_;  // by unique without the resend bit
  alignas(16) std::byte buffer_[abi::kMessageBytesMax];
};

}  // namespace swapfs::fake
