// Fields of inner IP, TCP and UDP headers as the client reads them in place (RFC 791, 8200, 9293,
// 768). No function looks beyond the span it is given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "common/bytes.h"
#include "common/ip.h"
#include "common/ip_header.h"

namespace jvpn::client::tunnel {

inline constexpr uint8_t kTcpFin = 0x01;
inline constexpr uint8_t kTcpPsh = 0x08;
inline constexpr uint8_t kTcpAck = 0x10;
inline constexpr uint8_t kTcpCwr = 0x80;

/// Family by the version field; kNone for anything but a sound header whose total length is
/// `packet.size()`.
inline Family inner_family(std::span<const uint8_t> packet) {
  if (packet.size() < kIpv4HeaderBytes) return Family::kNone;
  switch (packet[0] >> 4) {
    case 4: {
      const size_t header = size_t{packet[0] & 0xFU} * 4;
      const bool sound = header >= kIpv4HeaderBytes && header <= packet.size() &&
                         load_be16(&packet[2]) == packet.size();
      return sound ? Family::kIpv4 : Family::kNone;
    }
    case 6: {
      const bool sound = packet.size() >= kIpv6HeaderBytes &&
                         load_be16(&packet[4]) + kIpv6HeaderBytes == packet.size();
      return sound ? Family::kIpv6 : Family::kNone;
    }
    default:
      return Family::kNone;
  }
}

/// Source or destination of a packet that inner_family() found sound.
inline IpAddress inner_source(const uint8_t* packet, Family family) {
  return IpAddress::read(family, source_of(packet));
}
inline IpAddress inner_destination(const uint8_t* packet, Family family) {
  return IpAddress::read(family, destination_of(packet));
}

}  // namespace jvpn::client::tunnel
