#include "napi.h"

#include <cstdlib>

namespace swapfs::addon {

void ThrowErrno(napi_env env, std::int64_t error, const char* syscall) { napi_throw(env, ErrnoError(env, error, syscall)); }

napi_value ErrnoError(napi_env env, std::int64_t error, const char* syscall) {
  const int number = static_cast<int>(-error);
  const char* name = strerrorname_np(number);  // glibc 2.32
  const std::string message = std::string(name ? name : "errno") + ": " + strerrordesc_np(number) + ", " + syscall;
  napi_value code, text, made;
  napi_create_string_utf8(env, name ? name : "EUNKNOWN", NAPI_AUTO_LENGTH, &code);
  napi_create_string_utf8(env, message.c_str(), message.size(), &text);
  napi_create_error(env, code, text, &made);
  napi_set_named_property(env, made, "errno", Number(env, -number));
  napi_create_string_utf8(env, syscall, NAPI_AUTO_LENGTH, &text);
  napi_set_named_property(env, made, "syscall", text);
  return made;
}

void ThrowArgument(napi_env env, const char* message) { napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message); }

Arguments::Arguments(napi_env env, napi_callback_info info) : env_(env) {
  napi_get_cb_info(env, info, &count_, values_.data(), nullptr, nullptr);
}

void Arguments::Fail(const char* message) {
  if (ok_) ThrowArgument(env_, message);
  ok_ = false;
}

bool Arguments::Has(std::size_t index) const {
  napi_valuetype type = napi_undefined;
  return index < count_ && napi_typeof(env_, values_[index], &type) == napi_ok && type != napi_undefined;
}

std::int64_t Arguments::Integer(std::size_t index) {
  std::int64_t value = 0;
  if (napi_get_value_int64(env_, values_[index], &value) != napi_ok) Fail("an argument must be a number");
  return value;
}

bool Arguments::Boolean(std::size_t index) {
  bool value = false;
  if (Has(index) && napi_get_value_bool(env_, values_[index], &value) != napi_ok) Fail("an argument must be a boolean");
  return value;
}

std::string Arguments::Text(std::size_t index) {
  std::size_t length = 0;
  if (napi_get_value_string_utf8(env_, values_[index], nullptr, 0, &length) != napi_ok) {
    Fail("an argument must be a string");
    return {};
  }
  std::string text(length, '\0');
  napi_get_value_string_utf8(env_, values_[index], text.data(), length + 1, &length);
  return text;
}

std::span<std::byte> Arguments::BufferOf(napi_value value) {
  void* data = nullptr;
  std::size_t length = 0;
  bool is_buffer = false;
  if (napi_is_buffer(env_, value, &is_buffer) != napi_ok || !is_buffer ||
      napi_get_buffer_info(env_, value, &data, &length) != napi_ok) {
    Fail("an argument must be a Buffer");
    return {};
  }
  return {static_cast<std::byte*>(data), length};
}

std::span<std::byte> Arguments::Buffer(std::size_t index) { return BufferOf(values_[index]); }

std::span<std::uint32_t> Arguments::Words(std::size_t index) {
  napi_typedarray_type type = napi_int8_array;
  std::size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env_, values_[index], &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint32_array) {
    Fail("an argument must be a Uint32Array");
    return {};
  }
  return {static_cast<std::uint32_t*>(data), length};
}

napi_value Arguments::Function(std::size_t index) {
  napi_valuetype type = napi_undefined;
  if (napi_typeof(env_, values_[index], &type) != napi_ok || type != napi_function) Fail("an argument must be a function");
  return values_[index];
}

}  // namespace swapfs::addon
