// Requests that wait for the control plane to say where their pages lie. A slot goes
//   free -> asked -> ready -> busy -> (write: committing ->) free
// and is named to the control plane by a tag that no other request ever has: generations of process and of slot.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "../abi/messages.h"
#include "buffer_pool.h"
#include "sync.h"
#include "units.h"

namespace swapfs {

struct ParkedRequest {
  std::uint64_t unique = 0;  // as the kernel gave it
  std::uint64_t ino = 0;
  std::uint64_t offset = 0;
  std::uint64_t start_ns = 0;  // when it was read
  std::uint32_t length = 0;
  bool write = false;
  BufferLease buffer;          // of a write
  std::byte* pages = nullptr;  // its payload starts at pages + InPage(offset)
};

struct ParkedSlot {
  ParkedRequest request;
  std::uint64_t tag = 0;
  std::uint64_t size = 0;  // of the file, as the answer says
  std::int32_t error = 0;  // of a write on the device
  std::uint32_t extent_count = 0;
  std::array<abi::ExtentEntry, kRequestPagesMax> extents{};
  std::span<const abi::ExtentEntry> answer() const noexcept { return {extents.data(), extent_count}; }
};

struct EndedRequest {
  std::uint64_t unique;
  std::uint64_t offset;
  std::uint64_t start_ns;
  std::uint32_t length;
  std::int32_t error;  // of its I/O
  bool write;
};

class ParkedTable {
 public:
  void Init(std::uint32_t process_generation) noexcept;

  // Takes the request over and returns its tag; 0: no slot is free and `request` is untouched.
  std::uint64_t Park(ParkedRequest& request) noexcept;

  // Undoes Park: the question could not be sent.
  void Withdraw(std::uint64_t tag, ParkedRequest& request) noexcept;

  // The slot is ready for a completer. Nothing happens when the tag is stale.
  void Answer(std::uint64_t tag, std::uint64_t size, std::span<const abi::ExtentEntry> extents) noexcept;

  // For a completer: waits for a ready slot and makes it busy.
  ParkedSlot& TakeReady() noexcept;
  void Commit(ParkedSlot& slot, std::int32_t error) noexcept;  // busy -> committing
  void Finish(ParkedSlot& slot) noexcept;  // busy -> free

  // Ends a slot that is asked or committing and tells what it was. False: a stale tag.
  bool End(std::uint64_t tag, EndedRequest& ended) noexcept;

  std::size_t free_count() noexcept;
  // Waits until no slot is ready or busy, which depends on the device alone, and frees all others.
  void Discard() noexcept;


 private:
  enum class State : std::uint8_t { kFree, kAsked, kReady, kBusy, kCommitting };
  static constexpr std::uint64_t kSlotMask = 0xffff;
  static constexpr int kGenerationShift = 32;
  static constexpr int kProcessShift = 48;

  int Lookup(std::uint64_t tag, State state) const noexcept;
  void FreeLocked(std::size_t index) noexcept;
  std::size_t IndexOf(const ParkedSlot& slot) const noexcept {
    return static_cast<std::size_t>(&slot - slots_.data());
  }

  Mutex mutex_;
  Condition ready_;
  Condition idle_;
  std::uint64_t process_ = 0;
  std::array<ParkedSlot, kParkedSlots> slots_{};
  std::array<State, kParkedSlots> states_{};
  std::array<std::uint16_t, kParkedSlots> generations_{};
  std::array<std::uint16_t, kParkedSlots> free_{};
  std::size_t free_count_ = 0;
  std::array<std::uint16_t, kParkedSlots> queue_{};  // ready slots, first come first served
  std::size_t queue_head_ = 0;
  std::size_t queue_count_ = 0;
  std::size_t working_ = 0;  // ready or busy
};

}  // namespace swapfs
