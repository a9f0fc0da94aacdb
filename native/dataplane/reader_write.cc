// How a reader serves a WRITE: through the file's map, into pages that it has leave to fill, or by asking where they lie.
#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "reader.h"

namespace swapfs {

void Reader::Write(const fuse::fuse_in_header& header, std::span<const std::byte> body) noexcept {
  fuse::fuse_write_in in;
  if (!Decode(body, in) || in.size == 0 || in.size > kRequestBytesMax || body.size() - sizeof(in) < in.size) {
    return Fail(header.unique, -EIO);
  }
  tally_.Begin();
  const Served served = MappedWrite(header, in);
  if (served == Served::kAnswered) tally_.Answered(abi::kLatencyWrite, start_ns_);
  if (served == Served::kAnswered || (served == Served::kNo && !AskWrite(header, in))) tally_.End();
}

bool Reader::MayWriteHere(const MapHold& hold, const fuse::fuse_write_in& in) const noexcept {
  if (in.offset > hold.size || in.size > hold.size - in.offset) return false;
  // Privileges that a write takes away are taken away by the control plane.
  if ((hold.flags & abi::kMapPlain) == 0) return false;
  return runs_.AllWritten();
}

Reader::Served Reader::MappedWrite(const fuse::fuse_in_header& header, const fuse::fuse_write_in& in) noexcept {
  if (plane_->ablation.ask) return Served::kNo;
  MapHold hold;
  if (!plane_->maps.Acquire(header.nodeid, in.offset, in.size, runs_, hold)) return Served::kNo;
  const bool swap_rw = (hold.flags & abi::kMapSwapRw) != 0;
  if (swap_rw && FailUnaligned(header.unique, in.offset | in.size)) return Served::kAnswered;
  if (!MayWriteHere(hold, in)) {
    if ((hold.flags & abi::kMapGranted) == 0) return Served::kNo;
    hold.Release();
    return GrantedWrite(header, in);
  }
  CountMapped(swap_rw, true, PageCount(in.offset, in.size));
  if (!swap_rw || plane_->ablation.time) plane_->session.Touch(header.nodeid);
  // Through FOPEN_DIRECT_IO the kernel leaves O_DSYNC to us (fuse_direct_write_iter, fs/fuse/file.c). An ordinary file with
  // such a handle has no plain map; after all other writes the kernel sends an FSYNC (fuse_cache_write_iter).
  const bool durable = swap_rw && (in.flags & O_DSYNC) != 0;
  const Transfer transfer = durable ? Transfer::kDurableWrite : Transfer::kWrite;
  if (Fly(header.unique, in.offset, in.size, hold, transfer)) return Served::kFlies;
  const std::uint32_t head = InPage(in.offset);
  if (head != 0) std::memmove(pages() + head, pages(), in.size);
  const int error = plane_->device.WriteRuns(runs_, pages(), head, in.size, !durable && MayShare(in.size), transfer);
  hold.Release();
  CountTransfers();
  return AnswerWrite(header.unique, in.size, error);
}

// Into pages that nobody has written, or beyond the end of the file: the control plane has given leave, and hears of it
// from the commit ring.
Reader::Served Reader::GrantedWrite(const fuse::fuse_in_header& header, const fuse::fuse_write_in& in) noexcept {
  MapHold hold;
  if (!plane_->maps.BeginWrite(header.nodeid, in.offset, in.size, runs_, hold)) return Served::kNo;
  CountMapped(false, true, PageCount(in.offset, in.size));
  const std::uint32_t head = InPage(in.offset);
  if (head != 0) std::memmove(pages() + head, pages(), in.size);
  const int error = plane_->device.WriteRuns(runs_, pages(), head, in.size, MayShare(in.size));
  plane_->maps.EndWrite(hold, runs_, in.offset + in.size, error);
  hold.Release();
  CountTransfers();
  return AnswerWrite(header.unique, in.size, error);
}

// `error`: 0 or a negative errno of the device.
Reader::Served Reader::AnswerWrite(std::uint64_t unique, std::uint32_t size, int error) noexcept {
  if (error != 0) {
    Fail(unique, error);
    return Served::kAnswered;
  }
  Tally::Add(tally_.shard().written_bytes, size);
  const fuse::fuse_write_out out{size, 0};
  plane_->fuse.Reply(unique, std::as_bytes(std::span(&out, 1)));
  return Served::kAnswered;
}

}  // namespace swapfs
