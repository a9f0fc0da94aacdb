// The transport of FUSE over io_uring (fs/fuse/dev_uring.c). An entry is registered once and then alternates: the kernel puts
// a request into it and completes the command; COMMIT_AND_FETCH gives the reply and asks for the next request.
#include <liburing.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "../dataplane/log.h"
#include "fuse_uring.h"

namespace swapfs::experiment {

namespace {

constexpr long kLookNs = 30'000;  // PollGovernor::kLookNs

long NsSince(const timespec& start) noexcept {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return (now.tv_sec - start.tv_sec) * 1'000'000'000 + now.tv_nsec - start.tv_nsec;
}

}  // namespace

struct RingQueue::Ring {
  io_uring uring;
};

void RingQueue::Begin() noexcept {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(static_cast<std::size_t>(cpu_), &cpus);
  if (options_.pinned && ::pthread_setaffinity_np(::pthread_self(), sizeof(cpus), &cpus) != 0) Log("cannot pin queue %d", cpu_);
  io_uring_params parameters{};
  parameters.flags = IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER;
  if (options_.deferred) parameters.flags |= IORING_SETUP_DEFER_TASKRUN;
  const int error = ::io_uring_queue_init_params(static_cast<unsigned>(options_.depth), &ring_->uring, &parameters);
  if (error != 0) EndOfMount(-error);
  ::io_uring_register_files(&ring_->uring, &options_.fuse, 1);
  for (int i = 0; i < options_.depth; i++) {
    RingEntry& entry = entries_[i];
    if (options_.resumes && entry.header.ring_ent_in_out.commit_id != 0) {
      Answer(entry);
      Submit(entry, FUSE_IO_URING_CMD_COMMIT_AND_FETCH);
    } else {
      Submit(entry, FUSE_IO_URING_CMD_REGISTER);
    }
  }
}

void RingQueue::Submit(RingEntry& entry, fuse_uring_cmd command) noexcept {
  io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_->uring);
  if (sqe == nullptr) EndOfMount(EBUSY);  // does not happen: no more commands than entries
  std::memset(sqe, 0, 128);
  sqe->opcode = IORING_OP_URING_CMD;
  sqe->flags = IOSQE_FIXED_FILE;
  sqe->cmd_op = command;
  sqe->user_data = reinterpret_cast<std::uint64_t>(&entry);
  if (command == FUSE_IO_URING_CMD_REGISTER) {
    entry.header.ring_ent_in_out.commit_id = 0;
    entry.parts[0] = {&entry.header, sizeof(entry.header)};
    entry.parts[1] = {entry.payload, kPayloadBytes};
    sqe->addr = reinterpret_cast<std::uint64_t>(entry.parts);
    sqe->len = 2;
  }
  const fuse_uring_cmd_req request{0, entry.header.ring_ent_in_out.commit_id, static_cast<std::uint16_t>(cpu_), {}};
  std::memcpy(sqe->cmd, &request, sizeof(request));
}

// Makes the reply to the request that the entry holds, unless it was made before the last server died. Metadata replies
// overwrite the name of a LOOKUP before done_id says so: a moment that this experiment lives with.
void RingQueue::Answer(RingEntry& entry) noexcept {
  const std::uint64_t id = entry.header.ring_ent_in_out.commit_id;
  if (entry.done_id.load(std::memory_order_acquire) == id) return;
  if (entry.saved_id.load(std::memory_order_acquire) != id) {
    std::memcpy(&entry.saved, entry.header.in_out, sizeof(entry.saved));
    entry.saved_id.store(id, std::memory_order_release);
  }
  const Store::Reply reply = store_.Serve(entry.saved, entry.header.op_in, entry.payload);
  const fuse_out_header out{static_cast<std::uint32_t>(sizeof(out)) + reply.bytes, reply.error, entry.saved.unique};
  std::memcpy(entry.header.in_out, &out, sizeof(out));
  entry.header.ring_ent_in_out.payload_sz = reply.bytes;
  entry.done_id.store(id, std::memory_order_release);
}

void RingQueue::OnCompletion(RingEntry& entry, int result) noexcept {
  if (result == 0) {
    Answer(entry);
    Submit(entry, FUSE_IO_URING_CMD_COMMIT_AND_FETCH);
  } else if (result == -ENOENT && options_.resumes) {
    // Nobody waits for it: the last server gave this reply, and the kernel forgot the entry when that one died.
    Submit(entry, FUSE_IO_URING_CMD_REGISTER);
  } else {
    EndOfMount(-result);
  }
}

// Submits what there is, and returns when a request has come.
void RingQueue::Wait() noexcept {
  if (!options_.looks) {
    ::io_uring_submit_and_wait(&ring_->uring, 1);
    return;
  }
  timespec start;
  ::clock_gettime(CLOCK_MONOTONIC, &start);
  ::io_uring_submit(&ring_->uring);
  while (NsSince(start) < kLookNs) {
    if (options_.deferred) ::io_uring_get_events(&ring_->uring);
    if (::io_uring_cq_ready(&ring_->uring) != 0) return;
  }
  ::io_uring_submit_and_wait(&ring_->uring, 1);
}

void RingQueue::Run() noexcept {
  alignas(Ring) static thread_local std::byte memory[sizeof(Ring)];
  ring_ = new (memory) Ring{};
  Begin();
  for (;;) {
    Wait();
    unsigned head;
    unsigned seen = 0;
    io_uring_cqe* cqe;
    io_uring_for_each_cqe(&ring_->uring, head, cqe) {
      seen++;
      OnCompletion(*reinterpret_cast<RingEntry*>(cqe->user_data), cqe->res);
    }
    ::io_uring_cq_advance(&ring_->uring, seen);
  }
}

}  // namespace swapfs::experiment
