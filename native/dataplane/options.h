// Command lines of the form --name value, for both programs.
#pragma once

#include <cstddef>
#include <span>

namespace swapfs {

struct Option {
  const char* name;  // "--fuse-fd"
  const char** text = nullptr;
  int* number = nullptr;  // not negative
};

// Sets what `arguments` name, up to "--" or the end. Index of the first argument behind "--" (or the end), or -1 after
// writing to stderr what is wrong.
int ParseOptions(std::span<char* const> arguments, std::span<const Option> options) noexcept;

}  // namespace swapfs
