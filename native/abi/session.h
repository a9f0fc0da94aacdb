// The session segment: a memfd that the keeper makes and both planes map, so that what is in it outlives either.
// Counters, touched times and the commit ring are written by the data plane, handles and notes by the control plane.
// src/dataplane/session.ts declares the same layout; test/native/abi.test.ts compares sizes and offsets.
#pragma once

#include <cstddef>
#include <cstdint>

namespace swapfs::abi {

inline constexpr std::uint64_t kSessionMagic = 0x3153535346505753;  // "SWPFSSS1"
inline constexpr std::uint32_t kSessionVersion = 5;
inline constexpr std::size_t kOpcodeSlots = 64;
inline constexpr std::size_t kTouchSlots = 512;
inline constexpr std::size_t kRingSlots = 4096;  // a power of two
inline constexpr std::size_t kAttributeSlots = 64;
inline constexpr std::size_t kNameBits = 1 << 20;
inline constexpr std::size_t kHandleSlots = 32768;
inline constexpr std::size_t kCounterShards = 16;
inline constexpr std::size_t kLatencyBuckets = 40;

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

// All u64, monotonic over restarts of the data plane but for in_flight, maps and extents, which say how it is now.
struct SessionCounters {
  std::uint64_t resent;         // requests that carried FUSE_UNIQUE_RESEND
  std::uint64_t relayed;        // given to the control plane
  std::uint64_t deferred;       // dropped for want of room, to be resent
  std::uint64_t resends;        // FUSE_NOTIFY_RESEND sent
  std::uint64_t parked;         // waited for a mapping
  std::uint64_t errors;         // READ and WRITE that ended with an errno
  std::uint64_t device_errors;  // transfers that the device failed or cut short
  std::uint64_t allocations;    // malloc calls after start-up, must stay 0
  std::uint64_t maps;           // installed now
  std::uint64_t extents;        // in them, now
  std::uint64_t evicted;        // maps given up for want of room
  std::uint64_t in_flight;      // READ and WRITE that were read and are not answered, now
  std::uint64_t in_flight_max;  // and at most
};

// Of which a latency is kept. Relayed: from its receipt in the control plane to its reply.
enum LatencyClass : std::uint32_t { kLatencyRead = 0, kLatencyWrite = 1, kLatencyBmap = 2, kLatencyRelayed = 3 };
inline constexpr std::size_t kLatencyClasses = 4;

// What is counted at every request. Each thread has a shard of its own, which it alone writes; a reader of the counters
// adds them up. The last shard is the control plane's.
struct alignas(64) CounterShard {
  std::uint64_t requests[kOpcodeSlots];  // read from /dev/fuse, by opcode (63: every larger one)
  std::uint64_t mapped;                  // READ and WRITE answered from an installed map
  std::uint64_t bmap_hits;               // BMAP answered from a pinned map
  std::uint64_t read_bytes;
  std::uint64_t written_bytes;
  std::uint64_t ordinary_pages_in;       // by path: through an installed map
  std::uint64_t ordinary_pages_out;
  std::uint64_t swap_rw_pages_in;        // through the map of an activated file
  std::uint64_t swap_rw_pages_out;
  std::uint64_t parked_pages_in;         // after the control plane had said where they lie
  std::uint64_t parked_pages_out;
  std::uint64_t merged;                  // requests that shared a transfer with the one before them
  std::uint64_t transfers;               // reads and writes of the device
  std::uint64_t polls;                   // looks at /dev/fuse before sleeping on it
  std::uint64_t poll_hits;               // and a request was there
  std::uint64_t awake_began;             // times that idle CPUs were kept from halting
  std::uint64_t awake_ended;
  std::uint64_t partner_pieces;          // pieces of long transfers that a second thread did
  std::uint64_t reserved[7];
  // Bucket b: answers that took from 2^b to 2^(b+1) ns (0: less, 39: longer as well).
  std::uint64_t latency[kLatencyClasses][kLatencyBuckets];
};
static_assert(sizeof(CounterShard) == 1984);

// A write through an installed map changed this inode's mtime. The data plane claims a slot only while time_ns is 0
// (ino first, then time_ns); the control plane reads ino, then exchanges time_ns with 0.
struct TouchSlot {
  std::uint64_t ino;
  std::uint64_t time_ns;
};

// A write that the data plane carried out under a granted map (kMapGranted) and the control plane has not committed yet:
// `count` pages of the file from `file_page` are written at `device_page`, and the file reaches at least `end`. A write
// that only made the file longer has count 0.
struct RingEntry {
  std::uint64_t ino;
  std::uint64_t device_page;
  std::uint64_t end;      // bytes
  std::uint64_t time_ns;  // CLOCK_REALTIME, the new mtime
  std::uint32_t file_page;
  std::uint32_t count;
};
static_assert(sizeof(RingEntry) == 40);

// Entries [head, tail) wait for the control plane, entry i in slot i % kRingSlots; both count up and wrap. The data plane
// fills slots and then moves `tail`, at once over all entries of one write; the control plane moves `head` when the
// journal has them. It may die between its commit and that: an entry that is committed again changes nothing.
struct CommitRing {
  std::uint32_t tail;
  std::uint32_t head;
  std::uint32_t padding[14];
  RingEntry entries[kRingSlots];
};

// Attributes of a directory as GETATTR answers them. The control plane writes them before it answers whatever changed them:
// `sequence` odd, the rest, `sequence` even.
struct AttributeSlot {
  std::uint32_t sequence;
  std::uint32_t padding;
  std::uint64_t ino;              // 0: none; in slot ino % kAttributeSlots
  std::uint64_t attr_out[13];     // fuse_attr_out
  std::uint64_t reserved;
};
static_assert(sizeof(AttributeSlot) == 128);

// What the control plane lets the data plane say without asking. After each change in a directory the kernel asks for its
// attributes, before each new name whether it is there, and before a write for the writer's capabilities to take away.
struct DirectoryNotes {
  std::uint32_t ready;            // 1: the bit of every name is set
  std::uint32_t no_capabilities;  // 1: no inode of the volume has the xattr security.capability
  std::uint32_t padding[14];
  AttributeSlot attributes[kAttributeSlots];
  // The bit of a name (NameBit, native/dataplane/directory_notes.cc) is set before a commit makes the name, and stays.
  unsigned char names[kNameBits / 8];
};

// An open file. `fh` is the unique of the OPEN or CREATE that made it (resend bit cleared), written last and cleared
// first, so that a slot is whole or absent; a resent OPEN finds its own slot.
struct HandleSlot {
  std::uint64_t fh;     // 0: free
  std::uint64_t ino;
  std::uint32_t flags;  // open(2) flags
  std::uint32_t pid;
  std::uint32_t uid;
  std::uint32_t padding;
};
static_assert(sizeof(HandleSlot) == 32);

struct Session {
  SessionHeader header;
  SessionCounters counters;
  CounterShard shards[kCounterShards];
  TouchSlot touched[kTouchSlots];
  CommitRing ring;
  DirectoryNotes directories;
  HandleSlot handles[kHandleSlots];  // the data plane does not map these
};
static_assert(offsetof(Session, counters) == 72);

}  // namespace swapfs::abi
