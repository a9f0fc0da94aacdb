// The thread that reads what the control plane sends: answers, replies, maps and revocations, in the order of sending, so
// that a reply written after a revocation reaches the kernel after the map is forgotten.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "../abi/messages.h"
#include "plane.h"
#include "resend_rounds.h"
#include "tally.h"

namespace swapfs {

class Relay {
 public:
  explicit Relay(Plane& plane) noexcept : plane_(plane), rounds_(plane) { tally_.Init(plane.session, kRelayShard); }
  [[noreturn]] void Run() noexcept;

 private:
  void WaitForWork(int millis) noexcept;
  bool ReceiveOne() noexcept;
  void Handle(const abi::MessageHeader& header, std::span<const std::byte> message) noexcept;
  void Reply(std::span<const std::byte> reply) noexcept;
  void Answer(std::span<const std::byte> message) noexcept;
  void Over(const EndedRequest& ended) noexcept;
  void Committed(std::span<const std::byte> message) noexcept;
  void Install(std::span<const std::byte> message) noexcept;
  void Zero(std::span<const std::byte> message) noexcept;

  Plane& plane_;
  ResendRounds rounds_;
  Tally tally_;
  bool closed_ = false;
  alignas(16) std::array<std::byte, abi::kMessageBytesMax> buffer_{};
};

}  // namespace swapfs
