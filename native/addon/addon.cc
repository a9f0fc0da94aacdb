// The functions that src/sys/addon.ts declares: unpack, call syscalls.h, throw or return. Decides nothing.

#include "napi.h"
#include "syscalls.h"

#include <unistd.h>

#include <vector>

namespace swapfs::addon {

namespace {

// `result` as a number, or thrown when it is a negative errno.
napi_value Returned(napi_env env, std::int64_t result, const char* syscall) {
  if (result < 0) return ThrowErrno(env, result, syscall), nullptr;
  return Number(env, static_cast<double>(result));
}

napi_value Done(napi_env env, std::int64_t result, const char* syscall) {
  if (result < 0) return ThrowErrno(env, result, syscall), nullptr;
  return Undefined(env);
}

void Set(napi_env env, napi_value object, const char* name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

napi_value Boolean(napi_env env, bool value) {
  napi_value made;
  napi_get_boolean(env, value, &made);
  return made;
}

napi_value RecvMessages(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  const auto buffer = arguments.Buffer(1);
  const auto lengths = arguments.Words(2);
  if (!arguments.ok()) return nullptr;
  if (lengths.empty() || buffer.size() < lengths.size()) return ThrowArgument(env, "buffer holds no slot"), nullptr;
  const auto received = sys::ReceiveMessages(fd, buffer, buffer.size() / lengths.size(), lengths);
  if (received.ended && received.count == 0) return Number(env, -1);
  return Returned(env, received.count, "recvmmsg");
}

napi_value SendMessage(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  auto message = arguments.Buffer(1);
  const std::uint64_t length = arguments.Has(2) ? arguments.Unsigned(2) : message.size();
  if (!arguments.ok()) return nullptr;
  if (length > message.size()) return ThrowArgument(env, "length is past the end of the buffer"), nullptr;
  return Done(env, sys::SendMessage(fd, message.first(length)), "send");
}

napi_value SendMessages(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  std::uint32_t count = 0;
  if (napi_get_array_length(env, arguments.At(1), &count) != napi_ok) return ThrowArgument(env, "an array"), nullptr;
  std::vector<sys::ConstBytes> messages(count);
  for (std::uint32_t i = 0; i < count; i += 1) {
    napi_value one;
    napi_get_element(env, arguments.At(1), i, &one);
    messages[i] = arguments.BufferOf(one);
  }
  if (!arguments.ok()) return nullptr;
  return Done(env, sys::SendMessages(fd, messages), "sendmmsg");
}

napi_value SeqpacketPair(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int buffer_bytes = arguments.Fd(0);
  if (!arguments.ok()) return nullptr;
  int fds[2];
  if (const int error = sys::SeqpacketPair(fds, buffer_bytes); error < 0) return Done(env, error, "socketpair");
  napi_value pair;
  napi_create_array_with_length(env, 2, &pair);
  napi_set_element(env, pair, 0, Number(env, fds[0]));
  napi_set_element(env, pair, 1, Number(env, fds[1]));
  return pair;
}

napi_value PeerCredentials(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  if (!arguments.ok()) return nullptr;
  const auto peer = sys::PeerCredentials(fd);
  if (peer.error < 0) return Done(env, peer.error, "getsockopt(SO_PEERCRED)");
  napi_value made;
  napi_create_object(env, &made);
  Set(env, made, "pid", Number(env, peer.pid));
  Set(env, made, "uid", Number(env, peer.uid));
  Set(env, made, "gid", Number(env, peer.gid));
  return made;
}

napi_value MemfdCreate(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const std::string name = arguments.Text(0);
  const std::uint64_t byte_length = arguments.Unsigned(1);
  if (!arguments.ok()) return nullptr;
  return Returned(env, sys::MemfdCreate(name.c_str(), byte_length), "memfd_create");
}

napi_value MapShared(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  const std::size_t byte_length = arguments.Unsigned(1);
  if (!arguments.ok()) return nullptr;
  void* address = nullptr;
  if (const int error = sys::MapShared(fd, byte_length, &address); error < 0) return Done(env, error, "mmap");
  const auto unmap = [](napi_env, void* data, void* hint) { sys::Unmap(data, reinterpret_cast<std::size_t>(hint)); };
  napi_value made;
  void* hint = reinterpret_cast<void*>(byte_length);
  if (napi_create_external_arraybuffer(env, address, byte_length, unmap, hint, &made) != napi_ok) {
    sys::Unmap(address, byte_length);
    return ThrowErrno(env, -ENOTSUP, "napi_create_external_arraybuffer"), nullptr;
  }
  return made;
}

napi_value Write(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  const auto bytes = arguments.Buffer(1);
  if (!arguments.ok()) return nullptr;
  return Returned(env, sys::Write(fd, bytes), "write");
}

napi_value OpenFlags(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  return arguments.ok() ? Returned(env, sys::OpenFlags(fd), "fcntl(F_GETFL)") : nullptr;
}

napi_value Fallocate(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  const int mode = arguments.Fd(1);
  const std::uint64_t offset = arguments.Unsigned(2);
  const std::uint64_t length = arguments.Unsigned(3);
  return arguments.ok() ? Done(env, sys::Fallocate(fd, mode, offset, length), "fallocate") : nullptr;
}

napi_value FileFlags(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  return arguments.ok() ? Returned(env, sys::FileFlags(fd), "ioctl(FS_IOC_GETFLAGS)") : nullptr;
}

napi_value SetFileFlags(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  const std::uint64_t flags = arguments.Unsigned(1);
  return arguments.ok() ? Done(env, sys::SetFileFlags(fd, flags), "ioctl(FS_IOC_SETFLAGS)") : nullptr;
}

napi_value BlockDeviceByteLength(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  return arguments.ok() ? Returned(env, sys::BlockDeviceByteLength(fd), "ioctl(BLKGETSIZE64)") : nullptr;
}

napi_value BlockDeviceReadOnly(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  if (!arguments.ok()) return nullptr;
  const int read_only = sys::BlockDeviceReadOnly(fd);
  return read_only < 0 ? Done(env, read_only, "ioctl(BLKROGET)") : Boolean(env, read_only == 1);
}

napi_value BlockDeviceDiscard(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  const std::uint64_t offset = arguments.Unsigned(1);
  const std::uint64_t length = arguments.Unsigned(2);
  return arguments.ok() ? Done(env, sys::BlockDeviceDiscard(fd, offset, length), "ioctl(BLKDISCARD)") : nullptr;
}

napi_value LoopAttach(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int backing = arguments.Fd(0);
  const std::string shown = arguments.Text(1);
  const bool read_only = arguments.Boolean(2);
  const bool in_part = arguments.Has(3);
  const std::uint64_t offset = in_part ? arguments.Unsigned(3) : 0;
  const std::uint64_t size_limit = in_part ? arguments.Unsigned(4) : 0;
  if (!arguments.ok()) return nullptr;
  const char* syscall = "";
  const auto loop = sys::LoopAttach({backing, shown.c_str(), read_only, offset, size_limit}, &syscall);
  if (loop.fd < 0) return Done(env, loop.fd, syscall);
  const std::string device = "/dev/loop" + std::to_string(loop.index);
  napi_value made, name;
  napi_create_object(env, &made);
  napi_create_string_utf8(env, device.c_str(), device.size(), &name);
  Set(env, made, "fd", Number(env, loop.fd));
  Set(env, made, "device", name);
  Set(env, made, "direct", Boolean(env, loop.direct));
  Set(env, made, "blockSize", Number(env, loop.block_size));
  return made;
}

napi_value LoopStatus(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  if (!arguments.ok()) return nullptr;
  sys::LoopState state;
  if (const int error = sys::LoopStatus(fd, state); error < 0) return Done(env, error, "ioctl(LOOP_GET_STATUS64)");
  napi_value made, name;
  napi_create_object(env, &made);
  napi_create_string_utf8(env, reinterpret_cast<const char*>(state.name), NAPI_AUTO_LENGTH, &name);
  Set(env, made, "dev", Number(env, static_cast<double>(state.device)));
  Set(env, made, "ino", Number(env, static_cast<double>(state.inode)));
  Set(env, made, "rdev", Number(env, static_cast<double>(state.rdevice)));
  Set(env, made, "offset", Number(env, static_cast<double>(state.offset)));
  Set(env, made, "sizeLimit", Number(env, static_cast<double>(state.size_limit)));
  Set(env, made, "name", name);
  return made;
}

napi_value LoopSetCapacity(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  return arguments.ok() ? Done(env, sys::LoopSetCapacity(fd), "ioctl(LOOP_SET_CAPACITY)") : nullptr;
}

napi_value LoopReset(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int index = arguments.Fd(0);
  if (!arguments.ok()) return nullptr;
  const char* syscall = "";
  const int error = sys::LoopReset(index, &syscall);
  return Done(env, error, syscall);
}

napi_value MapperIoctl(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int control = arguments.Fd(0);
  const auto command = static_cast<std::uint8_t>(arguments.Unsigned(1));
  const auto request = arguments.Buffer(2);
  return arguments.ok() ? Done(env, sys::MapperIoctl(control, command, request), "ioctl(/dev/mapper/control)") : nullptr;
}

napi_value AddRandomKey(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const std::string description = arguments.Text(0);
  const std::size_t byte_length = arguments.Unsigned(1);
  if (!arguments.ok()) return nullptr;
  const char* syscall = "";
  const std::int64_t serial = sys::AddRandomKey(description.c_str(), byte_length, &syscall);
  return Returned(env, serial, syscall);
}

napi_value UnlinkKey(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const std::int64_t serial = arguments.Integer(0);
  return arguments.ok() ? Done(env, sys::UnlinkKey(serial), "keyctl(KEYCTL_UNLINK)") : nullptr;
}

// A Float64Array of four numbers for each extent: logical, physical, length, flags. 2^53 bytes are enough for offsets.
napi_value Fiemap(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int fd = arguments.Fd(0);
  const std::uint64_t start = arguments.Unsigned(1);
  const std::uint64_t length = arguments.Unsigned(2);
  const bool sync = arguments.Boolean(3);
  if (!arguments.ok()) return nullptr;
  std::vector<sys::FileExtent> extents;
  if (const int error = sys::Fiemap(fd, start, length, sync, extents); error < 0) {
    return Done(env, error, "ioctl(FS_IOC_FIEMAP)");
  }
  napi_value memory, made;
  void* data = nullptr;
  napi_create_arraybuffer(env, extents.size() * 4 * sizeof(double), &data, &memory);
  auto* numbers = static_cast<double*>(data);
  for (const auto& one : extents) {
    *numbers++ = static_cast<double>(one.logical);
    *numbers++ = static_cast<double>(one.physical);
    *numbers++ = static_cast<double>(one.length);
    *numbers++ = one.flags;
  }
  napi_create_typedarray(env, napi_float64_array, extents.size() * 4, memory, 0, &made);
  return made;
}

}  // namespace

}  // namespace swapfs::addon

NAPI_MODULE_INIT() {
  using namespace swapfs::addon;
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {
      {"recvMessages", RecvMessages},
      {"sendMessage", SendMessage},
      {"sendMessages", SendMessages},
      {"seqpacketPair", SeqpacketPair},
      {"peerCredentials", PeerCredentials},
      {"memfdCreate", MemfdCreate},
      {"mapShared", MapShared},
      {"write", Write},
      {"openFlags", OpenFlags},
      {"fallocate", Fallocate},
      {"fileFlags", FileFlags},
      {"setFileFlags", SetFileFlags},
      {"blockDeviceByteLength", BlockDeviceByteLength},
      {"blockDeviceReadOnly", BlockDeviceReadOnly},
      {"blockDeviceDiscard", BlockDeviceDiscard},
      {"loopAttach", LoopAttach},
      {"loopStatus", LoopStatus},
      {"loopSetCapacity", LoopSetCapacity},
      {"loopReset", LoopReset},
      {"mapperIoctl", MapperIoctl},
      {"addRandomKey", AddRandomKey},
      {"unlinkKey", UnlinkKey},
      {"fiemap", Fiemap},
  };
  for (const auto& one : functions) Export(env, exports, one.name, one.function);
  ExportWatch(env, exports);
  ExportWork(env, exports);
  return exports;
}
