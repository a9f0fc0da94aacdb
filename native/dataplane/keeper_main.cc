// swapfs-keeper --source-device DEV --mountpoint DIR --run-dir DIR [--lock-fd N] [--ready-fd N] [--log FILE]
//   [--mount-flags MS_FLAGS] [--max-read BYTES] --dataplane PATH -- CONTROL_ARGV...
// Without --log it stays in the foreground, with its caller's stdout and stderr.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "descriptor.h"
#include "keeper.h"
#include "log.h"
#include "options.h"
#include "process_setup.h"

namespace swapfs {

namespace {

constexpr int kUsage = 2;

int Usage(const char* what) noexcept {
  std::fprintf(stderr, "swapfs-keeper: %s\n", what);
  return kUsage;
}

// 0, or the exit status.
int Parse(std::span<char*> arguments, KeeperOptions& options) noexcept {
  const Option known[] = {{"--source-device", &options.device, nullptr}, {"--mountpoint", &options.mountpoint, nullptr},
                          {"--run-dir", &options.run_dir, nullptr},      {"--dataplane", &options.dataplane, nullptr},
                          {"--log", &options.log, nullptr},              {"--lock-fd", nullptr, &options.lock_fd},
                          {"--ready-fd", nullptr, &options.ready_fd},    {"--max-read", nullptr, &options.max_read},
                          {"--mount-flags", nullptr, &options.mount_flags},
                          {"--affinity", nullptr, &options.affinity},    {"--awake", nullptr, &options.awake},
                          {"--partner", nullptr, &options.partner},
                          {"--device-waits", nullptr, &options.device_waits},
                          {"--resend", nullptr, &options.resend}};
  const int rest = ParseOptions(arguments, known);
  if (rest < 0) return kUsage;
  if (static_cast<std::size_t>(rest) == arguments.size()) return Usage("no control plane behind --");
  options.control = &arguments[static_cast<std::size_t>(rest)];
  for (const char* path : {options.device, options.mountpoint, options.run_dir, options.dataplane}) {
    // The daemon leaves its working directory, so that this does not stay busy.
    if (path == nullptr || *path != '/') return Usage("device, mountpoint, run-dir and dataplane: absolute paths");
  }
  return 0;
}

// To the background: output to the log, no terminal, no directory kept busy.
int Detach(const char* log) noexcept {
  const Descriptor file(::open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!file.valid() || !null.valid()) {
    Log("cannot open %s: %s", log, ErrnoName(errno));
    return kInternal;
  }
  ::dup2(null.get(), STDIN_FILENO);
  ::dup2(file.get(), STDOUT_FILENO);
  ::dup2(file.get(), STDERR_FILENO);
  ::setsid();
  return ::chdir("/") == 0 ? 0 : kInternal;
}

int Main(std::span<char*> arguments) noexcept {
  SetLogName("swapfs-keeper");
  KeeperOptions options;
  if (const int status = Parse(arguments, options)) return status;
  if (options.log != nullptr) {
    if (const int status = Detach(options.log)) return status;
  }
  Keeper keeper(options);
  return keeper.Run();
}

}  // namespace

}  // namespace swapfs

int main(int argc, char** argv) {
  swapfs::MarkStorageDaemon(argv);
  return swapfs::Main({argv + 1, static_cast<std::size_t>(argc - 1)});
}
