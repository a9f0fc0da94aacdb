// FUSE over io_uring beside /dev/fuse: an experiment, not a part of swapfs. A fuseblk mount shows a block device as one
// file; the same code serves it through either transport, so that what differs is the transport alone.
//
//   make -C native experiments                                    builds build/swapfs-fuse-uring
//   native/experiments/measure.sh [bmap|depth1|deep|large]        speed, beside the product's data plane; as root, quiet machine
//   native/experiments/kill.sh [ROUNDS]                           SIGKILL with requests in flight
//
// What came of it: docs/dataplane.md, "FUSE over io_uring". Both scripts make a zram device of their own, set
// fuse.enable_uring to Y for their own duration, and swap on nothing but for the moment that is timed.
#pragma once

#include <linux/fuse.h>
#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace swapfs::experiment {

// Of include/uapi/linux/fuse.h 7.42, which Debian's header does not have yet.
inline constexpr std::uint64_t kHasResend = 1ULL << 39;
inline constexpr std::uint64_t kOverIoUring = 1ULL << 41;
inline constexpr std::int32_t kNotifyResend = 7;
enum fuse_uring_cmd : std::uint32_t { FUSE_IO_URING_CMD_REGISTER = 1, FUSE_IO_URING_CMD_COMMIT_AND_FETCH = 2 };
struct fuse_uring_ent_in_out {
  std::uint64_t flags, commit_id;
  std::uint32_t payload_sz, padding;
  std::uint64_t reserved;
};
struct fuse_uring_req_header {
  char in_out[128];  // fuse_in_header on the way in, fuse_out_header on the way out
  char op_in[128];
  fuse_uring_ent_in_out ring_ent_in_out;
};
static_assert(sizeof(fuse_uring_req_header) == 288);
struct fuse_uring_cmd_req {
  std::uint64_t flags, commit_id;
  std::uint16_t qid;
  std::uint8_t padding[6];
};
static_assert(sizeof(fuse_uring_cmd_req) == 24);

inline constexpr std::size_t kPage = 4096;
inline constexpr std::size_t kPayloadBytes = 1 << 20;  // of a READ or WRITE at most; each entry of a ring has as much

// The device as one file, "file". Its page p is block kFirstBlock + p: block 0 means a hole to bmap.
class Store {
 public:
  static constexpr std::uint64_t kFirstBlock = 256;
  bool Open(const char* device) noexcept;

  struct Reply {
    int error = 0;  // 0 or -errno
    std::uint32_t bytes = 0;
    bool none = false;  // FORGET and its like have no reply
  };
  // `operation`: what follows the header of the request. `payload`: the data of a WRITE or the name of a LOOKUP on the way
  // in, what the reply consists of on the way out.
  Reply Serve(const fuse_in_header& header, const void* operation, std::byte* payload) noexcept;

 private:
  Reply Transfer(const fuse_in_header& header, const void* operation, std::byte* payload) noexcept;
  fuse_attr Attributes(std::uint64_t node) const noexcept;

  int device_ = -1;
  std::uint64_t pages_ = 0;
};

// Answers FUSE_INIT on `fuse`. Whether the kernel offered FUSE over io_uring is returned in `over_io_uring`, which says on
// the way in whether to accept it. 0 or -errno.
int AnswerInit(int fuse, bool& over_io_uring) noexcept;

// Reads requests from /dev/fuse. One that looks before it sleeps, or several that sleep: what the product switches between.
class DeviceReader {
 public:
  DeviceReader(Store& store, int fuse, bool looks) noexcept : store_(store), fuse_(fuse), looks_(looks) {}
  void Run() noexcept;

 private:
  long Next(std::byte* buffer) noexcept;

  Store& store_;
  int fuse_;
  bool looks_;
};

// What the kernel and a server have in common of one entry of a ring. Mapped by the keeper before it forks, so that the
// next server finds it at the same address: the kernel remembers addresses.
struct alignas(kPage) RingEntry {
  fuse_uring_req_header header;
  iovec parts[2];
  // To go on after SIGKILL: `saved` is the header of request saved_id, which the reply's header overwrites; the reply of
  // request done_id lies here whole and is not made a second time, since its caller may have it and have gone on.
  fuse_in_header saved;
  std::atomic<std::uint64_t> saved_id, done_id;
  alignas(kPage) std::byte payload[kPayloadBytes];
};

// One queue, that of callers on `cpu`: its ring, served by one thread.
class RingQueue {
 public:
  struct Options {
    int fuse;
    int depth;      // entries
    bool deferred;  // IORING_SETUP_DEFER_TASKRUN
    bool looks;     // looks at the ring for up to 30 us before it sleeps
    bool pinned;    // to the CPU of the queue
    bool resumes;   // after a server that died: answers what it left
  };
  RingQueue(Store& store, RingEntry* entries, int cpu, const Options& options) noexcept
      : store_(store), entries_(entries), cpu_(cpu), options_(options) {}
  void Run() noexcept;

 private:
  struct Ring;
  void Begin() noexcept;
  void Submit(RingEntry& entry, fuse_uring_cmd command) noexcept;
  void Answer(RingEntry& entry) noexcept;
  void OnCompletion(RingEntry& entry, int result) noexcept;
  void Wait() noexcept;

  Store& store_;
  RingEntry* entries_;
  int cpu_;
  Options options_;
  Ring* ring_ = nullptr;
};

// Ends the process: the mount is gone.
[[noreturn]] void EndOfMount(int error) noexcept;

}  // namespace swapfs::experiment
