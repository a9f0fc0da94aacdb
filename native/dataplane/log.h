// Log lines on stderr, the daemon's log file: one write(2) each, formatted on the stack, nothing allocated.
#pragma once

namespace swapfs {

// Names the process in every line; the string must live for ever.
void SetLogName(const char* name) noexcept;

[[gnu::format(printf, 1, 2)]] void Log(const char* format, ...) noexcept;

// Text of an errno (given positive) that needs neither locale nor memory.
const char* ErrnoName(int error) noexcept;

}  // namespace swapfs
