#include "reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "log.h"

namespace swapfs {

namespace {

// What a request moves: as long as it is, and for a READ as much as it asks for.
std::size_t BytesOf(std::span<const std::byte> request) noexcept {
  fuse::fuse_in_header header;
  fuse::fuse_read_in in;
  const bool read = Decode(request, header) && header.opcode == fuse::FUSE_READ;
  return read && Decode(request.subspan(sizeof(header)), in) ? in.size : request.size();
}

}  // namespace

void Reader::Init(Plane& plane, int number) noexcept {
  plane_ = &plane;
  number_ = number;
  buffer_ = plane.large.Take();
  tally_.Init(plane.session, kReaderShard + number);
}

void Reader::Run() noexcept {
  plane_->burst.AddReader(number_);
  plane_->gate.Enroll(number_);
  for (;;) {
    plane_->gate.Pass(number_);
    plane_->crew.Await(number_, plane_->gate);
    if (plane_->gate.closed()) continue;
    idle_since_ns_ = MonotonicNs();
    const bool looked = Look();
    const std::span<std::byte> room{buffer_.data() + kRequestStart, kRequestBufferBytes - kRequestStart};
    const long length = plane_->fuse.Read(room);
    if (length <= 0) continue;
    if (plane_->gate.closed()) continue;  // FUSE_NOTIFY_RESEND brings it again
    const std::span<const std::byte> request = room.first(static_cast<std::size_t>(length));
    Arrived(request, looked);
    Dispatch(request);
    plane_->crew.OnDone(number_);
  }
}

// Looks for a request before sleeping on it, where that pays: in a burst the caller needs this very CPU, and where
// several readers are busy a CPU is worth more than a wake-up.
bool Reader::Look() noexcept {
  if (number_ != 0 || waited_ || !plane_->looks || plane_->burst.active() || plane_->crew.reading() > 1) return false;
  const std::uint64_t look_ns = governor_.Next();
  if (look_ns == 0) return false;
  Tally::Add(tally_.shard().polls);
  bool hit = false;
  do {
    hit = plane_->fuse.Waiting();
  } while (!hit && MonotonicNs() - idle_since_ns_ < look_ns);
  if (hit) Tally::Add(tally_.shard().poll_hits);
  governor_.OnLook(hit);
  return true;
}

void Reader::Arrived(std::span<const std::byte> request, bool looked) noexcept {
  start_ns_ = MonotonicNs();
  const std::uint64_t took_ns = start_ns_ - idle_since_ns_;
  // A read that does not sleep takes less than a microsecond, and what it copies.
  waited_ = took_ns < 2'000 + request.size() / 4;
  if (!looked && !waited_) governor_.OnSleep(took_ns);
  plane_->crew.OnRequest(number_, waited_, BytesOf(request), start_ns_);
}

void Reader::Dispatch(std::span<const std::byte> request) noexcept {
  fuse::fuse_in_header header;
  if (!Decode(request, header)) return;
  const bool resent = (header.unique & fuse::FUSE_UNIQUE_RESEND) != 0;
  tally_.Request(header.opcode);
  if (resent) SessionView::Add(plane_->session.counters().resent);
  if (resent && plane_->in_flight.Duplicate(header.unique)) return;
  const std::span<const std::byte> body = request.subspan(sizeof(header));
  switch (header.opcode) {
    case fuse::FUSE_FORGET:
    case fuse::FUSE_BATCH_FORGET:  // nodeids are inode numbers: there is nothing to forget, and no reply
    case fuse::FUSE_INTERRUPT:     // no request waits for another program
      return;
    case fuse::FUSE_READ:
      return Read(header, body);
    case fuse::FUSE_WRITE:
      return Write(header, body);
    case fuse::FUSE_BMAP:
      return Bmap(header, request);
    case fuse::FUSE_LOOKUP:
      if (Lookup(header, body)) return;
      return Relay(header, request);
    case fuse::FUSE_GETATTR:
      if (Getattr(header)) return;
      return Relay(header, request);
    case fuse::FUSE_GETXATTR:
      if (Getxattr(header, body)) return;
      return Relay(header, request);
    case fuse::FUSE_IOCTL:  // no ioctl is known here, and programs ask whether a file is a terminal
      plane_->fuse.ReplyError(header.unique, -ENOTTY);
      return;
    case fuse::FUSE_DESTROY:
      plane_->destroy_unique.store(header.unique & ~fuse::FUSE_UNIQUE_RESEND);
      return Relay(header, request);
    default:
      return Relay(header, request);
  }
}

void Reader::Read(const fuse::fuse_in_header& header, std::span<const std::byte> body) noexcept {
  fuse::fuse_read_in in;
  if (!Decode(body, in) || in.size > kRequestBytesMax) return Fail(header.unique, -EIO);
  tally_.Begin();
  const Served served = MappedRead(header, in);
  if (served == Served::kAnswered) tally_.Answered(abi::kLatencyRead, start_ns_);
  if (served == Served::kAnswered || (served == Served::kNo && !AskRead(header, in))) tally_.End();
}

void Reader::CountMapped(bool swap_rw, bool write, std::uint32_t page_count) noexcept {
  abi::CounterShard& shard = tally_.shard();
  Tally::Add(write ? (swap_rw ? shard.swap_rw_pages_out : shard.ordinary_pages_out)
                   : (swap_rw ? shard.swap_rw_pages_in : shard.ordinary_pages_in), page_count);
  if (swap_rw && number_ == 0 && plane_->awake.OnRequest(start_ns_)) plane_->link.Wake();
}

// One for each run: a request that lies in pieces on the device.
void Reader::CountTransfers() noexcept {
  Tally::Add(tally_.shard().mapped);
  Tally::Add(tally_.shard().transfers, runs_.runs().size());
}

Reader::Served Reader::MappedRead(const fuse::fuse_in_header& header, const fuse::fuse_read_in& in) noexcept {
  MapHold hold;
  if (!plane_->maps.Acquire(header.nodeid, in.offset, in.size, runs_, hold)) return Served::kNo;
  const bool swap_rw = (hold.flags & abi::kMapSwapRw) != 0;
  // At the end of a file of odd length a program asks once more, from an offset that is no page's: nothing is there.
  if (swap_rw && in.offset < hold.size && FailUnaligned(header.unique, in.offset | in.size)) return Served::kAnswered;
  if (Fly(header.unique, in.offset, in.size, hold, Transfer::kRead)) return Served::kFlies;
  const int error = plane_->device.ReadRuns(runs_, pages(), MayShare(in.size));
  const std::uint64_t left = in.offset >= hold.size ? 0 : hold.size - in.offset;
  const std::size_t length = std::min<std::uint64_t>(in.size, left);
  hold.Release();
  CountTransfers();
  if (error != 0) {
    Fail(header.unique, error);
    return Served::kAnswered;
  }
  Tally::Add(tally_.shard().read_bytes, length);
  CountMapped(swap_rw, false, PageCount(in.offset, length));
  plane_->fuse.Reply(header.unique, {pages() + InPage(in.offset), length});
  return Served::kAnswered;
}

bool Reader::AskRead(const fuse::fuse_in_header& header, const fuse::fuse_read_in& in) noexcept {
  for (;;) {
    ParkedRequest parked{header.unique, header.nodeid, in.offset, start_ns_, in.size, false, {}, nullptr};
    if (Ask(parked, 0)) return true;
    if (!WaitForRoom()) return false;
  }
}

bool Reader::AskWrite(const fuse::fuse_in_header& header, const fuse::fuse_write_in& in) noexcept {
  const std::uint32_t kill = (in.write_flags & fuse::FUSE_WRITE_KILL_SUIDGID) != 0 ? abi::kAskKillSuidgid : 0u;
  const std::uint32_t sync = (in.flags & O_DSYNC) != 0 ? abi::kAskSync : 0u;
  for (;;) {
    ParkedRequest parked{header.unique, header.nodeid, in.offset, start_ns_, in.size, true, {}, nullptr};
    if (KeepPayload(parked)) {
      if (Ask(parked, abi::kAskWrite | kill | sync)) return true;
      TakeBack(parked);
    }
    if (!WaitForRoom()) return false;
  }
}

bool Reader::KeepPayload(ParkedRequest& parked) noexcept {
  const std::uint32_t head = InPage(parked.offset);
  if (parked.length <= kSmallPayloadBytes) {
    parked.buffer = plane_->small.Take();
    if (parked.buffer.valid()) {
      parked.pages = parked.buffer.data();
      std::memcpy(parked.pages + head, pages(), parked.length);
      return true;
    }
  }
  BufferLease next = plane_->large.Take();
  if (!next.valid()) return false;
  parked.buffer = std::move(buffer_);
  buffer_ = std::move(next);
  parked.pages = parked.buffer.data() + kPageBytes;
  if (head != 0) std::memmove(parked.pages + head, parked.pages, parked.length);
  return true;
}

void Reader::TakeBack(ParkedRequest& parked) noexcept {
  if (parked.pages == parked.buffer.data()) return;  // a copy
  buffer_ = std::move(parked.buffer);
  const std::uint32_t head = InPage(parked.offset);
  if (head != 0) std::memmove(pages(), pages() + head, parked.length);
}

bool Reader::Ask(ParkedRequest& parked, std::uint32_t flags) noexcept {
  abi::AskMessage ask{{static_cast<std::uint32_t>(abi::MessageType::kAsk), sizeof(abi::AskMessage), 0},
                      parked.ino, parked.offset, parked.unique, parked.length, flags};
  if (!plane_->session.control_up() || !plane_->in_flight.Begin(ask.unique)) return false;
  ask.header.tag = plane_->parked.Park(parked);
  if (ask.header.tag != 0) {
    if (plane_->link.TrySend(ask)) {
      SessionView::Add(plane_->session.counters().parked);
      return true;
    }
    plane_->parked.Withdraw(ask.header.tag, parked);
  }
  plane_->in_flight.Cancel(ask.unique);
  return false;
}

void Reader::Bmap(const fuse::fuse_in_header& header, std::span<const std::byte> request) noexcept {
  fuse::fuse_bmap_in in;
  if (plane_->burst.OnBmap(header.pid)) plane_->link.Wake();
  if (!Decode(request.subspan(sizeof(header)), in)) return Fail(header.unique, -EIO);
  std::uint64_t device_page = 0;
  const std::uint64_t byte = in.block * in.blocksize;
  const bool usable = in.blocksize != 0 && in.blocksize <= kPageBytes;
  // Block 0 begins an activation: the control plane judges each one, also of a file that is still pinned by another.
  if (!usable || in.block == 0 || !plane_->maps.PinnedPage(header.nodeid, byte / kPageBytes, device_page)) {
    return Relay(header, request);
  }
  Tally::Add(tally_.shard().bmap_hits);
  const std::uint64_t device_byte = device_page == 0 ? 0 : device_page * kPageBytes + byte % kPageBytes;
  const fuse::fuse_bmap_out out{device_byte / in.blocksize};
  plane_->fuse.Reply(header.unique, std::as_bytes(std::span(&out, 1)));
  tally_.Answered(abi::kLatencyBmap, start_ns_);
}

void Reader::Relay(const fuse::fuse_in_header& header, std::span<const std::byte> request) noexcept {
  if (request.size() + sizeof(abi::MessageHeader) > abi::kMessageBytesMax) {
    return Fail(header.unique, -E2BIG);
  }
  const abi::MessageHeader message{static_cast<std::uint32_t>(abi::MessageType::kRequest),
                                   static_cast<std::uint32_t>(sizeof(abi::MessageHeader) + request.size()),
                                   header.unique};
  do {
    if (plane_->session.control_up() && plane_->link.Send(message, request)) {
      SessionView::Add(plane_->session.counters().relayed);
      return;
    }
  } while (WaitForRoom());
}

// False: the request is dropped. While the control plane is down that needs no more: its kControlHello starts a round.
bool Reader::WaitForRoom() noexcept {
  if (!plane_->session.control_up()) return false;
  if (!plane_->can_resend.load()) {
    if (plane_->gate.closed()) return false;
    ::usleep(1000);
    return true;
  }
  SessionView::Add(plane_->session.counters().deferred);
  plane_->deferred.store(true);
  plane_->link.Wake();
  return false;
}

// The swap_rw path takes whole pages only.
bool Reader::FailUnaligned(std::uint64_t unique, std::uint64_t offset_or_size) noexcept {
  if ((offset_or_size & kPageMask) == 0) return false;
  Fail(unique, -EINVAL);
  return true;
}

void Reader::Fail(std::uint64_t unique, std::int32_t error) noexcept {
  SessionView::Add(plane_->session.counters().errors);
  plane_->fuse.ReplyError(unique, error);
}

}  // namespace swapfs
