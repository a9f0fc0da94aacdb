#include "directory_notes.h"

#include <atomic>

#include "session_view.h"

namespace swapfs {

namespace {

constexpr std::uint32_t kFnvPrime = 16777619;

// src/dataplane/directorynotes.ts has the same.
std::uint32_t NameBit(std::uint64_t parent, std::span<const std::byte> name) noexcept {
  std::uint32_t hash = 2166136261;
  hash = (hash ^ static_cast<std::uint32_t>(parent)) * kFnvPrime;
  hash = (hash ^ static_cast<std::uint32_t>(parent >> 32)) * kFnvPrime;
  for (const std::byte byte : name) hash = (hash ^ std::to_integer<std::uint32_t>(byte)) * kFnvPrime;
  return (hash ^ (hash >> 15)) % abi::kNameBits;
}

bool IsDots(std::span<const std::byte> name) noexcept {
  return name.size() <= 2 && name.front() == std::byte{'.'} && name.back() == std::byte{'.'};
}

}  // namespace

std::optional<AttrOut> DirectoryAttributes(abi::DirectoryNotes& notes, std::uint64_t ino) noexcept {
  abi::AttributeSlot& slot = notes.attributes[ino % abi::kAttributeSlots];
  const std::uint32_t before = SessionView::Load(slot.sequence);
  if (before % 2 != 0 || SessionView::Load(slot.ino) != ino) return std::nullopt;
  AttrOut out;
  for (std::size_t i = 0; i < out.size(); i++) {
    out[i] = std::atomic_ref(slot.attr_out[i]).load(std::memory_order_acquire);
  }
  if (SessionView::Load(slot.sequence) != before) return std::nullopt;
  return out;
}

bool NameIsAbsent(abi::DirectoryNotes& notes, std::uint64_t parent, std::span<const std::byte> name) noexcept {
  if (SessionView::Load(notes.ready) == 0 || name.size() < 2 || name.back() != std::byte{0}) return false;
  const std::span<const std::byte> bytes = name.first(name.size() - 1);
  if (bytes.size() > 255 || IsDots(bytes)) return false;
  const std::uint32_t bit = NameBit(parent, bytes);
  const unsigned char byte = std::atomic_ref(notes.names[bit / 8]).load(std::memory_order_acquire);
  return (byte & (1u << (bit % 8))) == 0;
}

}  // namespace swapfs
