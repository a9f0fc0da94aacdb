// A loop device that swapfs attached goes back as it was found. Its discard limit was set to 0 while a volume lay on it
// (swapon --discard would punch holes below an active swapfile), Linux keeps that over the detach, and the limit takes no
// other value back (queue_max_discard_sectors_store, block/blk-sysfs.c): only a new device can discard again.
#pragma once

namespace swapfs {

// Of the keeper, when all others have ended. Waits up to a second for umount(2) to let go of the device. Anything that is
// not a loop device, or that somebody attached by hand, is left alone.
void RenewLoop(const char* device) noexcept;

}  // namespace swapfs
