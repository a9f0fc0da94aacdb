// Attaching a file to a loop device as the kernel wants it since LOOP_CONFIGURE (5.8): set up in one step, so that no
// other process ever sees a half-configured device.

#include "syscalls.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace swapfs::sys {

namespace {

constexpr int kRaces = 64;  // how often another process may snatch the free device before we give up
constexpr std::uint32_t kBlockSizes[] = {4096, 0};  // 0: what the kernel thinks right for the backing file

loop_config ConfigFor(const LoopBacking& backing, std::uint32_t block_size) noexcept {
  loop_config config{};
  config.fd = static_cast<std::uint32_t>(backing.fd);
  config.block_size = block_size;
  config.info.lo_offset = backing.offset;
  config.info.lo_sizelimit = backing.size_limit;
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO | (backing.read_only ? LO_FLAGS_READ_ONLY : 0);
  std::memcpy(config.info.lo_file_name, backing.name, std::min(std::strlen(backing.name), sizeof config.info.lo_file_name - 1));
  return config;
}

// 0 or -errno. loop_configure() says EINVAL for a block size that the backing file's direct I/O cannot do.
int Configure(int loop, const LoopBacking& backing) noexcept {
  int error = 0;
  for (const std::uint32_t block_size : kBlockSizes) {
    const loop_config config = ConfigFor(backing, block_size);
    if (ioctl(loop, LOOP_CONFIGURE, &config) == 0) return 0;
    error = -errno;
    if (error != -EINVAL) break;
  }
  return error;
}

bool IsDirect(int loop) noexcept {
  loop_info64 info{};
  if (ioctl(loop, LOOP_GET_STATUS64, &info) < 0) return false;
  // Kernels before 6.14 may ignore LO_FLAGS_DIRECT_IO in LOOP_CONFIGURE, and take it here.
  return (info.lo_flags & LO_FLAGS_DIRECT_IO) != 0 || ioctl(loop, LOOP_SET_DIRECT_IO, 1UL) == 0;
}

int LogicalBlockSize(int loop) noexcept {
  int bytes = 0;
  constexpr unsigned long kBlkSszGet = _IO(0x12, 104);  // BLKSSZGET; <linux/fs.h> and <sys/mount.h> quarrel
  return ioctl(loop, kBlkSszGet, &bytes) < 0 ? 512 : bytes;
}

// A loop device keeps a `blockdev --setro` of its last user, and mount(2) would say that it is read-only.
void MakeWritable(int loop) noexcept {
  int read_only = 0;
  constexpr unsigned long kBlkRoSet = _IO(0x12, 93);  // BLKROSET
  ioctl(loop, kBlkRoSet, &read_only);
}

int OpenFree(int control, bool read_only, int* index, const char** syscall) noexcept {
  *syscall = "ioctl(LOOP_CTL_GET_FREE)";
  *index = ioctl(control, LOOP_CTL_GET_FREE);
  if (*index < 0) return -errno;
  char device[32];
  std::snprintf(device, sizeof device, "/dev/loop%d", *index);
  *syscall = "open(/dev/loopN)";
  const int loop = open(device, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
  return loop < 0 ? -errno : loop;
}

LoopDevice AttachWith(int control, const LoopBacking& backing, const char** syscall) noexcept {
  int error = 0;
  for (int race = 0; race < kRaces; race += 1) {
    int index = -1;
    const int loop = OpenFree(control, backing.read_only, &index, syscall);
    if (loop < 0) return {loop, -1, false, 0};
    *syscall = "ioctl(LOOP_CONFIGURE)";
    error = Configure(loop, backing);
    if (error == 0) {
      if (!backing.read_only) MakeWritable(loop);
      return {loop, index, IsDirect(loop), LogicalBlockSize(loop)};
    }
    close(loop);
    if (error != -EBUSY) break;
    usleep(1000);
  }
  return {error, -1, false, 0};
}

}  // namespace

LoopDevice LoopAttach(const LoopBacking& backing, const char** syscall) noexcept {
  *syscall = "open(/dev/loop-control)";
  const int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  if (control < 0) return {-errno, -1, false, 0};
  const LoopDevice attached = AttachWith(control, backing, syscall);
  close(control);
  return attached;
}

int LoopStatus(int fd, LoopState& state) noexcept {
  loop_info64 info{};
  if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0) return -errno;
  info.lo_file_name[sizeof info.lo_file_name - 1] = 0;
  state = {info.lo_device, info.lo_inode, info.lo_rdevice, info.lo_offset, info.lo_sizelimit, {}};
  std::memcpy(state.name, info.lo_file_name, sizeof state.name);
  return 0;
}

int LoopSetCapacity(int fd) noexcept { return ioctl(fd, LOOP_SET_CAPACITY, 0) < 0 ? -errno : 0; }

int LoopReset(int index, const char** syscall) noexcept {
  *syscall = "open(/dev/loop-control)";
  const int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  if (control < 0) return -errno;
  int error = 0;
  *syscall = "ioctl(LOOP_CTL_REMOVE)";
  if (ioctl(control, LOOP_CTL_REMOVE, index) < 0) error = -errno;
  else {
    *syscall = "ioctl(LOOP_CTL_ADD)";
    if (ioctl(control, LOOP_CTL_ADD, index) < 0 && errno != EEXIST) error = -errno;
  }
  close(control);
  return error;
}

}  // namespace swapfs::sys
