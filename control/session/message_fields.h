// Fields behind a message's fixed part, by which known messages may grow (docs/PROTOCOL.md,
// fields). No field is in use yet. Any thread.
#pragma once

#include <cstdint>
#include <span>

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

}  // namespace jvpn::session
