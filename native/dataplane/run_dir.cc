#include "run_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "log.h"

namespace swapfs {

namespace {

void Empty(int fd) noexcept {
  const int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);  // closedir closes it
  DIR* directory = own < 0 ? nullptr : ::fdopendir(own);
  if (directory == nullptr) return;
  while (const dirent* entry = ::readdir(directory)) {
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) {
      ::unlinkat(fd, entry->d_name, 0);
    }
  }
  ::closedir(directory);
}

}  // namespace

RunDir::RunDir(const char* path) noexcept
    : path_(path), fd_(::open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) {
  if (fd_.valid()) ::flock(fd_.get(), LOCK_EX | LOCK_NB);
}

void RunDir::Remove() noexcept {
  if (!fd_.valid()) return;
  Empty(fd_.get());
  struct stat ours {};
  struct stat named {};
  if (::fstat(fd_.get(), &ours) != 0 || ::lstat(path_, &named) != 0) return;
  if (ours.st_dev != named.st_dev || ours.st_ino != named.st_ino) return;
  if (::rmdir(path_) != 0) Log("cannot remove %s: %s", path_, ErrnoName(errno));
}

}  // namespace swapfs
