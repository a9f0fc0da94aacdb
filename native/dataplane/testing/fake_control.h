// A control plane just good enough to test the data plane with: a root directory with the files f0 to f3. What a test
// wants of it is said with mkdir of a name in the root: "!install:0", "!revoke:0", "!hold", "!stall:200" …
#pragma once

#include <deque>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <linux/fuse.h>

#include "fake_link.h"
#include "fake_store.h"

namespace swapfs::fake {

class Control {
 public:
  Control(Link& link, Store& store, int ready_fd) noexcept : link_(link), store_(store), ready_fd_(ready_fd) {}
  void Run();

 private:
  struct Ask {
    abi::AskMessage message;
    bool answered;
  };
  // A reply that waits for kRevoked or kZeroed.
  struct Waiting {
    std::uint64_t tag;
    std::uint64_t unique;
    std::uint64_t ino;
    std::uint64_t size;
    bool truncate;
  };

  void Handle(std::span<const std::byte> message);
  void DataReady();
  void InstallMaps(bool pinned_only);
  void InstallMap(std::uint64_t ino);

  void OnAsk(const abi::AskMessage& ask);
  void TryAnswers();
  bool Blocked(const Ask& ask) const;
  void SendAnswer(Ask& ask);
  void OnCommit(const abi::CommitMessage& commit);
  void EndAsk(std::uint64_t tag);
  void OnRevoked(std::uint64_t tag);
  void CopyFile(std::uint64_t unique, std::uint64_t from, std::uint64_t to);
  void OnCopied(const abi::ResultMessage& copied);

  bool SentAgain(std::uint64_t unique);
  void Request(std::span<const std::byte> request);
  void Init(const fuse_in_header& header, std::span<const std::byte> body);
  void Lookup(const fuse_in_header& header, const char* name);
  void SetAttr(const fuse_in_header& header, const fuse_setattr_in& in);
  void Open(const fuse_in_header& header);
  void ReadDir(const fuse_in_header& header, const fuse_read_in& in);
  void Bmap(const fuse_in_header& header, const fuse_bmap_in& in);
  void Fallocate(const fuse_in_header& header, const fuse_fallocate_in& in);
  void Mkdir(const fuse_in_header& header, const char* name);
  bool Command(const fuse_in_header& header, const char* name, int argument);
  void ReplyAttr(const fuse_in_header& header);
  void ReplyEntry(const fuse_in_header& header, std::uint64_t nodeid);
  fuse_attr Attributes(std::uint64_t ino);
  void Error(const fuse_in_header& header, int error) { link_.Reply(header.unique, error, nullptr, 0); }
  template <typename Body>
  void Reply(const fuse_in_header& header, const Body& body) {
    link_.Reply(header.unique, 0, &body, sizeof(body));
  }

  Link& link_;
  Store& store_;
  int ready_fd_;
  bool ready_ = false;
  bool hold_ = false;
  std::uint64_t next_tag_ = 1;
  std::uint64_t next_dir_ = 1000;
  std::deque<Ask> asks_;
  std::vector<Waiting> waiting_;
  // The file copy that is under way: its reply waits for all steps.
  struct {
    std::uint64_t unique;
    std::uint32_t steps;
    std::int32_t error;
  } copying_{};
  std::vector<abi::ExtentEntry> extents_;
};

}  // namespace swapfs::fake
