// The transport of /dev/fuse: read(2) a request, writev(2) its reply.
#include <poll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "../dataplane/log.h"
#include "../dataplane/poll_governor.h"
#include "fuse_uring.h"

namespace swapfs::experiment {

namespace {

// Before the payload, so that the data of a WRITE starts on a page.
constexpr std::size_t kHeadBytes = sizeof(fuse_in_header) + sizeof(fuse_write_in);

std::uint64_t Now() noexcept {
  timespec time;
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

bool Look(int fuse, std::uint64_t ns) noexcept {
  pollfd waiting{fuse, POLLIN, 0};
  for (const std::uint64_t end = Now() + ns; Now() < end;) {
    if (::poll(&waiting, 1, 0) > 0) return true;
  }
  return false;
}

}  // namespace

long DeviceReader::Next(std::byte* buffer) noexcept {
  static PollGovernor governor;  // only a reader that is alone looks
  if (looks_) {
    if (const std::uint64_t ns = governor.Next(); ns != 0) {
      governor.OnLook(Look(fuse_, ns));
    } else {
      const std::uint64_t before = Now();
      const long length = ::read(fuse_, buffer, kHeadBytes + kPayloadBytes);
      governor.OnSleep(Now() - before);
      return length;
    }
  }
  return ::read(fuse_, buffer, kHeadBytes + kPayloadBytes);
}

void DeviceReader::Run() noexcept {
  void* memory = ::mmap(nullptr, kPage + kPayloadBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) EndOfMount(ENOMEM);
  std::byte* payload = static_cast<std::byte*>(memory) + kPage;
  std::byte* head = payload - kHeadBytes;
  for (;;) {
    if (Next(head) < 0) {
      if (errno == EINTR || errno == EAGAIN || errno == ENOENT) continue;
      EndOfMount(errno);
    }
    fuse_in_header header;
    std::memcpy(&header, head, sizeof(header));
    std::byte* operation = head + sizeof(header);
    if (header.opcode == FUSE_LOOKUP) std::memmove(payload, operation, header.len - sizeof(header));
    const Store::Reply reply = store_.Serve(header, operation, payload);
    if (reply.none) continue;
    fuse_out_header out{static_cast<std::uint32_t>(sizeof(out)) + reply.bytes, reply.error, header.unique};
    const iovec parts[] = {{&out, sizeof(out)}, {payload, reply.bytes}};
    // ENOENT: the request was interrupted, or it was sent again under another name.
    if (::writev(fuse_, parts, 2) < 0 && errno != ENOENT) Log("cannot reply to opcode %u: %s", header.opcode, ErrnoName(errno));
  }
}

}  // namespace swapfs::experiment
