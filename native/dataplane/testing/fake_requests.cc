// The FUSE requests that the fake answers.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fake_control.h"

namespace swapfs::fake {

namespace {

template <typename Body>
Body Decode(std::span<const std::byte> bytes) {
  Body body{};
  std::memcpy(&body, bytes.data(), std::min(sizeof(body), bytes.size()));
  return body;
}

}  // namespace

// A copy carried out after its caller had the answer could truncate a file that had been written since.
bool Control::SentAgain(std::uint64_t unique) {
  constexpr std::uint64_t kResend = 1ULL << 63;
  if ((unique & kResend) == 0) return false;
  for (Waiting& waiting : waiting_) {
    if ((waiting.unique | kResend) != unique) continue;
    waiting.unique = unique;
    return true;
  }
  return link_.ReplyAgain(unique);
}

void Control::Request(std::span<const std::byte> request) {
  const auto header = Decode<fuse_in_header>(request);
  const std::span<const std::byte> body = request.subspan(sizeof(header));
  const char* name = reinterpret_cast<const char*>(body.data());
  if (SentAgain(header.unique)) return;
  switch (header.opcode) {
    case FUSE_INIT:
      return Init(header, body);
    case FUSE_LOOKUP:
      return Lookup(header, name);
    case FUSE_GETATTR:
      return ReplyAttr(header);
    case FUSE_SETATTR:
      return SetAttr(header, Decode<fuse_setattr_in>(body));
    case FUSE_OPEN:
      return Open(header);
    case FUSE_OPENDIR:
      return Reply(header, fuse_open_out{header.unique & ~(1ULL << 63), 0, 0});
    case FUSE_READDIR:
      return ReadDir(header, Decode<fuse_read_in>(body));
    case FUSE_STATFS:
      return Reply(header, fuse_statfs_out{{1 << 20, 1 << 19, 1 << 19, 100, 50, 4096, 255, 4096, 0, {}}});
    case FUSE_BMAP:
      return Bmap(header, Decode<fuse_bmap_in>(body));
    case FUSE_FALLOCATE:
      return Fallocate(header, Decode<fuse_fallocate_in>(body));
    case FUSE_MKDIR:
      return Mkdir(header, name + sizeof(fuse_mkdir_in));
    case FUSE_RELEASE:
      if (File* file = store_.Find(header.nodeid); file != nullptr && file->pinned != 0) {
        file->pinned = 0;
        link_.Revoke(next_tag_++, header.nodeid);
      }
      return Error(header, 0);
    case FUSE_RELEASEDIR:
    case FUSE_FLUSH:
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
    case FUSE_SYNCFS:
    case FUSE_DESTROY:
      return Error(header, 0);
    case FUSE_IOCTL:
      return Error(header, -ENOTTY);
    case FUSE_GETXATTR:
      return Error(header, -ENODATA);
    default:
      return Error(header, -EOPNOTSUPP);
  }
}

void Control::Init(const fuse_in_header& header, std::span<const std::byte> body) {
  const auto in = Decode<fuse_init_in>(body);
  fuse_init_out out{};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = std::min<std::uint32_t>(in.minor, FUSE_KERNEL_MINOR_VERSION);
  out.max_readahead = in.max_readahead;
  out.flags = in.flags & (FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES |
                          FUSE_HANDLE_KILLPRIV_V2 | FUSE_INIT_EXT);
  out.max_background = 64;
  out.congestion_threshold = 48;
  out.max_write = 1024 * 1024;
  out.time_gran = 1;
  out.max_pages = 256;
  Reply(header, out);
}

fuse_attr Control::Attributes(std::uint64_t ino) {
  fuse_attr attr{};
  attr.ino = ino;
  attr.nlink = 1;
  attr.mode = S_IFDIR | 0755;
  attr.blksize = 4096;
  const File* file = store_.Find(ino);
  if (file == nullptr) return attr;
  attr.mode = file->mode;
  attr.size = file->size;
  attr.mtime = file->mtime_ns / 1'000'000'000;
  attr.mtimensec = static_cast<std::uint32_t>(file->mtime_ns % 1'000'000'000);
  const std::uint64_t end = (file->size + 4095) / 4096;
  for (std::uint64_t page = 0; page < end; page++) attr.blocks += file->pages[page].device_page != 0 ? 8 : 0;
  return attr;
}

void Control::ReplyAttr(const fuse_in_header& header) {
  fuse_attr_out out{};
  out.attr = Attributes(header.nodeid);
  Reply(header, out);
}

void Control::ReplyEntry(const fuse_in_header& header, std::uint64_t nodeid) {
  fuse_entry_out out{};
  out.nodeid = nodeid;
  out.attr = Attributes(nodeid);
  Reply(header, out);
}

void Control::Lookup(const fuse_in_header& header, const char* name) {
  const bool known = name[0] == 'f' && name[1] >= '0' && name[1] < '0' + static_cast<int>(kFiles) && name[2] == '\0';
  if (header.nodeid != FUSE_ROOT_ID || !known) return Error(header, -ENOENT);
  ReplyEntry(header, kFirstIno + static_cast<std::uint64_t>(name[1] - '0'));
}

void Control::SetAttr(const fuse_in_header& header, const fuse_setattr_in& in) {
  File* file = store_.Find(header.nodeid);
  if (file == nullptr) return ReplyAttr(header);
  if ((in.valid & FATTR_MODE) != 0) file->mode = in.mode;
  if ((in.valid & FATTR_SIZE) == 0 || in.size == file->size) return ReplyAttr(header);
  if (in.size > std::uint64_t{kPagesMax} * 4096) return Error(header, -EFBIG);
  waiting_.push_back({next_tag_, header.unique, header.nodeid, in.size, true});
  link_.Revoke(next_tag_++, header.nodeid);
}

// A file on the swap_rw path is opened as an activated one is.
void Control::Open(const fuse_in_header& header) {
  const File* file = store_.Find(header.nodeid);
  const bool swap_rw = file != nullptr && file->swap_rw != 0;
  const std::uint32_t flags = swap_rw ? FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES : 0u;
  Reply(header, fuse_open_out{header.unique & ~(1ULL << 63), flags, 0});
}

void Control::ReadDir(const fuse_in_header& header, const fuse_read_in& in) {
  std::byte buffer[256] = {};
  std::size_t used = 0;
  for (std::uint32_t i = static_cast<std::uint32_t>(in.offset); i < kFiles && used + 32 <= sizeof(buffer); i++) {
    fuse_dirent entry{kFirstIno + i, i + 1, 2, S_IFREG >> 12};
    const char name[2] = {'f', static_cast<char>('0' + i)};
    std::memcpy(buffer + used, &entry, sizeof(entry));
    std::memcpy(buffer + used + sizeof(entry), name, sizeof(name));
    used += 32;
  }
  link_.Reply(header.unique, 0, buffer, used);
}

// The gate of the fake: no hole in the file.
void Control::Bmap(const fuse_in_header& header, const fuse_bmap_in& in) {
  File* file = store_.Find(header.nodeid);
  if (file == nullptr || in.blocksize == 0) return Error(header, -EINVAL);
  const std::uint64_t end = file->size / 4096;
  for (std::uint64_t page = 0; page < end; page++) {
    if (file->pages[page].device_page == 0) return Reply(header, fuse_bmap_out{0});
  }
  file->pinned = 1;
  InstallMap(header.nodeid);
  const std::uint64_t byte = in.block * in.blocksize;
  const std::uint64_t page = byte / 4096 < end ? file->pages[byte / 4096].device_page : 0;
  Reply(header, fuse_bmap_out{page == 0 ? 0 : (page * 4096 + byte % 4096) / in.blocksize});
}

void Control::Fallocate(const fuse_in_header& header, const fuse_fallocate_in& in) {
  File* file = store_.Find(header.nodeid);
  if (file == nullptr || in.mode != 0) return Error(header, -EOPNOTSUPP);
  if (in.offset + in.length > std::uint64_t{kPagesMax} * 4096) return Error(header, -ENOSPC);
  store_.Allocate(*file, in.offset, in.length);
  file->size = std::max(file->size, in.offset + in.length);
  if (file->installed != 0) InstallMap(header.nodeid);
  Error(header, 0);
}

void Control::Mkdir(const fuse_in_header& header, const char* name) {
  const char* colon = std::strchr(name, ':');
  if (name[0] != '!') return Error(header, -EPERM);
  if (Command(header, name + 1, colon == nullptr ? 0 : std::atoi(colon + 1))) ReplyEntry(header, next_dir_++);
}

// False: the reply comes later.
bool Control::Command(const fuse_in_header& header, const char* name, int argument) {
  const auto is = [name](const char* word) { return std::strncmp(name, word, std::strlen(word)) == 0; };
  const std::uint64_t ino = kFirstIno + static_cast<std::uint64_t>(argument);
  File* file = store_.Find(ino);
  if (is("install:") && file != nullptr) {
    file->installed = 1;
    InstallMap(ino);
  } else if (is("swap_rw:") && file != nullptr) {
    file->installed = file->swap_rw = 1;
    InstallMap(ino);
  } else if ((is("revoke:") || is("uninstall:")) && file != nullptr) {
    if (is("uninstall:")) file->installed = file->swap_rw = 0;
    waiting_.push_back({next_tag_, header.unique, ino, 0, false});
    link_.Revoke(next_tag_++, ino);
    return false;
  } else if (is("copy:") && file != nullptr && store_.Find(ino + 1) != nullptr) {
    CopyFile(header.unique, ino, ino + 1);
    return false;
  } else if (is("fragment:")) {
    store_.data().fragment = argument != 0 ? 1 : 0;
  } else if (is("written:") && file != nullptr) {
    store_.MarkWritten(*file, 0, file->size);
  } else if (is("next:")) {
    store_.data().next_page = static_cast<std::uint32_t>(argument);
  } else if (is("hold")) {
    hold_ = true;
  } else if (is("go")) {
    hold_ = false;
    TryAnswers();
  } else if (is("stall:")) {
    ::usleep(static_cast<useconds_t>(argument) * 1000);
  } else if (is("ignore")) {
    return false;
  }
  return true;
}

}  // namespace swapfs::fake
