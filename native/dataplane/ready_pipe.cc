#include "ready_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

namespace swapfs {

ReadyPipe::ReadyPipe(int fd) noexcept : fd_(fd) {
  if (fd >= 0) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void ReadyPipe::ReportError(const char* text) noexcept {
  if (!fd_.valid()) return;
  char line[600];
  std::size_t at = 0;
  const auto put = [&](const char* part, bool escape) {
    for (; *part != '\0' && at < sizeof(line) - 8; part++) {
      const bool control = static_cast<unsigned char>(*part) < 0x20;
      if (escape && (*part == '"' || *part == '\\')) line[at++] = '\\';
      line[at++] = escape && control ? ' ' : *part;
    }
  };
  put("{\"error\":\"", false);
  put(text, true);
  put("\"}\n", false);
  [[maybe_unused]] const ssize_t written = ::write(fd_.get(), line, at);
  Close();
}

}  // namespace swapfs
