// What the data plane may say about directories without asking: attributes that the control plane has written down, and
// that a name is not there.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "../abi/session.h"

namespace swapfs {

using AttrOut = std::array<std::uint64_t, 13>;  // fuse_attr_out

// nullopt: not written down, or being written at this moment.
std::optional<AttrOut> DirectoryAttributes(abi::DirectoryNotes& notes, std::uint64_t ino) noexcept;

// True: no such name is there. `name`: the body of FUSE_LOOKUP, ended by a zero.
bool NameIsAbsent(abi::DirectoryNotes& notes, std::uint64_t parent, std::span<const std::byte> name) noexcept;

}  // namespace swapfs
