// Headers that control writes: Ethernet, IPv4, IPv6, UDP, and their checksums (RFC 1071). Pure
// functions over bytes; all fields in network order unless said otherwise.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/ip_header.h"
#include "common/path.h"
#include "common/port_info.h"
#include "common/wire.h"

namespace jvpn::neighbor {

inline constexpr uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr uint16_t kEtherTypeArp = 0x0806;
inline constexpr uint16_t kEtherTypeIpv6 = 0x86DD;
inline constexpr size_t kEthernetHeaderBytes = 14;

inline constexpr uint8_t kHops = 64;  ///< of the packets that control makes

inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolUdp = 17;
inline constexpr uint8_t kProtocolIcmpv6 = 58;

constexpr uint16_t get_be16(const uint8_t* at) {
  return static_cast<uint16_t>((at[0] << 8) | at[1]);
}
constexpr void put_be16(uint8_t* at, size_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
constexpr void put_be32(uint8_t* at, uint32_t value) {
  put_be16(at, value >> 16);
  put_be16(at + 2, value & 0xFFFFU);
}

/// Sum of 16-bit words as the machine reads them, not folded; an odd last byte counts as padded.
uint32_t checksum_sum(std::span<const uint8_t> bytes, uint32_t sum = 0);
/// Folded and inverted, as stored by a plain 16-bit write.
uint16_t checksum_finish(uint32_t sum);
/// Sum of the pseudo-header (RFC 768, RFC 8200 §8.1) for `bytes` of upper-layer packet.
uint32_t pseudo_header_sum(const IpAddress& source, const IpAddress& destination, uint8_t protocol,
                           size_t bytes);

/// Writes an Ethernet header; returns its 14 bytes.
size_t write_ethernet(uint8_t* out, const EtherAddress& destination, const EtherAddress& source,
                      uint16_t ether_type);

/// Writes an IPv4 (20 bytes, DF, id 0, TTL `hops`, with checksum) or IPv6 header for `payload`
/// bytes; both addresses are of one family. Returns its length.
size_t write_ip(uint8_t* out, const IpAddress& source, const IpAddress& destination,
                uint8_t protocol, uint8_t hops, size_t payload);

/// Bytes that write_udp_frame() puts before a payload.
size_t udp_frame_overhead(Family family);
/// Ethernet (destination zero), IP, UDP and `payload`, checksums finished. `out` has room.
size_t write_udp_frame(uint8_t* out, const Path& path, const EtherAddress& source,
                       std::span<const uint8_t> payload);

}  // namespace jvpn::neighbor
