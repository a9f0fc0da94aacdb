// What a reader answers from the notes that the control plane has written into the session segment: that a name is not
// there, and the attributes of directories.
#include "directory_notes.h"
#include "reader.h"

namespace swapfs {

// A name that is not there: the kernel asks before it makes one (fuse_atomic_open in fs/fuse/dir.c, filename_create).
bool Reader::Lookup(const fuse::fuse_in_header& header, std::span<const std::byte> body) noexcept {
  if (!NameIsAbsent(plane_->session.directories(), header.nodeid, body)) return false;
  fuse::fuse_entry_out out{};  // nodeid 0, and remembered as absent
  out.entry_valid = fuse::kValidSeconds;
  plane_->fuse.Reply(header.unique, std::as_bytes(std::span(&out, 1)));
  return true;
}

// Each change in a directory makes the kernel forget its attributes (fuse_dir_changed in fs/fuse/dir.c), and the next path
// through it asks for them.
bool Reader::Getattr(const fuse::fuse_in_header& header) noexcept {
  const auto attributes = DirectoryAttributes(plane_->session.directories(), header.nodeid);
  if (!attributes) return false;
  plane_->fuse.Reply(header.unique, std::as_bytes(std::span(*attributes)));
  return true;
}

}  // namespace swapfs
