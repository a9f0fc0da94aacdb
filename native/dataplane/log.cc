#include "log.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace swapfs {

namespace {

const char* log_name = "swapfs";

// As new Date().toISOString() writes it, since the control plane's lines go into the same file.
int FormatTime(char* text, std::size_t bytes) noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  ::gmtime_r(&now.tv_sec, &utc);
  return std::snprintf(text, bytes, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s: ", utc.tm_year + 1900, utc.tm_mon + 1,
                       utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1'000'000, log_name);
}

}  // namespace

void SetLogName(const char* name) noexcept {
  log_name = name;
  char text[64];
  FormatTime(text, sizeof(text));  // gmtime_r reads and allocates its time zone in the first call only
}

void Log(const char* format, ...) noexcept {
  char line[512];
  const int start = FormatTime(line, sizeof(line));
  if (start < 0) return;
  va_list arguments;
  va_start(arguments, format);
  const int added = std::vsnprintf(line + start, sizeof(line) - static_cast<std::size_t>(start), format, arguments);
  va_end(arguments);
  const int end = std::min(start + std::max(added, 0), static_cast<int>(sizeof(line)) - 1);
  line[end] = '\n';
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line, static_cast<std::size_t>(end) + 1);
}

const char* ErrnoName(int error) noexcept {
  const char* text = ::strerrordesc_np(error);
  return text != nullptr ? text : "unknown error";
}

}  // namespace swapfs
