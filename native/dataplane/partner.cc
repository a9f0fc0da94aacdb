#include "partner.h"

#include <unistd.h>

#include <algorithm>

#include "device_io.h"
#include "futex.h"
#include "session_view.h"

namespace swapfs {

void Partner::Init(DeviceIo& device, SessionView& session, Use use) noexcept {
  tally_.Init(session, kPartnerShard);
  use_ = use;
  if (use != Use::kNever && ::sysconf(_SC_NPROCESSORS_ONLN) > 1) device_ = &device;
}

int Partner::Move(Transfer transfer, std::byte* data, std::size_t bytes, std::uint64_t device_page) noexcept {
  const Job job{transfer, data, bytes, device_page};
  if (bytes < kLongBytes || in_use_.exchange(true, std::memory_order_acquire)) return Piece(job, 0, bytes);
  Habit& habit = HabitOf(job);
  const bool shares = Shares(habit, job);
  const std::uint64_t start = MonotonicNs();
  const int error = shares ? Share(job) : Piece(job, 0, bytes);
  const std::uint64_t page_ns = (MonotonicNs() - start) * kPageBytes / bytes;
  std::uint64_t& known = shares ? habit.shared_page_ns : habit.alone_page_ns;
  known = known == 0 ? page_ns : known - known / 4 + page_ns / 4;
  in_use_.store(false, std::memory_order_release);
  return error;
}

Partner::Habit& Partner::HabitOf(const Job& job) noexcept {
  int length = 0;
  while (length + 1 < kLengths && job.bytes >= (2 * kLongBytes) << length) length++;
  return habits_[job.transfer == Transfer::kRead ? 0 : 1][length];
}

bool Partner::Shares(Habit& habit, const Job& job) const noexcept {
  if (use_ == Use::kAlways) return true;
  if (habit.alone_page_ns == 0 || habit.alone_page_ns * (job.bytes / kPageBytes) < kWorthNs) return false;
  const bool faster = habit.shared_page_ns < habit.alone_page_ns;
  return ++habit.count % kLookAgain == 0 ? !faster : faster;
}

int Partner::Share(const Job& job) noexcept {
  job_ = job;
  next_.store(0, std::memory_order_relaxed);
  error_.store(0, std::memory_order_relaxed);
  state_.store(kOffered);
  FutexWakeOne(state_);
  TakePieces();
  std::uint32_t state = kOffered;
  if (!state_.compare_exchange_strong(state, kIdle)) {
    while (state_.load() == kTaken) FutexSleep(state_, kTaken);
  }
  return error_.load(std::memory_order_relaxed);
}

void Partner::Run() noexcept {
  for (;;) {
    std::uint32_t state = kOffered;
    if (!state_.compare_exchange_strong(state, kTaken)) {
      FutexSleep(state_, kIdle);
      continue;
    }
    Tally::Add(tally_.shard().partner_pieces, TakePieces());
    state_.store(kIdle);
    FutexWakeOne(state_);
  }
}

std::size_t Partner::TakePieces() noexcept {
  for (std::size_t taken = 0;; taken++) {
    const std::size_t from = next_.fetch_add(kPieceBytes, std::memory_order_relaxed);
    if (from >= job_.bytes) return taken;
    const int error = Piece(job_, from, std::min(kPieceBytes, job_.bytes - from));
    if (error != 0) error_.store(error, std::memory_order_relaxed);
  }
}

int Partner::Piece(const Job& job, std::size_t from, std::size_t bytes) noexcept {
  return device_->Exact(job.transfer, job.data + from, bytes, job.device_page + from / kPageBytes);
}

}  // namespace swapfs
