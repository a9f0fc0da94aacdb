// What addon.cc and watch.cc share: arguments out of JavaScript, results and errors into it.
#pragma once

#include <node_api.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace swapfs::addon {

// Throws an Error with `errno` (negative, as Node's own), `code` ("ENOSPC") and `syscall`. `error` is -errno.
void ThrowErrno(napi_env env, std::int64_t error, const char* syscall);
// The same Error, not thrown.
napi_value ErrnoError(napi_env env, std::int64_t error, const char* syscall);
void ThrowArgument(napi_env env, const char* message);

inline napi_value Number(napi_env env, double value) {
  napi_value made;
  napi_create_double(env, value, &made);
  return made;
}

inline napi_value Undefined(napi_env env) {
  napi_value made;
  napi_get_undefined(env, &made);
  return made;
}

// The arguments of one call. A wrong type throws a TypeError once and leaves ok() false; values are then zero.
class Arguments {
 public:
  static constexpr std::size_t kMax = 5;

  Arguments(napi_env env, napi_callback_info info);

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool Has(std::size_t index) const;
  [[nodiscard]] napi_value At(std::size_t index) const { return values_[index]; }

  std::int64_t Integer(std::size_t index);
  int Fd(std::size_t index) { return static_cast<int>(Integer(index)); }
  std::uint64_t Unsigned(std::size_t index) { return static_cast<std::uint64_t>(Integer(index)); }
  bool Boolean(std::size_t index);
  std::string Text(std::size_t index);
  std::span<std::byte> Buffer(std::size_t index);  // Buffer or any other Uint8Array
  std::span<std::uint32_t> Words(std::size_t index);  // Uint32Array
  napi_value Function(std::size_t index);

  // Of a value that is not an argument itself.
  std::span<std::byte> BufferOf(napi_value value);

 private:
  void Fail(const char* message);

  napi_env env_;
  std::size_t count_ = kMax;
  std::array<napi_value, kMax> values_{};
  bool ok_ = true;
};

inline void Export(napi_env env, napi_value exports, const char* name, napi_callback function) {
  napi_value made;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &made);
  napi_set_named_property(env, exports, name, made);
}

// watch.cc
void ExportWatch(napi_env env, napi_value exports);

// work.cc
void ExportWork(napi_env env, napi_value exports);

}  // namespace swapfs::addon
