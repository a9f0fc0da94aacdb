#include "completer.h"

#include <algorithm>
#include <cerrno>

#include "log.h"

namespace swapfs {

void Completer::Init(Plane& plane, int number) noexcept {
  plane_ = &plane;
  buffer_ = plane.large.Take();
  tally_.Init(plane.session, kCompleterShard + number);
}

void Completer::Run() noexcept {
  for (;;) {
    ParkedSlot& slot = plane_->parked.TakeReady();
    if (slot.request.write) {
      Write(slot);
    } else {
      Read(slot);
    }
  }
}

void Completer::Read(ParkedSlot& slot) noexcept {
  const ParkedRequest& request = slot.request;
  const std::uint64_t left = request.offset >= slot.size ? 0 : slot.size - request.offset;
  const std::size_t length = std::min<std::uint64_t>(request.length, left);
  CollectRuns(slot.answer(), FirstPage(request.offset), PageCount(request.offset, length), runs_);
  const int error = plane_->device.ReadRuns(runs_, buffer_.data());
  if (error != 0) {
    SessionView::Add(plane_->session.counters().errors);
    plane_->in_flight.ReplyError(request.unique, error);
  } else {
    Tally::Add(tally_.shard().read_bytes, length);
    Tally::Add(tally_.shard().parked_pages_in, PageCount(request.offset, length));
    plane_->in_flight.Reply(request.unique, {buffer_.data() + InPage(request.offset), length});
  }
  tally_.Answered(abi::kLatencyRead, request.start_ns);
  tally_.End();
  const std::uint64_t tag = slot.tag;
  Tally::Add(tally_.shard().transfers, runs_.runs().size());
  plane_->parked.Finish(slot);
  plane_->link.PostHeader(abi::MessageType::kReadDone, tag);
}

void Completer::Write(ParkedSlot& slot) noexcept {
  const int error = WriteDevice(slot);
  const ParkedRequest& request = slot.request;
  const abi::CommitMessage commit{
      {static_cast<std::uint32_t>(abi::MessageType::kCommit), sizeof(abi::CommitMessage), slot.tag},
      request.ino, request.offset, RealtimeNs(), request.length, error};
  // First the state, then the message: kCommitted may come before this thread runs on.
  plane_->parked.Commit(slot, error);
  plane_->link.Post(commit);
}

int Completer::WriteDevice(const ParkedSlot& slot) noexcept {
  const ParkedRequest& request = slot.request;
  CollectRuns(slot.answer(), FirstPage(request.offset), PageCount(request.offset, request.length), runs_);
  const bool writable = std::ranges::all_of(runs_.runs(), [](const auto& run) {
    return run.state == PageState::kWritten || run.state == PageState::kUnwritten;
  });
  if (!writable) {
    Log("the answer to a write of inode %lu at %lu leaves a hole or a shared page", request.ino, request.offset);
    return -EIO;
  }
  Tally::Add(tally_.shard().transfers, runs_.runs().size());
  return plane_->device.WriteRuns(runs_, request.pages, InPage(request.offset), request.length);
}

}  // namespace swapfs
