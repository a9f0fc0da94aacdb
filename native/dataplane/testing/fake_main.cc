// swapfs-fake-control STORE, started by swapfs-keeper like a control plane.
#include <cstdio>
#include <cstdlib>

#include "fake_control.h"

namespace {

int Number(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? -1 : std::atoi(text);
}

}  // namespace

int main(int argc, char** argv) {
  static swapfs::fake::Store store;
  if (argc != 2 || !store.Open(argv[1])) {
    std::fprintf(stderr, "usage: swapfs-fake-control STORE\n");
    return 2;
  }
  static swapfs::fake::Link link(Number("SWAPFS_CONTROL_FD"));
  static swapfs::fake::Control control(link, store, Number("SWAPFS_READY_FD"));
  control.Run();
  return 0;
}
