// The session segment: a memfd that the keeper makes and both planes map, so that what is in it outlives either.
// Counters and touched times are written by the data plane, handles by the control plane. src/dataplane/session.ts
// declares the same layout; test/native/abi.test.ts compares sizes and offsets.
#pragma once

#include <cstddef>
#include <cstdint>

namespace swapfs::abi {

inline constexpr std::uint64_t kSessionMagic = 0x3153535346505753;  // "SWPFSSS1"
inline constexpr std::uint32_t kSessionVersion = 1;
inline constexpr std::size_t kOpcodeSlots = 64;
inline constexpr std::size_t kTouchSlots = 512;
inline constexpr std::size_t kHandleSlots = 32768;

struct SessionHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t header_bytes;      // sizeof(SessionHeader)
  std::uint64_t session;           // random, new at each mount: with `unique` it names a request for ever
  std::uint32_t keeper_pid;
  std::uint32_t data_pid;          // 0 while it is down
  std::uint32_t control_pid;       // 0 while it is down
  std::uint32_t data_generation;   // counts starts, from 1
  std::uint32_t control_generation;
  std::uint32_t control_up;        // 1 from kDataReady on; the keeper clears it when the control plane dies
  std::uint32_t destroyed;         // 1 after FUSE_DESTROY was answered or read() said ENODEV: an orderly end
  std::uint32_t io_flusher;        // 1: PR_SET_IO_FLUSHER was set and read back; else 0
  std::uint32_t memory_locked;     // 1: mlockall succeeded
  std::uint32_t oom_protected;     // 1: oom_score_adj is -1000
  std::uint64_t locked_bytes;      // VmLck of the data plane after start
};
static_assert(sizeof(SessionHeader) == 72);

// All u64, monotonic over restarts of the data plane.
struct SessionCounters {
  std::uint64_t requests[kOpcodeSlots];  // read from /dev/fuse, by opcode (63: every larger one)
  std::uint64_t resent;                  // requests that carried FUSE_UNIQUE_RESEND
  std::uint64_t relayed;                 // given to the control plane
  std::uint64_t deferred;                // dropped for want of room, to be resent
  std::uint64_t resends;                 // FUSE_NOTIFY_RESEND sent
  std::uint64_t parked;                  // waited for a mapping
  std::uint64_t mapped;                  // answered from an installed map
  std::uint64_t read_bytes;
  std::uint64_t written_bytes;
  std::uint64_t swap_rw_pages_in;
  std::uint64_t swap_rw_pages_out;
  std::uint64_t bmap_hits;               // BMAP answered from a pinned map
  std::uint64_t errors;                  // READ and WRITE that ended with an errno
  std::uint64_t allocations;             // malloc calls after start-up, must stay 0
  std::uint64_t maps;                    // installed now
  std::uint64_t extents;                 // in them, now
  std::uint64_t evicted;                 // maps given up for want of room
};

// A write through an installed map changed this inode's mtime. The data plane claims a slot only while time_ns is 0
// (ino first, then time_ns); the control plane reads ino, then exchanges time_ns with 0.
struct TouchSlot {
  std::uint64_t ino;
  std::uint64_t time_ns;
};

// An open file. `fh` is the unique of the OPEN or CREATE that made it (resend bit cleared), written last and cleared
// first, so that a slot is whole or absent; a resent OPEN finds its own slot.
struct HandleSlot {
  std::uint64_t fh;     // 0: free
  std::uint64_t ino;
  std::uint32_t flags;  // open(2) flags
  std::uint32_t pid;
  std::uint64_t padding;
};
static_assert(sizeof(HandleSlot) == 32);

struct Session {
  SessionHeader header;
  SessionCounters counters;
  TouchSlot touched[kTouchSlots];
  HandleSlot handles[kHandleSlots];  // the data plane does not map these
};
static_assert(offsetof(Session, counters) == 72);

}  // namespace swapfs::abi
