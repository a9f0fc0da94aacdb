#include "fuse_channel.h"

#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "fuse_abi.h"
#include "log.h"

namespace swapfs {

long FuseChannel::Read(std::span<std::byte> buffer) noexcept {
  const ssize_t length = ::read(fd_.get(), buffer.data(), buffer.size());
  if (length >= 0) return length;
  switch (errno) {
    case ENODEV:        // unmounted or aborted
    case ECONNABORTED:  // aborted, when the control plane asked for FUSE_ABORT_ERROR
      End();
    case EINTR:
    case EAGAIN:
    case ENOENT:  // the request was interrupted while it was being copied (fuse_dev_do_read, fs/fuse/dev.c)
      return -EINTR;
    default:
      Log("cannot read from /dev/fuse: %s", ErrnoName(errno));
      ::usleep(10'000);
      return -EINTR;
  }
}

bool FuseChannel::Waiting() const noexcept {
  pollfd look{fd_.get(), POLLIN, 0};
  return ::poll(&look, 1, 0) != 0;
}

bool FuseChannel::ReplyError(std::uint64_t unique, std::int32_t error) noexcept {
  const fuse::fuse_out_header header{sizeof(header), error, unique};
  return Delivered(::write(fd_.get(), &header, sizeof(header)));
}

bool FuseChannel::Reply(std::uint64_t unique, std::span<const std::byte> body) noexcept {
  fuse::fuse_out_header header{static_cast<std::uint32_t>(sizeof(header) + body.size()), 0, unique};
  const iovec parts[2] = {{&header, sizeof(header)}, {const_cast<std::byte*>(body.data()), body.size()}};
  return Delivered(::writev(fd_.get(), parts, 2));
}

bool FuseChannel::WriteRaw(std::span<const std::byte> reply) noexcept {
  return Delivered(::write(fd_.get(), reply.data(), reply.size()));
}

bool FuseChannel::Delivered(long written) noexcept {
  // ENOENT: the request was interrupted, aborted, or is on its way to us again with another unique. ENODEV, or EPERM
  // when the descriptor has no connection any more: read() will say so.
  if (written >= 0) return true;
  if (errno == ENOENT) return false;
  if (errno != ENODEV && errno != EPERM) Log("cannot write a reply to /dev/fuse: %s", ErrnoName(errno));
  return true;
}

bool FuseChannel::Resend() noexcept {
  if (refuses_resend_) return false;
  const fuse::fuse_out_header header{sizeof(header), fuse::FUSE_NOTIFY_RESEND, 0};
  if (::write(fd_.get(), &header, sizeof(header)) == sizeof(header)) {
    SessionView::Add(session_.counters().resends);
    return true;
  }
  return errno != EINVAL;
}

void FuseChannel::End() noexcept {
  session_.SetDestroyed();
  ::_exit(0);
}

}  // namespace swapfs
