// An Ethernet frame that carries one JVP/1 message, as somebody on the wire sees it: what can be
// told without keys, and what can be changed so that the frame is still a sound one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "common/ip.h"
#include "common/wire.h"

namespace jvpn::lab {

/// Offsets into the frame; no IPv4 options, no IPv6 extension headers, no fragment.
struct JvpFrame {
  Family family{};
  size_t udp = 0;
  size_t payload = 0;
  size_t payload_bytes = 0;
  wire::MessageType type{};
};

/// nullopt for a frame that is none, or is cut short. `port`: of the tunnel, at either end.
std::optional<JvpFrame> parse_jvp(std::span<const uint8_t> frame, uint16_t port);

/// Kinds of messages that type and length tell apart.
enum class MessageKind : uint8_t {
  kAny,
  kHandshake,
  kData,
  kControl,
  kProbe,
  kRequest,
  kResponse,
  kAnswer
};

/// `any`, `handshake`, `data`, `control`, `probe` (padded: PATH_PROBE and what follows on it),
/// `request` (REATTACH_REQUEST), `response` (REATTACH_RESPONSE and all others of that size),
/// `answer` (REATTACH_ACK and REATTACH_REJECT).
std::optional<MessageKind> parse_kind(std::string_view text);
bool is(MessageKind kind, const JvpFrame& frame);

/// The same message as if it came from `source`; nullopt when that is of another family.
std::optional<std::vector<uint8_t>> with_source(std::span<const uint8_t> frame, const JvpFrame& at,
                                                const IpAddress& source);
/// Without the last `bytes` of the message, at least one byte of which is left.
std::vector<uint8_t> truncated(std::span<const uint8_t> frame, const JvpFrame& at, size_t bytes);

}  // namespace jvpn::lab
