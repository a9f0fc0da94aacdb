#include "faults.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "descriptor.h"
#include "log.h"
#include "units.h"

namespace swapfs {

namespace {

constexpr std::size_t kSectorBytes = 512;

template <typename T>
T Load(T& field) noexcept {
  return std::atomic_ref<T>(field).load();
}

bool Matches(FaultRule& rule, Transfer transfer, std::uint64_t device_page, std::uint64_t pages) noexcept {
  if ((Load(rule.transfers) & static_cast<std::uint32_t>(transfer)) == 0) return false;
  if (device_page >= Load(rule.end_page) || device_page + pages <= Load(rule.first_page)) return false;
  const std::uint64_t before = std::atomic_ref<std::uint64_t>(rule.matched).fetch_add(1);
  return before >= Load(rule.skip) && before - Load(rule.skip) < Load(rule.count);
}

}  // namespace

int Faults::Open() noexcept {
  const char* path = std::getenv("SWAPFS_TEST_FAULTS");
  if (path == nullptr) return 0;
  const Descriptor file(::open(path, O_RDWR | O_CLOEXEC));
  if (!file.valid()) return -errno;
  region_ = MappedRegion::Shared(file.get(), 0, kPageBytes);
  if (!region_.valid()) return -errno;
  rule_ = reinterpret_cast<FaultRule*>(region_.data());
  Log("device faults are made as %s says: this is a test", path);
  return 0;
}

long Faults::Hit(Transfer transfer, std::uint64_t device_page, std::size_t bytes, long got) noexcept {
  const auto kind = static_cast<FaultKind>(Load(rule_->kind));
  if (kind == FaultKind::kNone || !Matches(*rule_, transfer, device_page, bytes / kPageBytes)) return got;
  if (const std::uint32_t millis = Load(rule_->delay_ms); millis > 0) ::usleep(millis * 1000);
  if (kind == FaultKind::kFail) return -EIO;
  return kind == FaultKind::kShort ? static_cast<long>(bytes - kSectorBytes) : got;
}

}  // namespace swapfs
