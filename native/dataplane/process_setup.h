// What a process in the I/O path asks of the kernel: memory that stays, reclaim that does not wait for it, and no OOM
// kill. What is not permitted is left out, and the session says so.
#pragma once

#include <cstdint>

namespace swapfs {

// Of the calling thread and of those it starts afterwards. True when it was set and read back.
bool SetIoFlusher() noexcept;
// Undone before the control plane is started, which is no part of the I/O path.
void ClearIoFlusher() noexcept;

// Present and future memory. Raises RLIMIT_MEMLOCK where it may.
// systemd ends what is left at shutdown, but for what is named so (https://systemd.io/ROOT_STORAGE_DAEMONS): swap that could not be
// swapped off before needs us to the last moment.
inline void MarkStorageDaemon(char** argv) noexcept { argv[0][0] = '@'; }

bool LockMemory() noexcept;

// Writes oom_score_adj. True when it then says so.
bool SetOomScoreAdjust(int value) noexcept;
int OomScoreAdjust() noexcept;

// VmLck of this process, bytes.
std::uint64_t LockedBytes() noexcept;

}  // namespace swapfs
