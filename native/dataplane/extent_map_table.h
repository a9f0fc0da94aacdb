// The maps that the control plane installed: where the pages of an inode lie. Requests copy what they need, under the lock
// or, of pinned and activated files, without one (PinnedMaps), and hold the map until their I/O is over; a revoked map is
// found by nobody from then on, and kRevoked is sent when the last holder is done.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "../abi/messages.h"
#include "commit_ring.h"
#include "control_link.h"
#include "extent_arena.h"
#include "extent_runs.h"
#include "pinned_maps.h"
#include "session_view.h"
#include "sync.h"

namespace swapfs {

class ExtentMapTable;

// Keeps kRevoked of a map from being sent while it lives.
class MapHold {
 public:
  MapHold() noexcept = default;
  MapHold(const MapHold&) = delete;
  MapHold& operator=(const MapHold&) = delete;
  ~MapHold() { Release(); }
  void Release() noexcept;
  // `other` holds nothing yet; it keeps the map from now on.
  void GiveTo(MapHold& other) noexcept;

  std::uint64_t size = 0;   // of the file, bytes
  std::uint32_t flags = 0;  // MapFlags

 private:
  friend class ExtentMapTable;
  ExtentMapTable* table_ = nullptr;
  std::uint16_t slot_ = 0;
  PinnedMaps::Index entry_ = PinnedMaps::kNone;  // instead of a slot: found without the lock
  std::uint16_t claim_ = 0;  // of BeginWrite
};

class ExtentMapTable {
 public:
  ExtentMapTable(ControlLink& link, SessionView& session) noexcept : link_(link), session_(session) {}
  bool Init() noexcept;

  // The pages of bytes [offset, offset + length), length <= kRequestBytesMax, clipped at the size of the file, as runs.
  // False: no map of that inode.
  bool Acquire(std::uint64_t ino, std::uint64_t offset, std::uint32_t length, RunList& runs, MapHold& hold) noexcept;

  // For a write that changes where data lies or how long the file is, under a granted map; waits for a write to the same
  // pages. False: the control plane must be asked. EndWrite follows, before the hold is released.
  bool BeginWrite(std::uint64_t ino, std::uint64_t offset, std::uint32_t length, RunList& runs, MapHold& hold) noexcept;
  // `end`: the byte behind the write; `error`: of its I/O. With 0 the write is in the commit ring when this returns.
  void EndWrite(MapHold& hold, const RunList& runs, std::uint64_t end, int error) noexcept;

  // Place of a file's page on the device, 0 for a hole. False: no pinned map of that inode.
  bool PinnedPage(std::uint64_t ino, std::uint64_t file_page, std::uint64_t& device_page) noexcept;

  // One chunk of a map; answers kInstalled at the last.
  void Install(const abi::InstallMessage& message, std::span<const abi::ExtentEntry> extents) noexcept;
  void Revoke(const abi::RevokeMessage& message) noexcept;

  // Every map that is not pinned. No request may hold one.
  void ForgetUnpinned() noexcept;

 private:
  friend class MapHold;
  using Index = std::uint16_t;
  static constexpr Index kNoSlot = 0xffff;
  static constexpr std::size_t kBuckets = 4096;
  static constexpr std::size_t kRevokesMax = 1024;

  struct Filling {
    ExtentArena::Handle handle = ExtentArena::kNone;
    std::uint32_t filled = 0;
    std::uint32_t total = 0;
    std::int32_t error = 0;
    bool active = false;
  };
  struct Slot {
    std::uint64_t ino = 0;
    std::uint64_t size = 0;
    std::uint64_t serial = 0;  // of the install (oldest is evicted first), or of the revoke
    std::uint32_t flags = 0;
    std::uint32_t users = 0;
    ExtentArena::Handle handle = ExtentArena::kNone;
    std::uint32_t count = 0;     // entries in use; a granted map has room for more
    std::uint32_t promised = 0;  // of that room, to writes that are under way
    PinnedMaps::Index entry = PinnedMaps::kNone;
    Index next = kNoSlot;  // in its bucket, or among the free or dying ones
    bool installed = false;
    bool dying = false;
    bool failed = false;  // a granted write of it failed: see MayWrite
    Filling filling;
  };
  struct PendingRevoke {
    std::uint64_t tag;
    std::uint64_t ino;
    std::uint64_t serial;
  };

