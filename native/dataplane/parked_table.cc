#include "parked_table.h"

#include <algorithm>
#include <utility>

namespace swapfs {

void ParkedTable::Init(std::uint32_t process_generation) noexcept {
  process_ = process_generation & 0xffff;
  for (std::size_t i = 0; i < kParkedSlots; i++) free_[i] = static_cast<std::uint16_t>(i);
  free_count_ = kParkedSlots;
}

std::uint64_t ParkedTable::Park(ParkedRequest& request) noexcept {
  const Guard guard(mutex_);
  if (free_count_ == 0) return 0;
  const std::size_t index = free_[--free_count_];
  if (++generations_[index] == 0) generations_[index] = 1;  // no tag is 0
  ParkedSlot& slot = slots_[index];
  slot.tag = process_ << kProcessShift | std::uint64_t{generations_[index]} << kGenerationShift | index;
  slot.request = std::move(request);
  slot.error = 0;
  states_[index] = State::kAsked;
  return slot.tag;
}

void ParkedTable::Withdraw(std::uint64_t tag, ParkedRequest& request) noexcept {
  const Guard guard(mutex_);
  const int index = Lookup(tag, State::kAsked);
  if (index < 0) return;
  request = std::move(slots_[static_cast<std::size_t>(index)].request);
  FreeLocked(static_cast<std::size_t>(index));
}

void ParkedTable::Answer(std::uint64_t tag, std::uint64_t size, std::span<const abi::ExtentEntry> extents) noexcept {
  const Guard guard(mutex_);
  const int index = Lookup(tag, State::kAsked);
  if (index < 0) return;
  ParkedSlot& slot = slots_[static_cast<std::size_t>(index)];
  slot.size = size;
  slot.extent_count = static_cast<std::uint32_t>(std::min(extents.size(), slot.extents.size()));
  std::ranges::copy(extents.first(slot.extent_count), slot.extents.begin());
  states_[static_cast<std::size_t>(index)] = State::kReady;
  queue_[(queue_head_ + queue_count_++) % kParkedSlots] = static_cast<std::uint16_t>(index);
  working_++;
  ready_.SignalOne();
}

ParkedSlot& ParkedTable::TakeReady() noexcept {
  const Guard guard(mutex_);
  while (queue_count_ == 0) ready_.Wait(mutex_);
  const std::size_t index = queue_[queue_head_];
  queue_head_ = (queue_head_ + 1) % kParkedSlots;
  queue_count_--;
  states_[index] = State::kBusy;
  return slots_[index];
}

void ParkedTable::Commit(ParkedSlot& slot, std::int32_t error) noexcept {
  const Guard guard(mutex_);
  slot.error = error;
  slot.request.buffer.Reset();
  states_[IndexOf(slot)] = State::kCommitting;
  if (--working_ == 0) idle_.SignalAll();
}

void ParkedTable::Finish(ParkedSlot& slot) noexcept {
  const Guard guard(mutex_);
  FreeLocked(IndexOf(slot));
  if (--working_ == 0) idle_.SignalAll();
}

bool ParkedTable::End(std::uint64_t tag, EndedRequest& ended) noexcept {
  const Guard guard(mutex_);
  int index = Lookup(tag, State::kAsked);
  if (index < 0) index = Lookup(tag, State::kCommitting);
  if (index < 0) return false;
  const ParkedSlot& slot = slots_[static_cast<std::size_t>(index)];
  const ParkedRequest& request = slot.request;
  ended = {request.unique, request.offset, request.start_ns, request.length, slot.error, request.write};
  FreeLocked(static_cast<std::size_t>(index));
  return true;
}

std::size_t ParkedTable::free_count() noexcept {
  const Guard guard(mutex_);
  return free_count_;
}

void ParkedTable::Discard() noexcept {
  const Guard guard(mutex_);
  while (working_ > 0) idle_.Wait(mutex_);
  for (std::size_t i = 0; i < kParkedSlots; i++) {
    if (states_[i] != State::kFree) FreeLocked(i);
  }
}

int ParkedTable::Lookup(std::uint64_t tag, State state) const noexcept {
  const std::uint64_t index = tag & kSlotMask;
  if (index >= kParkedSlots || states_[index] != state || slots_[index].tag != tag) return -1;
  return static_cast<int>(index);
}

void ParkedTable::FreeLocked(std::size_t index) noexcept {
  slots_[index].request.buffer.Reset();
  slots_[index].tag = 0;
  states_[index] = State::kFree;
  free_[free_count_++] = static_cast<std::uint16_t>(index);
}

}  // namespace swapfs
