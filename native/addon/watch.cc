// watch(fd, callback): libuv's own poll handle in Node's event loop, so that a wake-up costs one epoll_wait and no thread.
// Node exports libuv's functions and keeps their ABI; its headers are not in node-api-headers, so the few that are
// needed are declared here, with handles as plain memory of the size that libuv itself states.

#include "napi.h"

#include <cstdlib>
#include <map>

extern "C" {
struct uv_loop_s;
std::size_t uv_handle_size(int type);
const char* uv_handle_type_name(int type);
void uv_handle_set_data(void* handle, void* data);
void* uv_handle_get_data(const void* handle);
int uv_poll_init(uv_loop_s* loop, void* handle, int fd);
int uv_poll_start(void* handle, int events, void (*callback)(void* handle, int status, int events));
int uv_poll_stop(void* handle);
void uv_close(void* handle, void (*callback)(void* handle));
}

namespace swapfs::addon {

namespace {

constexpr int kUvPoll = 8;      // UV_POLL of uv_handle_type; checked by name before it is trusted
constexpr int kUvReadable = 1;  // UV_READABLE

struct Watcher {
  napi_env env;
  napi_ref callback;
  napi_async_context context;
  void* handle;  // uv_poll_t
};

// One for each environment (the main thread, a worker).
struct Watchers {
  std::map<int, Watcher*> by_fd;
};

void OnReadable(void* handle, int status, int /*events*/) {
  const auto* watcher = static_cast<Watcher*>(uv_handle_get_data(handle));
  const napi_env env = watcher->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback, receiver, argument;
  napi_get_reference_value(env, watcher->callback, &callback);
  napi_get_global(env, &receiver);
  argument = Number(env, status);
  // Runs nextTick and promise jobs afterwards, as for every callback of Node's own.
  if (napi_make_callback(env, watcher->context, receiver, callback, 1, &argument, nullptr) == napi_pending_exception) {
    napi_value error;
    if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
}

void Destroy(Watcher* watcher) {
  napi_delete_reference(watcher->env, watcher->callback);
  napi_async_destroy(watcher->env, watcher->context);
  uv_poll_stop(watcher->handle);
  uv_close(watcher->handle, std::free);
  delete watcher;
}

void DestroyAll(void* data) {
  auto* watchers = static_cast<Watchers*>(data);
  for (const auto& [fd, watcher] : watchers->by_fd) Destroy(watcher);
  watchers->by_fd.clear();
}

Watchers* WatchersOf(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return static_cast<Watchers*>(data);
}

int StartPoll(napi_env env, int fd, Watcher* watcher) {
  const char* name = uv_handle_type_name(kUvPoll);
  if (name == nullptr || std::strcmp(name, "poll") != 0) return -ENOSYS;
  uv_loop_s* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return -ENOSYS;
  void* handle = std::malloc(uv_handle_size(kUvPoll));
  if (const int error = uv_poll_init(loop, handle, fd); error < 0) {
    std::free(handle);
    return error;
  }
  watcher->handle = handle;
  uv_handle_set_data(handle, watcher);
  if (const int error = uv_poll_start(handle, kUvReadable, OnReadable); error < 0) {
    uv_close(handle, std::free);
    return error;
  }
  return 0;
}

napi_value Watch(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  const napi_value callback = arguments.Function(1);
  if (!arguments.ok()) return nullptr;
  Watchers* watchers = WatchersOf(env);
  if (watchers->by_fd.contains(fd)) return ThrowErrno(env, -EEXIST, "watch"), nullptr;
  auto* watcher = new Watcher{env, nullptr, nullptr, nullptr};
  if (const int error = StartPoll(env, fd, watcher); error < 0) {
    delete watcher;
    return ThrowErrno(env, error, "uv_poll_start"), nullptr;
  }
  napi_value name;
  napi_create_string_utf8(env, "swapfs:watch", NAPI_AUTO_LENGTH, &name);
  napi_create_reference(env, callback, 1, &watcher->callback);
  napi_async_init(env, nullptr, name, &watcher->context);
  watchers->by_fd.emplace(fd, watcher);
  return Undefined(env);
}

napi_value Unwatch(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  if (!arguments.ok()) return nullptr;
  Watchers* watchers = WatchersOf(env);
  const auto found = watchers->by_fd.find(fd);
  if (found == watchers->by_fd.end()) return Undefined(env);
  Destroy(found->second);
  watchers->by_fd.erase(found);
  return Undefined(env);
}

}  // namespace

void ExportWatch(napi_env env, napi_value exports) {
  auto* watchers = new Watchers;
  napi_set_instance_data(
      env, watchers, [](napi_env, void* data, void*) { delete static_cast<Watchers*>(data); }, nullptr);
  napi_add_env_cleanup_hook(env, DestroyAll, watchers);
  Export(env, exports, "watch", Watch);
  Export(env, exports, "unwatch", Unwatch);
}

}  // namespace swapfs::addon
