#include "fake_control.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace swapfs::fake {

namespace {

template <typename Message>
const Message& As(std::span<const std::byte> bytes) {
  return *reinterpret_cast<const Message*>(bytes.data());
}

}  // namespace

void Control::Run() {
  extents_.resize(kPagesMax);
  link_.Header(abi::MessageType::kControlHello, 1);
  for (std::span<std::byte> message = link_.Receive(); !message.empty(); message = link_.Receive()) Handle(message);
}

void Control::Handle(std::span<const std::byte> message) {
  const auto& header = As<abi::MessageHeader>(message);
  const auto type = static_cast<abi::MessageType>(header.type);
  if (type == abi::MessageType::kDataReady) return DataReady();
  if (!ready_) return;
  switch (type) {
    case abi::MessageType::kDataHello:
      asks_.clear();
      for (const Waiting& waiting : std::vector<Waiting>(waiting_)) OnRevoked(waiting.tag);
      InstallMaps(false);
      return link_.Header(abi::MessageType::kDataReadyGo, 0);
    case abi::MessageType::kRequest:
      return Request(message.subspan(sizeof(header)));
    case abi::MessageType::kAsk:
      return OnAsk(As<abi::AskMessage>(message));
    case abi::MessageType::kCommit:
      return OnCommit(As<abi::CommitMessage>(message));
    case abi::MessageType::kReadDone:
      return EndAsk(header.tag);
    case abi::MessageType::kRevoked:
    case abi::MessageType::kZeroed:
      return OnRevoked(header.tag);
    case abi::MessageType::kCopied:
      return OnCopied(As<abi::ResultMessage>(message));
    default:
      return;
  }
}

void Control::DataReady() {
  asks_.clear();
  InstallMaps(false);
  ready_ = true;
  if (ready_fd_ < 0) return;
  [[maybe_unused]] const ssize_t written = ::write(ready_fd_, "{\"ready\":true}\n", 15);
  ::close(ready_fd_);
  ready_fd_ = -1;
}

void Control::InstallMaps(bool pinned_only) {
  for (std::uint64_t ino = kFirstIno; ino < kFirstIno + kFiles; ino++) {
    const File& file = *store_.Find(ino);
    if (file.pinned != 0 || (file.installed != 0 && !pinned_only)) InstallMap(ino);
  }
}

void Control::InstallMap(std::uint64_t ino) {
  const File& file = *store_.Find(ino);
  const std::uint32_t count = store_.Extents(file, 0, kPagesMax, extents_);
  const std::uint32_t flags = abi::kMapPlain | (file.pinned != 0 ? abi::kMapPinned : 0u) |
                              (file.swap_rw != 0 ? abi::kMapSwapRw : 0u);
  link_.Install(ino, file.size, flags, std::span(extents_).first(count));
}

void Control::OnAsk(const abi::AskMessage& ask) {
  asks_.push_back({ask, false});
  if (!hold_) TryAnswers();
}

void Control::TryAnswers() {
  for (Ask& ask : asks_) {
    if (!ask.answered && !Blocked(ask)) SendAnswer(ask);
  }
}

// A write to pages that another write in flight makes waits for that one: both would fill the rest with zeros.
bool Control::Blocked(const Ask& ask) const {
  for (const Ask& other : asks_) {
    if (&other == &ask) return false;
    const abi::AskMessage& a = ask.message;
    const abi::AskMessage& b = other.message;
    if (a.ino != b.ino || !other.answered || (b.flags & abi::kAskWrite) == 0) continue;
    const bool apart = (a.offset + a.length + 4095) / 4096 <= b.offset / 4096 ||
                       (b.offset + b.length + 4095) / 4096 <= a.offset / 4096;
    if (!apart && store_.HasNewPages(*const_cast<Store&>(store_).Find(a.ino), b.offset, b.length)) return true;
  }
  return false;
}

