#include "device_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "log.h"
#include "rate_limit.h"
#include "session_view.h"

namespace swapfs {

namespace {

// The device's own word goes to the log; the caller gets EIO. `got`: bytes or -errno.
int Failed(const char* what, std::uint64_t device_page, std::size_t bytes, long got) noexcept {
  static RateLimit limit;
  std::uint64_t left_out = 0;
  if (!limit.Pass(MonotonicNs(), left_out)) return -EIO;
  const char* word = got < 0 ? ErrnoName(static_cast<int>(-got)) : "short";
  if (left_out == 0) {
    Log("cannot %s %zu bytes at device page %lu: %s", what, bytes, device_page, word);
  } else {
    Log("cannot %s %zu bytes at device page %lu: %s (%lu failures before it are not shown)", what, bytes, device_page,
        word, left_out);
  }
  return -EIO;
}

ssize_t Write(int fd, std::byte* data, std::size_t bytes, off_t offset, Transfer transfer) noexcept {
  if (transfer == Transfer::kWrite) return ::pwrite(fd, data, bytes, offset);
  const iovec part{data, bytes};
  return ::pwritev2(fd, &part, 1, offset, RWF_DSYNC);
}

// What pread(2) and pwrite(2) return, as bytes or -errno.
long OrErrno(ssize_t got) noexcept { return got < 0 ? -errno : got; }

}  // namespace

int DeviceIo::Open(const char* path, std::uint64_t& errors) noexcept {
  errors_ = &errors;
  // Never O_EXCL: the mount holds the kernel's exclusive claim.
  device_ = Descriptor(::open(path, O_RDWR | O_DIRECT | O_CLOEXEC));
  if (!device_.valid()) return -errno;
  if (const int error = faults_.Open(); error != 0) return error;
  scratch_ = MappedRegion::Anonymous(kStripes * kPageBytes);
  if (!scratch_.valid()) return -ENOMEM;
  makes_wait_ = HasQueue() || MeasureWait();
  return 0;
}

// Hardware and loop devices have queues (blk-mq); zram, brd and pmem are done in the context of their caller.
bool DeviceIo::HasQueue() const noexcept {
  struct stat status {};
  if (::fstat(device_.get(), &status) != 0) return true;
  char path[64];
  for (const char* whole : {"", "/.."}) {  // of a partition the queues are its device's
    std::snprintf(path, sizeof(path), "/sys/dev/block/%u:%u%s/mq", major(status.st_rdev), minor(status.st_rdev), whole);
    if (::access(path, F_OK) == 0) return true;
  }
  return false;
}

// For what lies between (device mapper, RAID): the median of some reads all over the device. Memory answers within a
// microsecond or two, and io_uring could only add to that.
bool DeviceIo::MeasureWait() noexcept {
  constexpr std::size_t kReads = 9;
  constexpr std::uint64_t kWaitNs = 25'000;
  std::array<std::uint64_t, kReads> took{};
  const off_t end = ::lseek(device_.get(), 0, SEEK_END);
  for (std::size_t i = 0; i < kReads; i++) {
    const auto page = static_cast<std::uint64_t>(end) / kPageBytes * i / kReads;
    const std::uint64_t start = MonotonicNs();
    if (::pread(device_.get(), scratch_.data(), kPageBytes, static_cast<off_t>(page * kPageBytes)) < 0) return true;
    took[i] = MonotonicNs() - start;
  }
  std::ranges::sort(took);
  return took[kReads / 2] > kWaitNs;
}

int DeviceIo::ReadRuns(const RunList& runs, std::byte* pages, bool alone) noexcept {
  for (const Run& run : runs.runs()) {
    const std::size_t bytes = std::size_t{run.pages} * kPageBytes;
    if (run.state == PageState::kHole || run.state == PageState::kUnwritten) {
      std::memset(pages, 0, bytes);
    } else if (const int error = Move(Transfer::kRead, pages, bytes, run.device_page, alone); error != 0) {
      return error;
    }
    pages += bytes;
  }
  return 0;
}

int DeviceIo::WriteRuns(const RunList& runs, std::byte* pages, std::uint32_t head, std::uint32_t length, bool alone,
                        Transfer transfer) noexcept {
  const std::uint32_t end = head + length;
  if (head == 0 && end % kPageBytes == 0) return WritePages(runs, pages, alone, transfer);
  const std::size_t first = StripeOf(runs.PageAt(0).device_page);
  const std::size_t last = StripeOf(runs.PageAt((end - 1) / kPageBytes).device_page);
  Mutex& low = stripes_[std::min(first, last)];
  Mutex& high = stripes_[std::max(first, last)];
  low.Lock();
  if (first != last) high.Lock();
  int error = CompleteEdges(runs, pages, head, length);
  if (error == 0) error = WritePages(runs, pages, alone, transfer);
  if (first != last) high.Unlock();
  low.Unlock();
  return error;
}

int DeviceIo::CompleteEdges(const RunList& runs, std::byte* pages, std::uint32_t head, std::uint32_t length) noexcept {
  const std::uint32_t end = head + length;
  const std::uint32_t last = (end - 1) / kPageBytes;
  const std::uint32_t tail = end - last * kPageBytes;  // first byte of the last page that is not written
  if (last == 0) return CompletePage(runs.PageAt(0), pages, head, tail);
  int error = head > 0 ? CompletePage(runs.PageAt(0), pages, head, kPageBytes) : 0;
  if (error == 0 && tail < kPageBytes) {
    error = CompletePage(runs.PageAt(last), pages + std::size_t{last} * kPageBytes, 0, tail);
  }
  return error;
}

int DeviceIo::CompletePage(const Run& page, std::byte* data, std::uint32_t from, std::uint32_t to) noexcept {
  if (page.state == PageState::kUnwritten) {
    std::memset(data, 0, from);
    std::memset(data + to, 0, kPageBytes - to);
    return 0;
  }
  std::byte* old = Scratch(StripeOf(page.device_page));
  if (const int error = Exact(Transfer::kRead, old, kPageBytes, page.device_page); error != 0) return error;
  std::memcpy(data, old, from);
  std::memcpy(data + to, old + to, kPageBytes - to);
  return 0;
}

int DeviceIo::WritePages(const RunList& runs, std::byte* pages, bool alone, Transfer transfer) noexcept {
  for (const Run& run : runs.runs()) {
    const std::size_t bytes = std::size_t{run.pages} * kPageBytes;
    if (const int error = Move(transfer, pages, bytes, run.device_page, alone); error != 0) return error;
    pages += bytes;
  }
  return 0;
}

int DeviceIo::ZeroPart(std::uint64_t device_page, std::uint32_t from, std::uint32_t length) noexcept {
  const std::size_t stripe = StripeOf(device_page);
  const Guard guard(stripes_[stripe]);
  std::byte* page = Scratch(stripe);
  if (const int error = Exact(Transfer::kRead, page, kPageBytes, device_page); error != 0) return error;
  std::memset(page + from, 0, length);
  return Exact(Transfer::kWrite, page, kPageBytes, device_page);
}

int DeviceIo::Move(Transfer transfer, std::byte* data, std::size_t bytes, std::uint64_t device_page, bool alone) noexcept {
  return alone && partner_.enabled() ? partner_.Move(transfer, data, bytes, device_page)
                                     : Exact(transfer, data, bytes, device_page);
}

int DeviceIo::Exact(Transfer transfer, std::byte* data, std::size_t bytes, std::uint64_t device_page) noexcept {
  const auto offset = static_cast<off_t>(device_page * kPageBytes);
  long got = 0;
  do {
    got = OrErrno(transfer == Transfer::kRead ? ::pread(device_.get(), data, bytes, offset)
                                              : Write(device_.get(), data, bytes, offset, transfer));
  } while (got == -EINTR);
  return Judge(transfer, device_page, bytes, got);
}

int DeviceIo::Judge(Transfer transfer, std::uint64_t device_page, std::size_t bytes, long got) noexcept {
  got = faults_.Result(transfer, device_page, bytes, got);
  if (got == static_cast<long>(bytes)) return 0;
  SessionView::Add(*errors_);
  return Failed(transfer == Transfer::kRead ? "read" : "write", device_page, bytes, got);
}

}  // namespace swapfs
