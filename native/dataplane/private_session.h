// What outlives a data plane and concerns nobody else: it lies behind the Session in the same memfd, on a page of its own.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>

#include "../abi/session.h"

namespace swapfs {

inline constexpr std::size_t kAffinityBytes = 128;  // 1024 CPUs

// A caller whose affinity was changed for the length of a burst of BMAP requests, so that a restart can restore it.
struct BurstRecord {
  std::uint32_t active;  // written last, cleared last
  std::uint32_t pid;
  std::uint32_t cpu;
  std::uint32_t padding;
  unsigned char affinity[kAffinityBytes];
};

struct PrivateSession {
  BurstRecord burst;
  io_uring_params ring;  // SharedRing
};

inline constexpr std::size_t kPrivateSessionOffset = (sizeof(abi::Session) + 4095) / 4096 * 4096;
static_assert(sizeof(PrivateSession) <= 4096);
inline constexpr std::size_t kSessionFileBytes = kPrivateSessionOffset + 4096;
// The data plane maps the part before the handles, and the private page.
inline constexpr std::size_t kSessionMappedBytes = (offsetof(abi::Session, handles) + 4095) / 4096 * 4096;

}  // namespace swapfs
