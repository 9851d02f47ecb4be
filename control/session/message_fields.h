// Fields behind a message's fixed part, by which known messages may grow (docs/PROTOCOL.md,
// fields). Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/wire.h"

namespace jvpn::session {

enum class FieldsVerdict : uint8_t {
  kTaken,     ///< nothing that has to be understood
  kCritical,  ///< a critical field that this version doesn't know: the message must not be taken
  kMalformed,
};

/// What stands behind the fixed part of an authentic message. Safe on any input.
inline FieldsVerdict check_fields(std::span<const uint8_t> rest) {
  bool critical = false;
  while (rest.size() >= sizeof(wire::Field)) {
    wire::Field field;
    __builtin_memcpy(&field, rest.data(), sizeof field);
    rest = rest.subspan(sizeof field);
    if (field.type == 0 && field.bytes == 0) {
      rest = {};  // padding
      break;
    }
    if (field.type == 0 || field.bytes > rest.size()) return FieldsVerdict::kMalformed;
    critical |= (field.type & wire::kCriticalField) != 0;
    rest = rest.subspan(field.bytes);
  }
  for (const uint8_t byte : rest) {
    if (byte != 0) return FieldsVerdict::kMalformed;
  }
  return critical ? FieldsVerdict::kCritical : FieldsVerdict::kTaken;
}

/// The value of the first field of a type, in fields that check_fields() has taken; nullopt: there
/// is none.
inline std::optional<std::span<const uint8_t>> find_field(std::span<const uint8_t> rest,
                                                          uint16_t type) {
  while (rest.size() >= sizeof(wire::Field)) {
    wire::Field field;
    __builtin_memcpy(&field, rest.data(), sizeof field);
    rest = rest.subspan(sizeof field);
    if (field.type == 0) return std::nullopt;
    if ((field.type & ~wire::kCriticalField) == type) return rest.first(field.bytes);
    rest = rest.subspan(field.bytes);
  }
  return std::nullopt;
}

/// The same, as a Value; nullopt also when it is shorter than one.
template <typename Value>
std::optional<Value> find_field(std::span<const uint8_t> rest, uint16_t type) {
  const auto found = find_field(rest, type);
  if (!found || found->size() < sizeof(Value)) return std::nullopt;
  Value value;
  __builtin_memcpy(&value, found->data(), sizeof value);
  return value;
}

/// Adds a field behind others.
inline void append_field(std::vector<uint8_t>& fields, uint16_t type,
                         std::span<const uint8_t> value) {
  const wire::Field field{type, static_cast<uint16_t>(value.size())};
  const auto* header = reinterpret_cast<const uint8_t*>(&field);
  fields.insert(fields.end(), header, header + sizeof field);
  fields.insert(fields.end(), value.begin(), value.end());
}

}  // namespace jvpn::session
