#include "copier.h"

#include <cerrno>

#include "units.h"

namespace swapfs {

void Copier::Init(BufferPool& pool, DeviceIo& device, ControlLink& link) noexcept {
  device_ = &device;
  link_ = &link;
  buffer_ = pool.Take();
}

void Copier::Run() noexcept {
  mutex_.Lock();
  for (;;) {
    while (count_ == 0) queued_.Wait(mutex_);
    const Job job = jobs_[head_];
    head_ = (head_ + 1) % kJobs;
    count_--;
    busy_ = true;
    mutex_.Unlock();
    const int error = Copy(job);
    mutex_.Lock();
    busy_ = false;
    // Under the lock: after Discard no answer of before it is sent.
    Answer(job.tag, error);
    idle_.SignalAll();
  }
}

void Copier::Put(const abi::CopyMessage& copy) noexcept {
  const bool inside = copy.from_page != 0 && copy.to_page != 0 && copy.count > 0 && copy.count <= kCopyPagesMax;
  if (!inside) return Answer(copy.header.tag, -EINVAL);
  const Guard guard(mutex_);
  if (count_ == kJobs) return Answer(copy.header.tag, -EAGAIN);
  jobs_[(head_ + count_++) % kJobs] = {copy.header.tag, copy.from_page, copy.to_page, copy.count};
  queued_.SignalOne();
}

void Copier::Discard() noexcept {
  const Guard guard(mutex_);
  count_ = 0;
  while (busy_) idle_.Wait(mutex_);
}

void Copier::Answer(std::uint64_t tag, std::int32_t error) noexcept {
  link_->Post(abi::ResultMessage{
      {static_cast<std::uint32_t>(abi::MessageType::kCopied), sizeof(abi::ResultMessage), tag}, error, 0});
}

int Copier::Copy(const Job& job) noexcept {
  const std::size_t bytes = std::size_t{job.count} * kPageBytes;
  const int error = device_->Exact(Transfer::kRead, buffer_.data(), bytes, job.from_page);
  return error != 0 ? error : device_->Exact(Transfer::kWrite, buffer_.data(), bytes, job.to_page);
}

}  // namespace swapfs
