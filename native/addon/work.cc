// System calls that take long, on a thread of libuv's pool, each as a promise: the event loop goes on meanwhile.
// Callers keep each call short (some MiB) and start few at once, since the pool also flushes.

#include "napi.h"
#include "syscalls.h"

#include <condition_variable>
#include <mutex>

namespace swapfs::addon {

namespace {

// How many calls have been begun and have not returned, of all environments.
class Pending {
 public:
  void Add() {
    const std::lock_guard lock(mutex_);
    count_ += 1;
  }
  void Remove() {
    const std::lock_guard lock(mutex_);
    count_ -= 1;
    if (count_ == 0) none_.notify_all();
  }
  void WaitForNone() {
    std::unique_lock lock(mutex_);
    none_.wait(lock, [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  int count_ = 0;
};

Pending pending;

struct Call {
  int (*run)(const Call& call) noexcept;  // 0 or -errno
  const char* syscall;
  int fd;
  int mode;
  std::uint64_t offset;
  std::uint64_t length;
  std::uint64_t to = 0;
  int error = 0;
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
};

void Execute(napi_env, void* data) {
  auto* call = static_cast<Call*>(data);
  call->error = call->run(*call);
  pending.Remove();
}

void Complete(napi_env env, napi_status status, void* data) {
  auto* call = static_cast<Call*>(data);
  if (status == napi_cancelled) pending.Remove();
  if (call->error == 0) napi_resolve_deferred(env, call->deferred, Undefined(env));
  else napi_reject_deferred(env, call->deferred, ErrnoError(env, call->error, call->syscall));
  napi_delete_async_work(env, call->work);
  delete call;
}

napi_value Begin(napi_env env, const Call& begun) {
  auto* call = new Call(begun);
  napi_value promise, name;
  napi_create_promise(env, &call->deferred, &promise);
  napi_create_string_utf8(env, "swapfs:work", NAPI_AUTO_LENGTH, &name);
  napi_create_async_work(env, nullptr, name, Execute, Complete, call, &call->work);
  pending.Add();
  napi_queue_async_work(env, call->work);
  return promise;
}

napi_value FallocateAsync(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const auto run = [](const Call& call) noexcept { return sys::Fallocate(call.fd, call.mode, call.offset, call.length); };
  const Call call{run, "fallocate", arguments.Fd(0), arguments.Fd(1), arguments.Unsigned(2), arguments.Unsigned(3)};
  return arguments.ok() ? Begin(env, call) : nullptr;
}

napi_value WriteZeroes(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const auto run = [](const Call& call) noexcept { return sys::WriteZeroes(call.fd, call.offset, call.length); };
  const Call call{run, "pwrite", arguments.Fd(0), 0, arguments.Unsigned(1), arguments.Unsigned(2)};
  return arguments.ok() ? Begin(env, call) : nullptr;
}

napi_value BlockDeviceDiscardAsync(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const auto run = [](const Call& call) noexcept { return sys::BlockDeviceDiscard(call.fd, call.offset, call.length); };
  const Call call{run, "ioctl(BLKDISCARD)", arguments.Fd(0), 0, arguments.Unsigned(1), arguments.Unsigned(2)};
  return arguments.ok() ? Begin(env, call) : nullptr;
}

napi_value CopyWithin(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const auto run = [](const Call& call) noexcept { return sys::CopyWithin(call.fd, call.offset, call.to, call.length); };
  Call call{run, "pread, pwrite", arguments.Fd(0), 0, arguments.Unsigned(1), arguments.Unsigned(3)};
  call.to = arguments.Unsigned(2);
  return arguments.ok() ? Begin(env, call) : nullptr;
}

napi_value WaitForWork(napi_env env, napi_callback_info) {
  pending.WaitForNone();
  return Undefined(env);
}

}  // namespace

void ExportWork(napi_env env, napi_value exports) {
  Export(env, exports, "fallocateAsync", FallocateAsync);
  Export(env, exports, "writeZeroes", WriteZeroes);
  Export(env, exports, "blockDeviceDiscardAsync", BlockDeviceDiscardAsync);
  Export(env, exports, "copyWithin", CopyWithin);
  Export(env, exports, "waitForWork", WaitForWork);
}

}  // namespace swapfs::addon
