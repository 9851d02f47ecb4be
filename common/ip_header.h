// Sizes of the headers around a packet: IPv4 without options (RFC 791), IPv6 (RFC 8200), UDP
// (RFC 768).
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/ip.h"
#include "common/wire.h"

namespace jvpn {

inline constexpr size_t kIpv4HeaderBytes = 20;
inline constexpr size_t kIpv6HeaderBytes = 40;
inline constexpr size_t kUdpHeaderBytes = 8;

/// Outer bytes around an inner packet, without Ethernet: IP, UDP, JVP header and tag.
constexpr uint16_t outer_overhead(Family family) {
  const size_t ip = family == Family::kIpv6 ? kIpv6HeaderBytes : kIpv4HeaderBytes;
  return static_cast<uint16_t>(ip + kUdpHeaderBytes + wire::kTransportOverhead);
}

}  // namespace jvpn
