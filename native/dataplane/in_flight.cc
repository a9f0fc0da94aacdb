#include "in_flight.h"

namespace swapfs {

bool InFlight::Duplicate(std::uint64_t unique) noexcept {
  const Guard guard(mutex_);
  Index* link = Find(Base(unique));
  if (*link == kNone) return false;
  Entry& entry = entries_[*link];
  entry.seen = true;
  if (entry.answered) Remove(link);
  return true;
}

bool InFlight::Begin(std::uint64_t unique) noexcept {
  const Guard guard(mutex_);
  if (free_ == kNone) return false;
  const Index index = free_;
  free_ = entries_[index].next;
  Index& first = buckets_[Bucket(Base(unique))];
  entries_[index] = {Base(unique), first, unique != Base(unique), true, false};
  first = index;
  return true;
}

void InFlight::Cancel(std::uint64_t unique) noexcept {
  const Guard guard(mutex_);
  Remove(Find(Base(unique)));
}

void InFlight::ReplyError(std::uint64_t unique, std::int32_t error) noexcept {
  Deliver(unique, [&](std::uint64_t name) { return fuse_.ReplyError(name, error); });
}

void InFlight::Reply(std::uint64_t unique, std::span<const std::byte> body) noexcept {
  Deliver(unique, [&](std::uint64_t name) { return fuse_.Reply(name, body); });
}

template <typename Write>
void InFlight::Deliver(std::uint64_t unique, const Write& write) noexcept {
  for (;;) {
    const Name name = NameOf(unique);
    if (Finish(name, write(name.unique))) return;
  }
}

InFlight::Name InFlight::NameOf(std::uint64_t unique) noexcept {
  const Guard guard(mutex_);
  const Index index = *Find(Base(unique));
  if (index == kNone) return {unique, false, false, round_};
  const Entry& entry = entries_[index];
  return {entry.base | (entry.resent ? fuse::FUSE_UNIQUE_RESEND : 0), true, entry.seen, round_};
}

// False: the kernel did not know that name, and the request has got another or has been read anew since: try again.
bool InFlight::Finish(const Name& name, bool delivered) noexcept {
  const Guard guard(mutex_);
  Index* link = Find(Base(name.unique));
  if (!name.known || *link == kNone) return true;
  Entry& entry = entries_[*link];
  if (!delivered && (name.round != round_ || name.seen != entry.seen)) return false;
  // Delivered before a reader has looked at the copy: whoever holds it must still find it here. Not delivered: the copy
  // waits in the kernel, and is then a request like any other.
  if (delivered && !entry.seen) {
    entry.answered = true;
  } else {
    Remove(link);
  }
  return true;
}

// With the lock held: a reply that meets the new names finds no entry that does not know them yet.
bool InFlight::Resend() noexcept {
  const Guard guard(mutex_);
  if (!fuse_.Resend()) return false;
  round_++;
  for (Index& first : buckets_) {
    for (Index* link = &first; *link != kNone;) {
      Entry& entry = entries_[*link];
      if (entry.answered) {
        Remove(link);  // its copy was dropped at the gate
        continue;
      }
      entry.resent = true;
      entry.seen = false;
      link = &entry.next;
    }
  }
  return true;
}

void InFlight::Clear() noexcept {
  const Guard guard(mutex_);
  round_++;
  buckets_.fill(kNone);
  free_ = kNone;
  for (std::size_t i = kEntries; i-- > 0;) {
    entries_[i] = {0, free_, false, false, false};
    free_ = static_cast<Index>(i);
  }
}

InFlight::Index* InFlight::Find(std::uint64_t base) noexcept {
  Index* link = &buckets_[Bucket(base)];
  while (*link != kNone && entries_[*link].base != base) link = &entries_[*link].next;
  return link;
}

void InFlight::Remove(Index* link) noexcept {
  if (*link == kNone) return;
  const Index index = *link;
  *link = entries_[index].next;
  entries_[index].next = free_;
  free_ = index;
}

}  // namespace swapfs
