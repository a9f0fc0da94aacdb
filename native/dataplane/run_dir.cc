#include "run_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "log.h"

namespace swapfs {

void RemoveRunDir(const char* path) noexcept {
  const int fd = ::open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  DIR* directory = ::fdopendir(fd);
  if (directory == nullptr) {
    ::close(fd);
    return;
  }
  while (const dirent* entry = ::readdir(directory)) {
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) {
      ::unlinkat(fd, entry->d_name, 0);
    }
  }
  ::closedir(directory);
  if (::rmdir(path) != 0) Log("cannot remove %s: %s", path, ErrnoName(errno));
}

}  // namespace swapfs
