// Ethernet, IP, UDP and TCP headers (RFC 791, 8200, 768, 9293): sizes, numbers, and how control
// writes them. Pure functions over bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/ip.h"
#include "common/wire.h"

namespace jvpn {

using EtherAddress = std::array<uint8_t, 6>;

inline constexpr uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr uint16_t kEtherTypeArp = 0x0806;
inline constexpr uint16_t kEtherTypeIpv6 = 0x86DD;

// Without options.
inline constexpr uint32_t kEthernetHeaderBytes = 14;
inline constexpr uint32_t kIpv4HeaderBytes = 20;
inline constexpr uint32_t kIpv6HeaderBytes = 40;
inline constexpr uint32_t kUdpHeaderBytes = 8;
inline constexpr uint32_t kTcpHeaderBytes = 20;

inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint8_t kProtocolUdp = 17;
inline constexpr uint8_t kProtocolIcmpv6 = 58;

inline constexpr uint8_t kHops = 64;  ///< of the packets that we make

inline bool is_ipv4(const uint8_t* ip) {
  return ip[0] >> 4 == 4;
}
inline const uint8_t* source_of(const uint8_t* ip) {
  return ip + (is_ipv4(ip) ? 12 : 8);
}
inline const uint8_t* destination_of(const uint8_t* ip) {
  return ip + (is_ipv4(ip) ? 16 : 24);
}

/// Every link takes an IPv6 packet of this size, so the inside of a tunnel has to (RFC 8200, §5).
inline constexpr uint16_t kIpv6LeastMtu = 1'280;

/// What a tunnel packet is longer by than its inner packet: outer IP, UDP, JVP header and tag.
constexpr uint16_t outer_overhead(Family outer) {
  const size_t ip = outer == Family::kIpv6 ? kIpv6HeaderBytes : kIpv4HeaderBytes;
  return static_cast<uint16_t>(ip + kUdpHeaderBytes + wire::kTransportOverhead);
}

/// Writes an Ethernet header; returns its 14 bytes.
size_t write_ethernet(uint8_t* out, const EtherAddress& destination, const EtherAddress& source,
                      uint16_t ether_type);

/// Writes an IPv4 (20 bytes, DF, id 0, TTL `hops`, with checksum) or IPv6 header for `payload`
/// bytes; both addresses are of one family. Returns its length.
size_t write_ip(uint8_t* out, const IpAddress& source, const IpAddress& destination,
                uint8_t protocol, uint8_t hops, size_t payload);

}  // namespace jvpn
