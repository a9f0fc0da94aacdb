#include "pressure.h"

#include <sys/mman.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <functional>
#include <thread>

namespace swapfs::pressure {

namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Large enough that madvise costs nothing beside the I/O, small enough that little is resident beside a 64 MiB target.
constexpr std::uint64_t kPageoutPages = 4096;

class Workload {
 public:
  Workload(const Options& options, std::byte* memory)
      : options_(options), memory_(memory), pages_(options.bytes / kPageBytes), generations_(pages_, 0) {}

  double Fill() {
    return InPhase("fill", pages_, [this](std::uint64_t from, std::uint64_t to, unsigned) {
      for (std::uint64_t page = from; page < to; page += 1) {
        FillPage(At(page), page, 0, options_.pattern);
        Behind(from, page);
        Advance(1);
      }
    });
  }

  double Verify() {
    return InPhase("verify", pages_, [this](std::uint64_t from, std::uint64_t to, unsigned) {
      for (std::uint64_t page = from; page < to; page += 1) {
        Check(page);
        Behind(from, page);
        Advance(1);
      }
    });
  }

  // Each thread has its own pages, so that no two write one page; the order is random in all of them.
  double Touch(std::uint64_t& touches) {
    const auto deadline = Clock::now() + std::chrono::seconds(options_.seconds);
    const bool timed = options_.seconds > 0;
    std::atomic<std::uint64_t> touched = 0;
    const double seconds = InPhase("touch", options_.touches, [&](std::uint64_t from, std::uint64_t to, unsigned thread) {
      const std::uint64_t low = pages_ * thread / options_.threads;
      const std::uint64_t count = pages_ * (thread + 1) / options_.threads - low;
      std::uint64_t random = options_.pattern.seed * 2654435761u + thread + 1;
      for (std::uint64_t at = from; timed ? Clock::now() < deadline : at < to; at += 1) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        const std::uint64_t page = low + (random >> 33) % count;
        TouchPage(page);
        if (options_.pageout) Pageout(page, 1);
        touched.fetch_add(1, std::memory_order_relaxed);
        Advance(1);
      }
    });
    touches = touched;
    return seconds;
  }

  [[nodiscard]] std::uint64_t bad_pages() const { return bad_; }

 private:
  std::byte* At(std::uint64_t page) { return memory_ + page * kPageBytes; }

  void Check(std::uint64_t page) {
    if (PageIsGood(At(page), page, generations_[page], options_.pattern)) return;
    if (bad_.fetch_add(1) < 10) std::fprintf(stderr, "{\"bad\":%llu}\n", static_cast<unsigned long long>(page));
  }

  void TouchPage(std::uint64_t page) {
    Check(page);
    generations_[page] += 1;
    FillPage(At(page), page, generations_[page], options_.pattern);
  }

  void Behind(std::uint64_t from, std::uint64_t page) {
    const std::uint64_t done = page + 1 - from;
    if (options_.pageout && done % kPageoutPages == 0) Pageout(page + 1 - kPageoutPages, kPageoutPages);
  }

  void Pageout(std::uint64_t page, std::uint64_t count) { madvise(At(page), count * kPageBytes, MADV_PAGEOUT); }

  void Advance(std::uint64_t by) { done_.fetch_add(by, std::memory_order_relaxed); }

  using Part = std::function<void(std::uint64_t from, std::uint64_t to, unsigned thread)>;

  // Splits [0, total) over the threads and writes a progress line about four times a second.
  double InPhase(const char* phase, std::uint64_t total, const Part& part) {
    const auto start = Clock::now();
    done_ = 0;
    std::atomic<unsigned> running = options_.threads;
    double seconds = 0;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < options_.threads; i += 1) {
      threads.emplace_back([&, i] {
        part(total * i / options_.threads, total * (i + 1) / options_.threads, i);
        if (running.fetch_sub(1) == 1) seconds = SecondsSince(start);  // the last one, not the next look at it
      });
    }
    auto reported = start;
    while (running > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      if (Clock::now() - reported < std::chrono::milliseconds(250)) continue;
      reported = Clock::now();
      Report(phase, total);
    }
    for (std::thread& thread : threads) thread.join();
    Report(phase, total);
    return seconds;
  }

  void Report(const char* phase, std::uint64_t total) const {
    std::fprintf(stderr, "{\"phase\":\"%s\",\"done\":%llu,\"total\":%llu,\"bad\":%llu}\n", phase,
                 static_cast<unsigned long long>(done_.load()), static_cast<unsigned long long>(total),
                 static_cast<unsigned long long>(bad_.load()));
  }

  const Options& options_;
  std::byte* memory_;
  std::uint64_t pages_;
  std::vector<std::uint32_t> generations_;
  std::atomic<std::uint64_t> done_ = 0;
  std::atomic<std::uint64_t> bad_ = 0;
};

}  // namespace

int Run(const Options& options, Result& result) {
  void* memory = mmap(nullptr, options.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return -errno;
  // A huge page is swapped as one piece: 4 KiB is the honest unit unless it is asked for. ENOSYS or EINVAL where the
  // kernel has no THP, which is what is wanted.
  madvise(memory, options.bytes, options.huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  Workload workload(options, static_cast<std::byte*>(memory));
  result.fill_seconds = workload.Fill();
  result.verify_seconds = workload.Verify();
  if (options.touches > 0 || options.seconds > 0) result.touch_seconds = workload.Touch(result.touches);
  result.bad_pages = workload.bad_pages();
  munmap(memory, options.bytes);
  return 0;
}

}  // namespace swapfs::pressure
