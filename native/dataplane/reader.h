// One thread that reads requests: answers READ, WRITE and BMAP from installed maps, asks for a mapping where there is
// none, and hands all else to the control plane. It waits for the kernel and the device, never for the control plane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "buffer_pool.h"
#include "device_ring.h"
#include "extent_runs.h"
#include "fuse_abi.h"
#include "plane.h"
#include "poll_governor.h"
#include "tally.h"

namespace swapfs {

// False: the request is too short to hold it.
template <typename Body>
bool Decode(std::span<const std::byte> body, Body& out) noexcept {
  if (body.size() < sizeof(Body)) return false;
  std::memcpy(&out, body.data(), sizeof(Body));
  return true;
}

class Reader {
 public:
  void Init(Plane& plane, int number) noexcept;
  [[noreturn]] void Run() noexcept;

 private:
  bool Look() noexcept;
  void Arrived(std::span<const std::byte> request, bool looked) noexcept;
  void Dispatch(std::span<const std::byte> request) noexcept;
  void Read(const fuse::fuse_in_header& header, std::span<const std::byte> body) noexcept;
  void Write(const fuse::fuse_in_header& header, std::span<const std::byte> body) noexcept;
  void Bmap(const fuse::fuse_in_header& header, std::span<const std::byte> request) noexcept;
  void Relay(const fuse::fuse_in_header& header, std::span<const std::byte> request) noexcept;

  void CountTransfers() noexcept;
  void CountMapped(bool swap_rw, bool write, std::uint32_t page_count) noexcept;
  enum class Served { kNo, kAnswered, kFlies };  // kNo: there is no map that serves it
  Served MappedRead(const fuse::fuse_in_header& header, const fuse::fuse_read_in& in) noexcept;
  Served MappedWrite(const fuse::fuse_in_header& header, const fuse::fuse_write_in& in) noexcept;
  Served GrantedWrite(const fuse::fuse_in_header& header, const fuse::fuse_write_in& in) noexcept;
  Served AnswerWrite(std::uint64_t unique, std::uint32_t size, int error) noexcept;
  bool Lookup(const fuse::fuse_in_header& header, std::span<const std::byte> body) noexcept;
  bool Getattr(const fuse::fuse_in_header& header) noexcept;
  bool Getxattr(const fuse::fuse_in_header& header, std::span<const std::byte> body) noexcept;
  bool MayWriteHere(const MapHold& hold, const fuse::fuse_write_in& in) const noexcept;
  // True: parked. False: dropped.
  bool AskRead(const fuse::fuse_in_header& header, const fuse::fuse_read_in& in) noexcept;
  bool AskWrite(const fuse::fuse_in_header& header, const fuse::fuse_write_in& in) noexcept;
  bool KeepPayload(ParkedRequest& parked) noexcept;
  void TakeBack(ParkedRequest& parked) noexcept;
  bool Ask(ParkedRequest& parked, std::uint32_t flags) noexcept;
  bool WaitForRoom() noexcept;
  // The device I/O goes on without this reader. False: it must do it itself.
  bool Fly(std::uint64_t unique, std::uint64_t offset, std::uint32_t size, MapHold& hold, Transfer transfer) noexcept;
  bool MayFly(std::uint64_t offset, std::uint32_t size) const noexcept;
  // With the partner. Asked of long ones only: it looks at what every other reader does.
  bool MayShare(std::uint32_t size) const noexcept { return size >= Partner::kLongBytes && plane_->crew.Alone(); }
  bool FailUnaligned(std::uint64_t unique, std::uint64_t offset_or_size) noexcept;
  void Fail(std::uint64_t unique, std::int32_t error) noexcept;

  std::byte* pages() const noexcept { return buffer_.data() + kPageBytes; }

  Plane* plane_ = nullptr;
  int number_ = 0;
  BufferLease buffer_;
  RunList runs_;
  Tally tally_;
  PollGovernor governor_;
  bool waited_ = false;            // the last request lay there already
  std::uint64_t idle_since_ns_ = 0;
  std::uint64_t start_ns_ = 0;     // of the request in hand
};

}  // namespace swapfs
