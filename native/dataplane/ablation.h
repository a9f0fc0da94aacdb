// Steps of an ordinary write that a benchmark puts back on the swap_rw path (SWAPFS_ABLATE, src/dataplane/ablation.ts; the
// control plane has the other names). Read once at start: a branch on a constant, for those who have none.
#pragma once

#include <cstdlib>
#include <cstring>

#include "log.h"

namespace swapfs {

struct Ablation {
  bool time = false;  // a write notes the time, as one to an ordinary file
  bool ask = false;   // a write finds no map and asks the control plane where it lies

  void Init() noexcept {
    const char* names = std::getenv("SWAPFS_ABLATE");
    time = Names(names, "time");
    ask = Names(names, "ask");
    if (time || ask) Log("writes are slowed down on purpose: SWAPFS_ABLATE=%s", names);
  }

 private:
  // `names` is a list with commas; the CLI has refused whatever is unknown.
  static bool Names(const char* names, const char* name) noexcept {
    const std::size_t length = std::strlen(name);
    for (const char* at = names; at != nullptr && *at != '\0';) {
      at += std::strspn(at, ", ");
      const std::size_t word = std::strcspn(at, ", ");
      if (word == length && std::strncmp(at, name, length) == 0) return true;
      at += word;
    }
    return false;
  }
};

}  // namespace swapfs
