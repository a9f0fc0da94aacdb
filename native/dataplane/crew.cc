#include "crew.h"

#include "futex.h"
#include "session_view.h"

namespace swapfs {

void Crew::Init(bool all) noexcept {
  all_ = all;
  for (std::size_t i = 0; i < seats_.size(); i++) seats_[i].word.store(all || i == 0 ? kReading : 0);
}

void Crew::Await(int reader, const WorldGate& gate) noexcept {
  Seat& seat = seats_[Index(reader)];
  for (;;) {
    const std::uint32_t word = seat.word.load();
    if ((word & kReading) != 0 || gate.closed()) return;
    const bool watches = watched_.load();
    FutexSleep(seat.word, word, watches ? kStuckNs : 0);
    if (!watches) continue;
    const std::uint64_t now = MonotonicNs();
    if (AllStuck(now)) seat.word.fetch_or(kReading);
    if (!Quiet(now)) continue;
    watched_.store(false);
    // A request that came in between saw that somebody watches, and woke nobody: one of the two sees the other.
    if (!Quiet(MonotonicNs())) watched_.store(true);
  }
}

void Crew::OnRequest(int reader, bool waited, std::size_t bytes, std::uint64_t now_ns) noexcept {
  if (all_) return;
  Seat& seat = seats_[Index(reader)];
  seat.last_ns.store(now_ns, std::memory_order_relaxed);
  seat.busy_since_ns.store(now_ns);  // seq_cst, before the look at watched_: see Await
  if (!watched_.load() && !watched_.exchange(true)) {
    for (Seat& other : seats_) {
      other.word.fetch_add(kWatchStep);
      FutexWakeOne(other.word);
    }
  }
  seat.waited = waited ? seat.waited + 1 : 0;
  seat.idle = waited ? 0 : seat.idle + 1;
  if (seat.waited >= (bytes >= kLongBytes ? 1 : kCallAfter)) {
    seat.waited = 0;
    Call();
  }
  if (reader != 0 && seat.idle >= kRestAfter) {
    seat.idle = 0;
    seat.word.fetch_and(~kReading);
  }
}

void Crew::Call() noexcept {
  for (Seat& seat : seats_) {
    if ((seat.word.fetch_or(kReading) & kReading) != 0) continue;
    FutexWakeOne(seat.word);
    return;
  }
}

int Crew::reading() const noexcept {
  int count = 0;
  for (const Seat& seat : seats_) count += (seat.word.load() & kReading) != 0 ? 1 : 0;
  return count;
}

bool Crew::Alone() const noexcept {
  int busy = 0;
  for (const Seat& seat : seats_) busy += seat.busy_since_ns.load(std::memory_order_relaxed) != 0 ? 1 : 0;
  return busy == 1;
}

bool Crew::AllStuck(std::uint64_t now_ns) const noexcept {
  for (const Seat& seat : seats_) {
    if ((seat.word.load() & kReading) == 0) continue;
    const std::uint64_t since = seat.busy_since_ns.load(std::memory_order_relaxed);
    if (since == 0 || now_ns < since + kStuckNs) return false;
  }
  return true;
}

bool Crew::Quiet(std::uint64_t now_ns) const noexcept {
  for (const Seat& seat : seats_) {
    const std::uint64_t busy = seat.busy_since_ns.load();
    if (busy != 0 || now_ns < seat.last_ns.load(std::memory_order_relaxed) + kWatchNs) return false;
  }
  return true;
}

}  // namespace swapfs
