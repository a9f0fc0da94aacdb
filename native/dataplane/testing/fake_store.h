// The fake control plane's files: page tables in a mapped file, so that a restarted fake finds them as they were.
#pragma once

#include <cstdint>
#include <span>

#include "../../abi/messages.h"

namespace swapfs::fake {

inline constexpr std::uint32_t kFiles = 4;
inline constexpr std::uint64_t kFirstIno = 2;
inline constexpr std::uint32_t kPagesMax = 262144;  // of a file: 1 GiB

struct Page {
  std::uint32_t device_page;  // 0: hole
  std::uint32_t written;
};

struct File {
  std::uint64_t size;
  std::uint64_t mtime_ns;
  std::uint32_t mode;
  std::uint32_t pinned;     // an accepted swapfile: its map is installed pinned
  std::uint32_t installed;  // its map is installed at each start
  std::uint32_t swap_rw;
  Page pages[kPagesMax];
};

struct StoreData {
  std::uint32_t next_page;  // of the device; pages are never reused but by tests that say so
  std::uint32_t fragment;   // 1: neighbours in a file never lie next to each other
  File files[kFiles];
};

class Store {
 public:
  bool Open(const char* path) noexcept;

  File* Find(std::uint64_t ino) noexcept;
  StoreData& data() noexcept { return *data_; }

  // Allocates what is missing in the pages of a byte range, unwritten.
  void Allocate(File& file, std::uint64_t offset, std::uint64_t length) noexcept;
  void MarkWritten(File& file, std::uint64_t offset, std::uint64_t length) noexcept;
  bool HasNewPages(const File& file, std::uint64_t offset, std::uint64_t length) const noexcept;
  // Extents of pages [first, end), into room for as many as there may be. How many there are.
  std::uint32_t Extents(const File& file, std::uint32_t first, std::uint32_t end,
                        std::span<abi::ExtentEntry> room) const noexcept;

 private:
  StoreData* data_ = nullptr;
};

}  // namespace swapfs::fake
