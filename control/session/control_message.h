// The first bytes of every control message (docs/PROTOCOL.md, control messages). Any thread.
#pragma once

#include <cstdint>
#include <span>

#include "common/wire.h"

namespace jvpn::session {

/// A control message whose tag was right.
struct OpenedControl {
  std::span<uint8_t> plaintext;  ///< in the message
  uint64_t counter;              ///< without its mask
};

/// A header of a control message of this version.
inline wire::ControlHeader control_header(wire::ControlType type, uint8_t flags = 0) {
  wire::ControlHeader header{};
  header.version = wire::kVersion;
  header.type = type;
  header.flags = flags;
  return header;
}

/// A message of `type`, everything else zero.
template <typename Message>
Message control_message(wire::ControlType type, uint8_t flags = 0) {
  Message message{};
  message.header = control_header(type, flags);
  return message;
}

}  // namespace jvpn::session
