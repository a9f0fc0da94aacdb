// Threads with a small stack, all started before work begins and never joined.
#pragma once

#include <pthread.h>

#include <cstddef>

namespace swapfs {

#ifdef SWAPFS_SANITIZE
inline constexpr std::size_t kStackBytes = 1024 * 1024;
#else
inline constexpr std::size_t kStackBytes = 64 * 1024;
#endif

// Runs object.Run() on a new thread. 0 or an errno.
template <typename Object>
int StartThread(Object& object, const char* name) noexcept {
  pthread_attr_t attributes;
  pthread_t thread;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, kStackBytes);
  const auto run = [](void* pointer) -> void* {
    static_cast<Object*>(pointer)->Run();
    return nullptr;
  };
  const int error = ::pthread_create(&thread, &attributes, run, &object);
  ::pthread_attr_destroy(&attributes);
  if (error == 0) ::pthread_setname_np(thread, name);
  return error;
}

}  // namespace swapfs
