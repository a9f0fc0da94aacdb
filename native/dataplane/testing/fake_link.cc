#include "fake_link.h"

#include <linux/fuse.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace swapfs::fake {

namespace {

constexpr std::uint64_t kResend = 1ULL << 63;
constexpr std::size_t kRepliesMax = 4096;

abi::MessageHeader Head(abi::MessageType type, std::size_t bytes, std::uint64_t tag) noexcept {
  return {static_cast<std::uint32_t>(type), static_cast<std::uint32_t>(bytes), tag};
}

}  // namespace

std::span<std::byte> Link::Receive() noexcept {
  for (;;) {
    const ssize_t got = ::recv(fd_, buffer_, sizeof(buffer_), 0);
    if (got > 0) return {buffer_, static_cast<std::size_t>(got)};
    if (got < 0 && errno == EINTR) continue;
    return {};
  }
}

void Link::Send(const void* head, std::size_t head_bytes, const void* body, std::size_t body_bytes) noexcept {
  iovec parts[2] = {{const_cast<void*>(head), head_bytes}, {const_cast<void*>(body), body_bytes}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  while (::sendmsg(fd_, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

void Link::Header(abi::MessageType type, std::uint64_t tag) noexcept {
  const abi::MessageHeader header = Head(type, sizeof(header), tag);
  Send(&header, sizeof(header), nullptr, 0);
}

void Link::Result(abi::MessageType type, std::uint64_t tag, std::int32_t error) noexcept {
  const abi::ResultMessage result{Head(type, sizeof(result), tag), error, 0};
  Send(&result, sizeof(result), nullptr, 0);
}

void Link::Answer(std::uint64_t tag, std::int32_t error, std::uint64_t size,
                  std::span<const abi::ExtentEntry> extents) noexcept {
  const abi::AnswerMessage answer{Head(abi::MessageType::kAnswer, sizeof(answer) + extents.size_bytes(), tag), size,
                                  error, static_cast<std::uint32_t>(extents.size())};
  Send(&answer, sizeof(answer), extents.data(), extents.size_bytes());
}

void Link::Install(std::uint64_t ino, std::uint64_t size, std::uint32_t flags,
                   std::span<const abi::ExtentEntry> extents) noexcept {
  constexpr std::size_t kChunk = 4000;
  for (std::size_t at = 0;; at += kChunk) {
    const auto chunk = extents.subspan(at, std::min(kChunk, extents.size() - at));
    const bool last = at + kChunk >= extents.size();
    const std::uint32_t chunk_flags = flags | (at == 0 ? abi::kMapFirst : 0u) | (last ? abi::kMapLast : 0u);
    const abi::InstallMessage install{
        Head(abi::MessageType::kInstall, sizeof(install) + chunk.size_bytes(), ino), ino, size, chunk_flags,
        static_cast<std::uint32_t>(chunk.size()), static_cast<std::uint32_t>(extents.size()), 0};
    Send(&install, sizeof(install), chunk.data(), chunk.size_bytes());
    if (last) return;
  }
}

void Link::Revoke(std::uint64_t tag, std::uint64_t ino) noexcept {
  const abi::RevokeMessage revoke{Head(abi::MessageType::kRevoke, sizeof(revoke), tag), ino};
  Send(&revoke, sizeof(revoke), nullptr, 0);
}

void Link::Zero(std::uint64_t tag, std::uint64_t device_page, std::uint32_t from, std::uint32_t length) noexcept {
  const abi::ZeroMessage zero{Head(abi::MessageType::kZero, sizeof(zero), tag), device_page, from, length};
  Send(&zero, sizeof(zero), nullptr, 0);
}

void Link::Copy(std::uint64_t tag, std::uint64_t from_page, std::uint64_t to_page, std::uint32_t count) noexcept {
  const abi::CopyMessage copy{Head(abi::MessageType::kCopy, sizeof(copy), tag), from_page, to_page, count, 0};
  Send(&copy, sizeof(copy), nullptr, 0);
}

void Link::Reply(std::uint64_t unique, std::int32_t error, const void* body, std::size_t bytes) noexcept {
  struct {
    abi::MessageHeader message;
    fuse_out_header reply;
  } head{Head(abi::MessageType::kReply, sizeof(head) + bytes, unique),
         {static_cast<std::uint32_t>(sizeof(fuse_out_header) + bytes), error, unique}};
  Send(&head, sizeof(head), body, bytes);
  auto& kept = replies_[unique & ~kResend];
  kept.resize(sizeof(head) + bytes);
  std::memcpy(kept.data(), &head, sizeof(head));
  if (bytes > 0) std::memcpy(kept.data() + sizeof(head), body, bytes);
  if (replies_.size() > kRepliesMax) replies_.erase(replies_.begin());
}

bool Link::ReplyAgain(std::uint64_t unique) noexcept {
  const auto kept = replies_.find(unique & ~kResend);
  if (kept == replies_.end()) return false;
  std::memcpy(kept->second.data() + sizeof(abi::MessageHeader) + offsetof(fuse_out_header, unique), &unique,
              sizeof(unique));
  Send(kept->second.data(), kept->second.size(), nullptr, 0);
  return true;
}

}  // namespace swapfs::fake
