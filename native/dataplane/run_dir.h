// The directory under /run that belongs to one mount: removed at its end, with the sockets and files directly in it.
#pragma once

namespace swapfs {

void RemoveRunDir(const char* path) noexcept;

}  // namespace swapfs
