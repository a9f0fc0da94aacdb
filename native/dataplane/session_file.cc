#include "session_file.h"

#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>

namespace swapfs {

int SessionFile::Create() noexcept {
  fd_ = Descriptor(::memfd_create("swapfs-session", MFD_CLOEXEC));
  if (!fd_.valid() || ::ftruncate(fd_.get(), kSessionFileBytes) != 0) return -errno;
  region_ = MappedRegion::Shared(fd_.get(), 0, 4096);
  private_ = MappedRegion::Shared(fd_.get(), kPrivateSessionOffset, 4096);
  if (!region_.valid() || !private_.valid()) return -ENOMEM;
  abi::SessionHeader& session = header();
  session.version = abi::kSessionVersion;
  session.header_bytes = sizeof(abi::SessionHeader);
  session.keeper_pid = static_cast<std::uint32_t>(::getpid());
  if (::getrandom(&session.session, sizeof(session.session), 0) != sizeof(session.session)) return -errno;
  session.magic = abi::kSessionMagic;
  return 0;
}

}  // namespace swapfs
