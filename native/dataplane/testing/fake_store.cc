#include "fake_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace swapfs::fake {

namespace {

constexpr std::uint64_t kPage = 4096;

std::uint32_t EndPage(std::uint64_t offset, std::uint64_t length) noexcept {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>((offset + length + kPage - 1) / kPage, kPagesMax));
}

}  // namespace

bool Store::Open(const char* path) noexcept {
  const int fd = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ::ftruncate(fd, sizeof(StoreData)) != 0) return false;
  void* data = ::mmap(nullptr, sizeof(StoreData), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (data == MAP_FAILED) return false;
  data_ = static_cast<StoreData*>(data);
  if (data_->next_page == 0) {
    for (File& file : data_->files) file.mode = S_IFREG | 0600;
    data_->next_page = 16;
  }
  return true;
}

File* Store::Find(std::uint64_t ino) noexcept {
  const bool known = ino >= kFirstIno && ino < kFirstIno + kFiles;
  return known ? &data_->files[ino - kFirstIno] : nullptr;
}

void Store::Allocate(File& file, std::uint64_t offset, std::uint64_t length) noexcept {
  const std::uint32_t end = EndPage(offset, length);
  for (auto page = static_cast<std::uint32_t>(offset / kPage); page < end; page++) {
    if (file.pages[page].device_page != 0) continue;
    file.pages[page] = {data_->next_page, 0};
    data_->next_page += data_->fragment != 0 ? 2 : 1;
  }
}

void Store::MarkWritten(File& file, std::uint64_t offset, std::uint64_t length) noexcept {
  const std::uint32_t end = EndPage(offset, length);
  for (auto page = static_cast<std::uint32_t>(offset / kPage); page < end; page++) file.pages[page].written = 1;
}

bool Store::HasNewPages(const File& file, std::uint64_t offset, std::uint64_t length) const noexcept {
  const std::uint32_t end = EndPage(offset, length);
  for (auto page = static_cast<std::uint32_t>(offset / kPage); page < end; page++) {
    if (file.pages[page].written == 0) return true;
  }
  return false;
}

std::uint32_t Store::Extents(const File& file, std::uint32_t first, std::uint32_t end,
                             std::span<abi::ExtentEntry> room) const noexcept {
  std::uint32_t count = 0;
  for (std::uint32_t page = first; page < std::min(end, kPagesMax); page++) {
    const Page& entry = file.pages[page];
    if (entry.device_page == 0) continue;
    const std::uint32_t state = entry.written != 0 ? abi::kWritten : abi::kUnwritten;
    if (count > 0) {
      abi::ExtentEntry& last = room[count - 1];
      const bool next = last.file_page + last.count == page && last.device_page + last.count == entry.device_page;
      if (next && last.state == state) {
        last.count = (last.count + 1) & 0x3fffffff;
        continue;
      }
    }
    if (count < room.size()) room[count] = {entry.device_page, page, 1, state & 3};
    count++;
  }
  return std::min<std::uint32_t>(count, static_cast<std::uint32_t>(room.size()));
}

}  // namespace swapfs::fake
