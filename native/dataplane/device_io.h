// Whole pages between memory and the block device, with O_DIRECT. A short transfer is an error; every error is EIO.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "descriptor.h"
#include "extent_runs.h"
#include "faults.h"
#include "mapped_region.h"
#include "partner.h"
#include "sync.h"

namespace swapfs {

class DeviceIo {
 public:
  // 0 or -errno. Failed transfers are counted in `errors`.
  int Open(const char* path, std::uint64_t& errors) noexcept;
  // Before FUSE_DESTROY is answered, so that a loop device is free when umount returns.
  void Close() noexcept { device_.Close(); }

  // Fills one page of memory for each page of the runs: holes and unwritten pages with zeros.
  // `alone`: no other request is in hand, so a long transfer may have two threads.
  int ReadRuns(const RunList& runs, std::byte* pages, bool alone = false) noexcept;

  // Writes bytes [head, head + length) of `pages`, head < 4096, to the pages of the runs. The rest of an edge page comes
  // from the device when it is written, is zero when it is unwritten; `pages` is completed in place.
  int WriteRuns(const RunList& runs, std::byte* pages, std::uint32_t head, std::uint32_t length, bool alone = false,
                Transfer transfer = Transfer::kWrite) noexcept;

  // True: a page takes so long that a thread has better things to do.
  bool makes_wait() const noexcept { return makes_wait_; }
  int fd() const noexcept { return device_.get(); }
  Partner& partner() noexcept { return partner_; }

  // One transfer of `bytes`, a whole number of pages. 0 or -EIO, logged and counted.
  int Exact(Transfer transfer, std::byte* data, std::size_t bytes, std::uint64_t device_page) noexcept;
  // What came of one that somebody else has done: `got` is bytes or -errno.
  int Judge(Transfer transfer, std::uint64_t device_page, std::size_t bytes, long got) noexcept;

  // Zeros over bytes [from, from + length) of a page.
  int ZeroPart(std::uint64_t device_page, std::uint32_t from, std::uint32_t length) noexcept;

 private:
  // Two writes to different bytes of one page must not lose each other's: whoever reads and writes a page back holds its
  // stripe. Each stripe has the page of memory for it.
  static constexpr std::size_t kStripes = 32;

  std::size_t StripeOf(std::uint64_t device_page) const noexcept { return device_page % kStripes; }
  std::byte* Scratch(std::size_t stripe) const noexcept { return scratch_.data() + stripe * kPageBytes; }
  int CompleteEdges(const RunList& runs, std::byte* pages, std::uint32_t head, std::uint32_t length) noexcept;
  int CompletePage(const Run& page, std::byte* data, std::uint32_t from, std::uint32_t to) noexcept;
  int WritePages(const RunList& runs, std::byte* pages, bool alone, Transfer transfer) noexcept;
  int Move(Transfer transfer, std::byte* data, std::size_t bytes, std::uint64_t device_page, bool alone) noexcept;
  bool HasQueue() const noexcept;
  bool MeasureWait() noexcept;

  Descriptor device_;
  Faults faults_;
  Partner partner_;
  std::uint64_t* errors_ = nullptr;
  bool makes_wait_ = false;
  MappedRegion scratch_;
  std::array<Mutex, kStripes> stripes_;
};

}  // namespace swapfs
