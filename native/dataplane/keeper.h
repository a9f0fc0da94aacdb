// Holds /dev/fuse, the socket pair and the session for as long as the mount lives, and keeps both planes running. No
// death of another process then ends the FUSE connection, and swapoff goes on working.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "child_process.h"
#include "descriptor.h"
#include "fuse_mount.h"
#include "ready_pipe.h"
#include "run_dir.h"
#include "session_file.h"
#include "shared_ring.h"

namespace swapfs {

inline constexpr int kInternal = 70;  // an exit status

struct KeeperOptions {
  const char* device = nullptr;
  const char* mountpoint = nullptr;
  const char* run_dir = nullptr;
  const char* dataplane = nullptr;
  const char* log = nullptr;
  int lock_fd = -1;
  int ready_fd = -1;
  int max_read = 1024 * 1024;
  int mount_flags = kMountFlags;
  int affinity = 1;
  int awake = 1;
  int partner = 2;  // Partner::Use
  int device_waits = 2;
  int resend = 1;
  char** control = nullptr;  // argv of the control plane
};

class Keeper {
 public:
  explicit Keeper(const KeeperOptions& options) noexcept;

  // Returns the exit status, when the mount is gone or could not be made.
  int Run() noexcept;

 private:
  bool SetUp() noexcept;
  int MakeSockets() noexcept;
  int Supervise() noexcept;
  void StartDue() noexcept;
  bool DeviceIsDone(std::uint64_t now_ns) noexcept;
  void StartDataPlane(std::uint64_t now_ns) noexcept;
  void StartControlPlane(std::uint64_t now_ns) noexcept;
  [[noreturn]] void ExecDataPlane() noexcept;
  [[noreturn]] void ExecControlPlane() noexcept;
  void WaitForSignal() noexcept;
  void Reap() noexcept;
  void OnDeath(ChildProcess& child, int status) noexcept;
  bool GiveUp(const ChildProcess& child, int status) noexcept;
  void StartUnmount() noexcept;
  void OnUnmounted(int status) noexcept;
  void NoticeControlUp() noexcept;
  void LetGoOfDevice() noexcept;
  bool TakeDeviceLock(std::uint64_t now_ns) noexcept;
  int EndInOrder() noexcept;
  int EndBeforeReady() noexcept;
  void AwaitControlEnd(int seconds) noexcept;

  const KeeperOptions& options_;
  ReadyPipe ready_;
  Descriptor lock_;
  RunDir run_dir_;
  SessionFile session_;
  SharedRing ring_;  // of the data plane that runs or died last
  FuseMount mount_;
  Descriptor data_socket_;
  Descriptor control_socket_;
  ChildProcess data_plane_{"data plane"};
  ChildProcess control_plane_{"control plane"};
  bool told_busy_ = false;  // that the next data plane waits for what a dead one left in the device
  pid_t unmount_pid_ = 0;
  int oom_score_ = 0;        // before ours: the control plane gets it back
  int give_up_status_ = 0;   // not 0: a plane refused to start
  bool ever_up_ = false;     // the control plane has been up once: from then on every death is repaired
  bool data_ended_ = false;  // in order
};

}  // namespace swapfs
