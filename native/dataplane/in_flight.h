// The asks that the control plane has not answered yet. A round of FUSE_NOTIFY_RESEND for want of room sends their
// requests again too, under their names with FUSE_UNIQUE_RESEND: the copies are dropped here, and the answers go out
// under the new names. So each is carried out once while both planes live. Relayed requests are not in it: the control
// plane writes their replies itself, and knows what to do with a copy (src/engine/native/requests.ts).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "fuse_abi.h"
#include "fuse_channel.h"
#include "sync.h"

namespace swapfs {

class InFlight {
 public:
  explicit InFlight(FuseChannel& fuse) noexcept : fuse_(fuse) {}
  void Init() noexcept { Clear(); }

  // Of a reader, first of all, with each request that carries FUSE_UNIQUE_RESEND. True: it is in flight already (or was
  // answered since it was read), drop it.
  bool Duplicate(std::uint64_t unique) noexcept;

  // Before the request is handed over. False: no room.
  bool Begin(std::uint64_t unique) noexcept;
  // It could not be handed over.
  void Cancel(std::uint64_t unique) noexcept;

  void ReplyError(std::uint64_t unique, std::int32_t error) noexcept;
  void Reply(std::uint64_t unique, std::span<const std::byte> body) noexcept;

  // FUSE_NOTIFY_RESEND while the world is stopped: a copy of each will come. False: the kernel has none, and no copy comes.
  bool Resend() noexcept;
  // The world is stopped and the control plane is a new one: none is in flight.
  void Clear() noexcept;

 private:
  using Index = std::uint16_t;
  static constexpr Index kNone = 0xffff;
  static constexpr std::size_t kEntries = 4096;
  static constexpr std::size_t kBuckets = 1024;

  struct Entry {
    std::uint64_t base;  // unique without the resend bit
    Index next;
    bool resent;    // the kernel knows it with the bit
    bool seen;      // the copy of the last round has been dropped
    bool answered;  // under the new name, before its copy was seen: a reader holds that copy
  };
  // What a reply was written with: it is written again when that changed meanwhile.
  struct Name {
    std::uint64_t unique;
    bool known;
    bool seen;
    std::uint64_t round;
  };

  static std::uint64_t Base(std::uint64_t unique) noexcept { return unique & ~fuse::FUSE_UNIQUE_RESEND; }
  static std::size_t Bucket(std::uint64_t base) noexcept { return base / 2 % kBuckets; }
  Index* Find(std::uint64_t base) noexcept;
  void Remove(Index* link) noexcept;
  Name NameOf(std::uint64_t unique) noexcept;
  bool Finish(const Name& name, bool delivered) noexcept;
  template <typename Write>
  void Deliver(std::uint64_t unique, const Write& write) noexcept;

  FuseChannel& fuse_;
  Mutex mutex_;
  std::array<Entry, kEntries> entries_{};
  std::array<Index, kBuckets> buckets_{};
  Index free_ = kNone;
  std::uint64_t round_ = 0;
};

}  // namespace swapfs
