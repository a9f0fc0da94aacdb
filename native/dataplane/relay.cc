#include "relay.h"

#include <poll.h>

#include <cerrno>
#include <cstring>

#include "fuse_abi.h"
#include "log.h"

namespace swapfs {

namespace {

constexpr int kBatch = 64;

// The head of a message, or nothing when the message is shorter.
template <typename Message>
const Message* As(std::span<const std::byte> message) noexcept {
  if (message.size() < sizeof(Message)) {
    Log("a message of the control plane is too short: %zu bytes", message.size());
    return nullptr;
  }
  return reinterpret_cast<const Message*>(message.data());
}

// The extents behind a message's head; false when there are fewer than it says.
template <typename Message>
bool Extents(std::span<const std::byte> message, std::uint32_t count,
             std::span<const abi::ExtentEntry>& extents) noexcept {
  const std::span<const std::byte> rest = message.subspan(sizeof(Message));
  if (rest.size() / sizeof(abi::ExtentEntry) < count) return false;
  extents = {reinterpret_cast<const abi::ExtentEntry*>(rest.data()), count};
  return true;
}

}  // namespace

void Relay::Run() noexcept {
  rounds_.Start();
  int millis = -1;
  for (;;) {
    WaitForWork(millis);
    plane_.link.Flush();
    for (int i = 0; i < kBatch && ReceiveOne(); i++) {
    }
    millis = rounds_.Advance();
    if (plane_.burst.active()) plane_.burst.Tick();
    if (plane_.awake.active()) plane_.awake.Tick();
  }
}

void Relay::WaitForWork(int millis) noexcept {
  const bool reading = !closed_ && plane_.link.CanReceive();
  const short control = static_cast<short>((reading ? POLLIN : 0) | (plane_.link.outbox_empty() ? 0 : POLLOUT));
  // Until the first read of /dev/fuse an abort shows only here. Later a waiter on it would cost every request a wake-up.
  pollfd fds[3] = {{plane_.link.wake_fd(), POLLIN, 0},
                   {closed_ ? -1 : plane_.link.fd(), control, 0},
                   {rounds_.started() ? -1 : plane_.fuse.fd(), 0, 0}};
  if ((plane_.burst.active() || plane_.awake.active()) && millis < 0) millis = kTickMillis;
  ::poll(fds, 3, millis);
  if ((fds[0].revents & POLLIN) != 0) plane_.link.ClearWake();
  if ((fds[2].revents & POLLERR) != 0) plane_.fuse.End();
}

bool Relay::ReceiveOne() noexcept {
  if (closed_ || !plane_.link.CanReceive()) return false;
  abi::MessageHeader header{};
  if (const int error = plane_.link.Peek(header); error != 0) {
    closed_ = error == -EPIPE;
    if (closed_ && plane_.session.destroyed()) plane_.fuse.End();
    return false;
  }
  if (header.type == static_cast<std::uint32_t>(abi::MessageType::kControlHello)) rounds_.OnControlHello(header.tag);
  const long length = plane_.link.Receive(buffer_);
  if (length < static_cast<long>(sizeof(abi::MessageHeader))) return false;
  const std::span<const std::byte> message{buffer_.data(), static_cast<std::size_t>(length)};
  if (header.length != message.size()) {
    Log("a message of the control plane says %u bytes and has %ld", header.length, length);
    return true;
  }
  Handle(header, message);
  return true;
}

void Relay::Handle(const abi::MessageHeader& header, std::span<const std::byte> message) noexcept {
  switch (static_cast<abi::MessageType>(header.type)) {
    case abi::MessageType::kControlHello:
      return;  // was dealt with before it was taken
    case abi::MessageType::kDataReadyGo:
      return rounds_.OnDataReadyGo();
    case abi::MessageType::kReply:
      return Reply(message.subspan(sizeof(header)));
    case abi::MessageType::kAnswer:
      return Answer(message);
    case abi::MessageType::kCommitted:
      return Committed(message);
    case abi::MessageType::kInstall:
      return Install(message);
    case abi::MessageType::kRevoke:
      if (const auto* revoke = As<abi::RevokeMessage>(message)) plane_.maps.Revoke(*revoke);
      return;
    case abi::MessageType::kZero:
      return Zero(message);
    case abi::MessageType::kCopy:
      if (const auto* copy = As<abi::CopyMessage>(message)) plane_.copier.Put(*copy);
      return;
    default:
      Log("the control plane sent a message of unknown type %u", header.type);
  }
}

void Relay::Reply(std::span<const std::byte> reply) noexcept {
  const auto* header = As<fuse::fuse_out_header>(reply);
  if (header == nullptr) return;
  const std::uint64_t destroy = plane_.destroy_unique.load();
  if (destroy != 0 && (header->unique & ~fuse::FUSE_UNIQUE_RESEND) == destroy) {
    // umount(2) returns at this reply, and the loop device below must be free then.
    plane_.device.Close();
    plane_.session.SetDestroyed();
  }
  plane_.fuse.WriteRaw(reply);
}

void Relay::Answer(std::span<const std::byte> message) noexcept {
  const auto* answer = As<abi::AnswerMessage>(message);
  if (answer == nullptr) return;
  const std::uint64_t tag = answer->header.tag;
  std::int32_t error = answer->error;
  std::span<const abi::ExtentEntry> extents;
  const bool usable = answer->extents <= kRequestPagesMax &&
                      Extents<abi::AnswerMessage>(message, answer->extents, extents) && WellFormed(extents);
  if (error == 0 && usable) {
    plane_.parked.Answer(tag, answer->size, extents);
    return;
  }
  if (error == 0) {
    Log("an answer of the control plane has bad extents");
    error = -EIO;
  }
  EndedRequest ended;
  if (!plane_.parked.End(tag, ended)) return;
  SessionView::Add(plane_.session.counters().errors);
  plane_.in_flight.ReplyError(ended.unique, error);
  Over(ended);
}

void Relay::Over(const EndedRequest& ended) noexcept {
  tally_.Answered(ended.write ? abi::kLatencyWrite : abi::kLatencyRead, ended.start_ns);
  tally_.End();
}

void Relay::Committed(std::span<const std::byte> message) noexcept {
  const auto* result = As<abi::ResultMessage>(message);
  EndedRequest ended;
  if (result == nullptr || !plane_.parked.End(result->header.tag, ended)) return;
  const std::int32_t error = ended.error != 0 ? ended.error : result->error;
  if (error != 0) {
    SessionView::Add(plane_.session.counters().errors);
    plane_.in_flight.ReplyError(ended.unique, error);
    return Over(ended);
  }
  Tally::Add(tally_.shard().written_bytes, ended.length);
  Tally::Add(tally_.shard().parked_pages_out, PageCount(ended.offset, ended.length));
  const fuse::fuse_write_out out{ended.length, 0};
  plane_.in_flight.Reply(ended.unique, std::as_bytes(std::span(&out, 1)));
  Over(ended);
}

void Relay::Install(std::span<const std::byte> message) noexcept {
  const auto* install = As<abi::InstallMessage>(message);
  std::span<const abi::ExtentEntry> extents;
  if (install == nullptr) return;
  if (!Extents<abi::InstallMessage>(message, install->extents, extents)) {
    Log("a map of inode %lu has fewer extents than it says", install->ino);
    return;
  }
  plane_.maps.Install(*install, extents);
}

void Relay::Zero(std::span<const std::byte> message) noexcept {
  const auto* zero = As<abi::ZeroMessage>(message);
  if (zero == nullptr) return;
  const bool inside = zero->device_page != 0 && zero->from <= kPageBytes && zero->length <= kPageBytes - zero->from;
  const std::int32_t error = inside ? plane_.device.ZeroPart(zero->device_page, zero->from, zero->length) : -EINVAL;
  plane_.link.Post(abi::ResultMessage{{static_cast<std::uint32_t>(abi::MessageType::kZeroed),
                                       sizeof(abi::ResultMessage), zero->header.tag}, error, 0});
}

}  // namespace swapfs
