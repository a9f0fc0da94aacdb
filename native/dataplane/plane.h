// What the threads of the data plane share: made once by main, never freed.
#pragma once

#include <atomic>
#include <cstdint>

#include "ablation.h"
#include "affinity_burst.h"
#include "buffer_pool.h"
#include "control_link.h"
#include "copier.h"
#include "crew.h"
#include "device_io.h"
#include "device_ring.h"
#include "extent_map_table.h"
#include "fuse_channel.h"
#include "in_flight.h"
#include "parked_table.h"
#include "session_view.h"
#include "wakefulness.h"
#include "world_gate.h"

namespace swapfs {

struct Plane {
  explicit Plane(Descriptor fuse_fd) noexcept
      : fuse(static_cast<Descriptor&&>(fuse_fd), session), in_flight(fuse), maps(link, session) {}

  SessionView session;
  ControlLink link;
  FuseChannel fuse;
  InFlight in_flight;
  BufferPool large;
  BufferPool small;
  DeviceIo device;
  DeviceRing ring;
  ExtentMapTable maps;
  ParkedTable parked;
  Copier copier;
  WorldGate gate;
  Crew crew;
  AffinityBurst burst;
  Wakefulness awake;

  Ablation ablation;
  // False: readers sleep on /dev/fuse at once.
  bool looks = true;
  // A request was dropped for want of room: a round of FUSE_NOTIFY_RESEND is due.
  std::atomic<bool> deferred{false};
  // False on a kernel before 6.9: then nothing may be dropped, and readers wait for room. Tried before the first read.
  std::atomic<bool> can_resend{false};
  std::atomic<std::uint64_t> destroy_unique{0};  // of FUSE_DESTROY, without the resend bit
};

}  // namespace swapfs
