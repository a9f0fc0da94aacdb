// Messages between the data plane and the control plane, one SOCK_SEQPACKET datagram each, little-endian.
// The keeper owns both ends of the socket pair, so a message that was sent survives the death of its sender, and one
// that its receiver had read but not carried out is made good by FUSE_NOTIFY_RESEND (the kernel sends the request again).
// src/dataplane/messages.ts declares the same structs; test/native/abi.test.ts compares sizes and offsets.
#pragma once

#include <cstdint>

namespace swapfs::abi {

// A datagram is at most this long: fuse requests other than WRITE (SETXATTR: 64 KiB value), readdir replies, map chunks.
inline constexpr std::uint32_t kMessageBytesMax = 128 * 1024;

enum class MessageType : std::uint32_t {
  // data plane -> control plane
  kDataHello = 1,      // MessageHeader; a data plane has started (tag: its generation) and holds no map
  kDataReady = 2,      // MessageHeader; answer to kControlHello: every older request is dropped and will be resent
  kRequest = 3,        // MessageHeader + a raw FUSE request (fuse_in_header …); tag: its unique
  kAsk = 4,            // AskMessage; tag: the parked request
  kCommit = 5,         // CommitMessage; the parked write is on the device. Answered by kCommitted
  kReadDone = 6,       // MessageHeader; the parked read no longer uses its answer; tag: the parked request
  kRevoked = 7,        // RevokeMessage; no request uses that map any more
  kZeroed = 8,         // ResultMessage; answer to kZero
  kInstalled = 9,      // ResultMessage; answer to the last chunk of kInstall; error ENOMEM: no room, not installed
  kRingHalf = 10,      // MessageHeader; the commit ring of the session segment is half full: commit what is in it
  kCopied = 11,        // ResultMessage; answer to kCopy
  kForgotten = 12,     // RevokeMessage; no request will use that map, but one still does: kRevoked follows

  // control plane -> data plane
  kControlHello = 32,  // MessageHeader; a control plane has started (tag: its generation); drop, RESEND, kDataReady
  kReply = 33,         // MessageHeader + a raw FUSE reply (fuse_out_header …)
  kAnswer = 34,        // AnswerMessage + ExtentEntry[extents]; answer to kAsk
  kCommitted = 35,     // ResultMessage; answer to kCommit
  kInstall = 36,       // InstallMessage + ExtentEntry[extents]; a map, in one or more chunks
  kRevoke = 37,        // RevokeMessage; forget the map of that inode, kRevoked when nothing uses it any more
  kZero = 38,          // ZeroMessage; write zeros over part of a device page (read, modify, write)
  kDataReadyGo = 39,   // MessageHeader; answer to kDataHello: pinned maps are installed, requests may be read
  kCopy = 40,          // CopyMessage; copy device pages, in the order of the messages and beside all other work
};

struct MessageHeader {
  std::uint32_t type;    // MessageType
  std::uint32_t length;  // of the whole datagram, this header included
  std::uint64_t tag;     // pairs an answer with its question
};
static_assert(sizeof(MessageHeader) == 16);

enum ExtentState : std::uint32_t { kWritten = 0, kUnwritten = 1, kShared = 2 };

// `count` pages of a file from `file_page` lie on the device from `device_page`. Pages of no entry are a hole.
struct ExtentEntry {
  std::uint64_t device_page;
  std::uint32_t file_page;
  std::uint32_t count : 30;
  std::uint32_t state : 2;
};
static_assert(sizeof(ExtentEntry) == 16);

enum AskFlags : std::uint32_t { kAskWrite = 1, kAskKillSuidgid = 2, kAskSync = 4 };  // O_DSYNC or O_SYNC

// Where do bytes [offset, offset+length) of this inode lie? For a write: allocate what is missing.
struct AskMessage {
  MessageHeader header;
  std::uint64_t ino;
  std::uint64_t offset;
  std::uint64_t unique;  // of the FUSE request
  std::uint32_t length;
  std::uint32_t flags;   // AskFlags
};
static_assert(sizeof(AskMessage) == 48);

// The extents cover the asked range, clipped; `size` is the file's size now (a read is short there).
// After error != 0 the parked request is answered with it and is over.
struct AnswerMessage {
  MessageHeader header;
  std::uint64_t size;
  std::int32_t error;    // 0 or a negative errno
  std::uint32_t extents;
};
static_assert(sizeof(AnswerMessage) == 32);

// The parked write of `length` bytes at `offset` is on the device (`error`: 0), or failed (negative errno).
struct CommitMessage {
  MessageHeader header;
  std::uint64_t ino;
  std::uint64_t offset;
  std::uint64_t time_ns;  // CLOCK_REALTIME, the new mtime
  std::uint32_t length;
  std::int32_t error;
};
static_assert(sizeof(CommitMessage) == 48);

struct ResultMessage {
  MessageHeader header;
  std::int32_t error;
  std::uint32_t padding;
};
static_assert(sizeof(ResultMessage) == 24);

enum MapFlags : std::uint32_t {
  kMapFirst = 1,    // first chunk: forgets any older map of the inode that is not in use
  kMapLast = 2,     // last chunk: from here on the map is used
  kMapPinned = 4,   // passed the gate: BMAP is answered from it, it is never evicted
  kMapSwapRw = 8,   // the swap_rw path
  kMapPlain = 16,   // no setuid, setgid or security.capability to take away at a write
  kMapGranted = 32, // the data plane may write unwritten pages and make the file longer: it notes it in the commit ring
};

struct InstallMessage {
  MessageHeader header;   // tag: the map's serial, repeated in kInstalled
  std::uint64_t ino;
  std::uint64_t size;     // bytes
  std::uint32_t flags;    // MapFlags
  std::uint32_t extents;  // in this chunk
  std::uint32_t total;    // in all chunks
  std::uint32_t room;     // entries more that a granted map may get when its extents are split
};
static_assert(sizeof(InstallMessage) == 48);

struct RevokeMessage {
  MessageHeader header;  // tag: repeated in kRevoked
  std::uint64_t ino;
};
static_assert(sizeof(RevokeMessage) == 24);

struct ZeroMessage {
  MessageHeader header;
  std::uint64_t device_page;
  std::uint32_t from;    // first byte in the page
  std::uint32_t length;  // from + length <= 4096
};
static_assert(sizeof(ZeroMessage) == 32);

// `count` whole pages, at most 256 (1 MiB). The two ranges do not overlap.
struct CopyMessage {
  MessageHeader header;
  std::uint64_t from_page;  // of the device
  std::uint64_t to_page;
  std::uint32_t count;
  std::uint32_t padding;
};
static_assert(sizeof(CopyMessage) == 40);

}  // namespace swapfs::abi
