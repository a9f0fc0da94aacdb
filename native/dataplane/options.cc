#include "options.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace swapfs {

namespace {

const Option* Find(std::span<const Option> options, const char* name) noexcept {
  for (const Option& option : options) {
    if (std::strcmp(option.name, name) == 0) return &option;
  }
  return nullptr;
}

bool Set(const Option& option, const char* value) noexcept {
  if (option.text != nullptr) {
    *option.text = value;
    return true;
  }
  char* end = nullptr;
  const long number = std::strtol(value, &end, 10);
  if (*value == '\0' || *end != '\0' || number < 0 || number > 0x7fffffff) {
    std::fprintf(stderr, "cannot read %s: \"%s\" is not a number\n", option.name, value);
    return false;
  }
  *option.number = static_cast<int>(number);
  return true;
}

}  // namespace

int ParseOptions(std::span<char* const> arguments, std::span<const Option> options) noexcept {
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    if (std::strcmp(arguments[i], "--") == 0) return static_cast<int>(i + 1);
    const Option* option = Find(options, arguments[i]);
    if (option == nullptr || i + 1 == arguments.size()) {
      std::fprintf(stderr, option == nullptr ? "unknown option %s\n" : "%s needs a value\n", arguments[i]);
      return -1;
    }
    if (!Set(*option, arguments[i + 1])) return -1;
  }
  return static_cast<int>(arguments.size());
}

}  // namespace swapfs
