#include "control_link.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "log.h"

namespace swapfs {

int ControlLink::Init(int fd) noexcept {
  socket_ = Descriptor(fd);
  wake_ = Descriptor(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  return wake_.valid() ? 0 : -errno;
}

void ControlLink::Wake() const noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

void ControlLink::ClearWake() const noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof(count));
}

bool ControlLink::SendVector(iovec* parts, std::size_t count) const noexcept {
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  for (;;) {
    if (::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
    if (errno == EINTR) continue;
    if (errno == EPIPE) return true;  // the keeper has closed the link: the end, nobody is left to read it
    if (errno != EAGAIN && errno != ENOBUFS) {
      Log("cannot send to the control plane: %s", ErrnoName(errno));
    }
    return false;
  }
}

bool ControlLink::Send(const abi::MessageHeader& header, std::span<const std::byte> body) noexcept {
  // What was posted earlier goes first: kDataReady must not be overtaken by a request that follows it.
  if (!outbox_empty()) return false;
  iovec parts[2] = {{const_cast<abi::MessageHeader*>(&header), sizeof(header)},
                    {const_cast<std::byte*>(body.data()), body.size()}};
  return SendVector(parts, 2);
}

void ControlLink::PostHeader(abi::MessageType type, std::uint64_t tag) noexcept {
  const abi::MessageHeader header{static_cast<std::uint32_t>(type), sizeof(abi::MessageHeader), tag};
  PostBytes(&header, sizeof(header));
}

void ControlLink::PostBytes(const void* bytes, std::size_t length) noexcept {
  const Guard guard(mutex_);
  const std::size_t count = outbox_count_.load();
  if (count == 0) {
    iovec part{const_cast<void*>(bytes), length};
    if (SendVector(&part, 1)) return;
  }
  if (count == kOutboxSlots) {
    Log("the outbox to the control plane is full, a message is lost");
    return;
  }
  Letter& letter = outbox_[(outbox_head_ + count) % kOutboxSlots];
  letter.length = static_cast<std::uint32_t>(length);
  std::memcpy(letter.bytes, bytes, length);
  outbox_count_.store(count + 1);
  Wake();
}

void ControlLink::Flush() noexcept {
  const Guard guard(mutex_);
  std::size_t count = outbox_count_.load();
  while (count > 0) {
    Letter& letter = outbox_[outbox_head_];
    iovec part{letter.bytes, letter.length};
    if (!SendVector(&part, 1)) break;
    outbox_head_ = (outbox_head_ + 1) % kOutboxSlots;
    outbox_count_.store(--count);
  }
}

bool ControlLink::HasRoom() const noexcept {
  pollfd socket{socket_.get(), POLLOUT, 0};
  return outbox_empty() && ::poll(&socket, 1, 0) > 0;
}

int ControlLink::Peek(abi::MessageHeader& header) const noexcept {
  const ssize_t got = ::recv(socket_.get(), &header, sizeof(header), MSG_PEEK | MSG_DONTWAIT);
  if (got == 0) return -EPIPE;
  return got < 0 ? -errno : 0;
}

long ControlLink::Receive(std::span<std::byte> buffer) const noexcept {
  const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got == 0) return -EPIPE;
  return got < 0 ? -errno : got;
}

}  // namespace swapfs
