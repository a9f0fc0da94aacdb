// Sizes that several files share. A request is at most 1 MiB long; at an odd offset it touches one page more.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fuse_abi.h"

namespace swapfs {

inline constexpr std::uint32_t kPageBytes = 4096;
inline constexpr std::uint32_t kPageMask = kPageBytes - 1;
inline constexpr std::uint32_t kRequestBytesMax = 1024 * 1024;
inline constexpr std::uint32_t kRequestPagesMax = kRequestBytesMax / kPageBytes + 1;

// read() from /dev/fuse starts here in a buffer, so that the payload of a WRITE starts on a page.
inline constexpr std::size_t kWriteHeaderBytes = sizeof(fuse::fuse_in_header) + sizeof(fuse::fuse_write_in);
inline constexpr std::size_t kRequestStart = kPageBytes - kWriteHeaderBytes;
inline constexpr std::size_t kRequestBufferBytes = kPageBytes + std::size_t{kRequestPagesMax} * kPageBytes;

// A parked WRITE of at most this many bytes is copied into a small buffer, and the large one goes on reading.
inline constexpr std::uint32_t kSmallPayloadBytes = 16 * 1024;
inline constexpr std::size_t kSmallBufferBytes = kSmallPayloadBytes + kPageBytes;

inline constexpr int kReaders = 4;
inline constexpr int kCompleters = 2;
inline constexpr int kCopiers = 1;
inline constexpr std::uint32_t kCopyPagesMax = kRequestBytesMax / kPageBytes;
inline constexpr std::size_t kSpareBuffers = 11;
inline constexpr std::size_t kSmallBuffers = 64;
// Requests whose device I/O goes on without their reader, the memory of each, and how many share a transfer at most.
inline constexpr std::size_t kFlights = 64;
inline constexpr std::size_t kFlightBytes = 16 * 1024;
inline constexpr std::size_t kBatchMax = 16;
inline constexpr std::size_t kParkedSlots = 256;
inline constexpr std::size_t kMapSlots = 4096;
inline constexpr std::uint32_t kExtentsMax = 400'000;
// How often the relay looks whether what requests have begun (a burst, wakefulness) goes on.
inline constexpr int kTickMillis = 5;

// Pages that bytes [offset, offset + length) touch.
constexpr std::uint64_t FirstPage(std::uint64_t offset) { return offset / kPageBytes; }
constexpr std::uint32_t InPage(std::uint64_t offset) { return static_cast<std::uint32_t>(offset & kPageMask); }
constexpr std::uint32_t PageCount(std::uint64_t offset, std::uint64_t length) {
  return length == 0 ? 0 : static_cast<std::uint32_t>((InPage(offset) + length + kPageMask) / kPageBytes);
}

}  // namespace swapfs