void Control::SendAnswer(Ask& ask) {
  const abi::AskMessage& message = ask.message;
  File* file = store_.Find(message.ino);
  const std::uint64_t end = (message.offset + message.length + 4095) / 4096;
  ask.answered = true;
  if (file == nullptr) return link_.Answer(message.header.tag, -EIO, 0, {});
  const bool write = (message.flags & abi::kAskWrite) != 0;
  if (write && end > kPagesMax) {
    link_.Answer(message.header.tag, -ENOSPC, 0, {});
    return;
  }
  if (write) store_.Allocate(*file, message.offset, message.length);
  const std::uint32_t count = store_.Extents(*file, static_cast<std::uint32_t>(message.offset / 4096),
                                             static_cast<std::uint32_t>(end), extents_);
  link_.Answer(message.header.tag, 0, file->size, std::span(extents_).first(count));
}

void Control::OnCommit(const abi::CommitMessage& commit) {
  File* file = store_.Find(commit.ino);
  if (commit.error == 0 && file != nullptr) {
    store_.MarkWritten(*file, commit.offset, commit.length);
    file->size = std::max(file->size, commit.offset + commit.length);
    file->mtime_ns = commit.time_ns;
    if (file->installed != 0) InstallMap(commit.ino);
  }
  link_.Result(abi::MessageType::kCommitted, commit.header.tag, commit.error);
  EndAsk(commit.header.tag);
}

void Control::EndAsk(std::uint64_t tag) {
  std::erase_if(asks_, [tag](const Ask& ask) { return ask.message.header.tag == tag; });
  if (!hold_) TryAnswers();
}

void Control::OnRevoked(std::uint64_t tag) {
  const auto at = std::ranges::find(waiting_, tag, &Waiting::tag);
  if (at == waiting_.end()) return;
  const Waiting done = *at;
  waiting_.erase(at);
  File& file = *store_.Find(done.ino);
  if (!done.truncate) return ReplyEntry(fuse_in_header{0, 0, done.unique, done.ino, 0, 0, 0, 0, 0}, next_dir_++);
  const std::uint32_t kept = static_cast<std::uint32_t>((done.size + 4095) / 4096);
  for (std::uint32_t page = kept; page < kPagesMax; page++) file.pages[page] = {};
  file.size = done.size;
  if (done.size % 4096 != 0 && file.pages[kept - 1].written != 0) {
    link_.Zero(next_tag_++, file.pages[kept - 1].device_page, done.size % 4096,
               4096 - static_cast<std::uint32_t>(done.size % 4096));
  }
  if (file.installed != 0) InstallMap(done.ino);
  ReplyAttr(fuse_in_header{0, 0, done.unique, done.ino, 0, 0, 0, 0, 0});
}

// Pages in runs that are contiguous on both sides, at most 256 in a step, none acknowledged before the next is sent.
void Control::CopyFile(std::uint64_t unique, std::uint64_t from, std::uint64_t to) {
  const File& source = *store_.Find(from);
  File& target = *store_.Find(to);
  store_.Allocate(target, 0, source.size);
  store_.MarkWritten(target, 0, source.size);
  target.size = source.size;
  copying_ = {unique, 0, 0};
  const auto end = static_cast<std::uint32_t>((source.size + 4095) / 4096);
  for (std::uint32_t page = 0, count = 0; page < end; page += count) {
    const auto contiguous = [&](std::uint32_t n) {
      return source.pages[page + n].device_page == source.pages[page].device_page + n &&
             target.pages[page + n].device_page == target.pages[page].device_page + n;
    };
    for (count = 1; count < 256 && page + count < end && contiguous(count); count++) {
    }
    link_.Copy(next_tag_++, source.pages[page].device_page, target.pages[page].device_page, count);
    copying_.steps++;
  }
}

void Control::OnCopied(const abi::ResultMessage& copied) {
  if (copied.error != 0) copying_.error = copied.error;
  if (--copying_.steps > 0) return;
  const fuse_in_header header{0, 0, copying_.unique, 0, 0, 0, 0, 0, 0};
  if (copying_.error != 0) return Error(header, copying_.error);
  ReplyEntry(header, next_dir_++);
}

}  // namespace swapfs::fake
