// A second thread for a long transfer that is alone. A device that works in the context of its caller (zram compresses there,
// brd and pmem copy) keeps one CPU busy for it while another one idles. The transfer is cut into pieces which both threads
// take in turn, so that a partner who wakes up late has done less and nobody has waited for it. What that is worth depends
// on the machine (how long a CPU takes to wake up, whether two share a core), so both ways are timed for each length.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "faults.h"
#include "tally.h"

namespace swapfs {

class DeviceIo;

class Partner {
 public:
  enum class Use : int { kNever = 0, kAlways = 1, kWhereFaster = 2 };

  // Shorter ones are never shared: nobody need ask whether they are alone.
  static constexpr std::size_t kLongBytes = 64 * 1024;

  // Where there is one CPU, or without this call, nothing is ever shared.
  void Init(DeviceIo& device, SessionView& session, Use use) noexcept;
  bool enabled() const noexcept { return device_ != nullptr; }

  // Whole pages that are contiguous on the device. 0 or -EIO of any piece. The caller does all of it while the partner is
  // busy with somebody else's, and where that is faster.
  int Move(Transfer transfer, std::byte* data, std::size_t bytes, std::uint64_t device_page) noexcept;

  [[noreturn]] void Run() noexcept;

 private:
  static constexpr std::size_t kPieceBytes = 32 * 1024;
  static constexpr std::uint64_t kWorthNs = 60'000;
  static constexpr std::uint32_t kLookAgain = 16;  // every so many transfers go the way that was slower
  enum State : std::uint32_t { kIdle, kOffered, kTaken };

  struct Job {
    Transfer transfer;
    std::byte* data;
    std::size_t bytes;
    std::uint64_t device_page;
  };
  // How long transfers of one direction and about one length took, by what was done. Of who is in use.
  struct Habit {
    std::uint64_t alone_page_ns = 0;  // 0: not known yet
    std::uint64_t shared_page_ns = 0;
    std::uint32_t count = 0;
  };
  static constexpr int kLengths = 5;  // from kLongBytes on, each twice as long
  Habit& HabitOf(const Job& job) noexcept;
  bool Shares(Habit& habit, const Job& job) const noexcept;
  int Share(const Job& job) noexcept;
  std::size_t TakePieces() noexcept;  // their number
  int Piece(const Job& job, std::size_t from, std::size_t bytes) noexcept;

  DeviceIo* device_ = nullptr;
  Use use_ = Use::kNever;
  std::atomic<bool> in_use_{false};
  std::atomic<std::uint32_t> state_{kIdle};  // a futex
  Job job_{};  // written by who is in use, before kOffered
  std::atomic<std::size_t> next_{0};
  std::atomic<int> error_{0};
  Habit habits_[2][kLengths];
  Tally tally_;
};

}  // namespace swapfs