  // Pages that a granted write is about to write for the first time, and the end of the file that it is about to move.
  struct WriteClaim {
    std::uint64_t ino;
    std::uint64_t first;
    std::uint32_t count;
    std::uint32_t unwritten;  // runs
    bool used;
  };
  static constexpr std::size_t kClaims = 64;

  bool AcquirePinned(std::uint64_t ino, std::uint64_t offset, std::uint32_t length, RunList& runs, MapHold& hold) noexcept;
  void Release(MapHold& hold) noexcept;
  // Frees a slot whose map is gone once nobody uses it.
  void Settle(Index index) noexcept;
  bool Busy(const Slot& slot) const noexcept;
  // Of a pinned or activated file: it changes as a whole only, and is not evicted.
  static bool Steady(std::uint32_t flags) noexcept {
    return (flags & (abi::kMapPinned | abi::kMapSwapRw)) != 0 && (flags & abi::kMapGranted) == 0;
  }
  // Whether requests find the slot's map without the lock. Hide returns when none looks into it any more.
  void Show(Index index) noexcept;
  void Hide(const Slot& slot) noexcept;
  void Compact() noexcept;
  bool MayWrite(const Slot& slot, std::uint64_t offset) const noexcept;
  std::size_t FreeClaim(std::uint64_t ino, std::uint64_t first, std::uint32_t count) const noexcept;
  void Note(const WriteClaim& claim, const RunList& runs, std::uint64_t end) noexcept;
  void Follow(Slot& slot, std::uint64_t first, const RunList& runs, std::uint64_t end) noexcept;
  void MarkWritten(Slot& slot, std::uint64_t from, std::uint64_t to) noexcept;
  void Splice(Slot& slot, std::size_t at, std::size_t count, std::span<const abi::ExtentEntry> made) noexcept;
  Index Find(std::uint64_t ino) const noexcept;
  Index Claim(std::uint64_t ino) noexcept;
  void Unlink(Index index) noexcept;
  void FreeSlot(Index index) noexcept;
  void DropMap(Slot& slot) noexcept;
  void Begin(Slot& slot, const abi::InstallMessage& message) noexcept;
  void Append(Slot& slot, std::span<const abi::ExtentEntry> extents) noexcept;
  void Publish(Slot& slot, const abi::InstallMessage& message) noexcept;
  bool EvictOldest() noexcept;
  ExtentArena::Handle Reserve(std::uint64_t entries) noexcept;
  bool Dying(std::uint64_t ino, std::uint64_t before_serial) const noexcept;
  void CompleteRevokes() noexcept;
  void UnlinkDying(Index index) noexcept;
  void UpdateGauges() noexcept;
  std::span<abi::ExtentEntry> Entries(const Slot& slot) noexcept { return arena_.Entries(slot.handle).first(slot.count); }

  ControlLink& link_;
  SessionView& session_;
  Mutex mutex_;
  Condition revoke_ended_;
  Condition claim_ended_;
  ExtentArena arena_;
  PinnedMaps pinned_;
  std::array<Slot, kMapSlots> slots_{};
  std::array<Index, kBuckets> buckets_{};
  Index free_ = kNoSlot;
  Index dying_ = kNoSlot;
  std::array<PendingRevoke, kRevokesMax> revokes_{};
  std::size_t revoke_count_ = 0;
  CommitRing ring_;
  std::array<WriteClaim, kClaims> claims_{};
  std::uint64_t next_serial_ = 1;
  std::uint64_t installed_ = 0;
};

}  // namespace swapfs
