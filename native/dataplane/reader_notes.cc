// What a reader answers from the notes that the control plane has written into the session segment: that a name is not
// there, and the attributes of directories.
#include <cerrno>
#include <cstring>

#include "directory_notes.h"
#include "reader.h"

namespace swapfs {

namespace {

// "." and "..": how the kernel finds the inode of a file handle, and its parent. No directory lists them.
bool IsDot(std::span<const std::byte> name) noexcept {
  const auto at = [&](std::size_t i) { return i < name.size() ? std::to_integer<char>(name[i]) : '\0'; };
  return at(0) == '.' && (at(1) == '\0' || (at(1) == '.' && at(2) == '\0'));
}

}  // namespace

// A name that is not there: the kernel asks before it makes one (fuse_atomic_open in fs/fuse/dir.c, filename_create).
bool Reader::Lookup(const fuse::fuse_in_header& header, std::span<const std::byte> body) noexcept {
  if (IsDot(body)) return false;
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

// The first write through each opened file asks for capabilities that it would have to take away (cap_inode_need_killpriv
// in security/commoncap.c): hardly any volume has one.
bool Reader::Getxattr(const fuse::fuse_in_header& header, std::span<const std::byte> body) noexcept {
  static constexpr char kCapability[] = "security.capability";
  constexpr std::size_t kGetxattrInBytes = 8;
  if (body.size() != kGetxattrInBytes + sizeof(kCapability)) return false;
  if (std::memcmp(body.data() + kGetxattrInBytes, kCapability, sizeof(kCapability)) != 0) return false;
  if (SessionView::Load(plane_->session.directories().no_capabilities) == 0) return false;
  plane_->fuse.ReplyError(header.unique, -ENODATA);
  return true;
}

}  // namespace swapfs
