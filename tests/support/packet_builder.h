// Frames and packets for tests, as vectors of bytes: build a sound one, spoil one field, send it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "common/ip.h"

namespace jvpn::test {

using Bytes = std::vector<uint8_t>;
using Mac48 = std::array<uint8_t, 6>;

inline constexpr Mac48 kPortMac{};  ///< ports of rings have no address of their own
inline constexpr Mac48 kPeerMac{0x02, 0, 0, 0, 0, 0x22};
inline constexpr Mac48 kHostMac{0x02, 0, 0, 0, 0, 0x33};
inline constexpr uint16_t kListenPort = 51'900;
inline constexpr uint16_t kPeerPort = 40'000;

inline constexpr uint16_t kIpv4Type = 0x0800;
inline constexpr uint16_t kIpv6Type = 0x86DD;
inline constexpr uint16_t kArpType = 0x0806;
inline constexpr uint8_t kIcmpProtocol = 1;
inline constexpr uint8_t kTcpProtocol = 6;
inline constexpr uint8_t kUdpProtocol = 17;
inline constexpr uint8_t kIcmpV6Protocol = 58;

inline void put16(Bytes& bytes, size_t at, unsigned value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}
inline unsigned get16(const Bytes& bytes, size_t at) {
  return bytes[at] << 8 | bytes[at + 1];
}

inline void append(Bytes& bytes, const Bytes& more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

/// Payload that tells packets apart: `value`, then rising bytes.
inline Bytes payload_of(size_t bytes, uint8_t value = 0) {
  Bytes payload(bytes);
  for (size_t i = 0; i < bytes; ++i) payload[i] = static_cast<uint8_t>(value + i);
  return payload;
}

/// One's complement sum of 16-bit words, straight from RFC 1071.
inline uint16_t internet_sum(const uint8_t* data, size_t bytes, uint32_t sum = 0) {
  for (size_t i = 0; i < bytes; ++i) sum += i % 2 == 0 ? unsigned{data[i]} << 8 : unsigned{data[i]};
  while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

/// Sets the IPv4 header checksum of the header at `at`.
inline void fix_ipv4_checksum(Bytes& bytes, size_t at) {
  put16(bytes, at + 10, 0);
  const size_t header = (bytes[at] & 0x0FU) * 4;
  put16(bytes, at + 10, static_cast<uint16_t>(~internet_sum(&bytes[at], header)));
}

struct IpFields {
  uint8_t protocol = kUdpProtocol;
  uint8_t hops = 64;
  Bytes options;  ///< IPv4: multiple of 4; IPv6: extension headers, `protocol` is the first's
  uint16_t fragment = 0x4000;  ///< IPv4: flags and offset; DF alone
};

inline Bytes ipv4_packet(const IpAddress& from, const IpAddress& to, const Bytes& payload,
                         const IpFields& fields = {}) {
  Bytes ip(20);
  ip[0] = static_cast<uint8_t>(0x40 | (5 + fields.options.size() / 4));
  append(ip, fields.options);
  put16(ip, 2, static_cast<unsigned>(ip.size() + payload.size()));
  put16(ip, 6, fields.fragment);
  ip[8] = fields.hops;
  ip[9] = fields.protocol;
  std::copy_n(from.bytes.begin(), 4, ip.begin() + 12);
  std::copy_n(to.bytes.begin(), 4, ip.begin() + 16);
  fix_ipv4_checksum(ip, 0);
  append(ip, payload);
  return ip;
}

inline Bytes ipv6_packet(const IpAddress& from, const IpAddress& to, const Bytes& payload,
                         const IpFields& fields = {}) {
  Bytes ip(40);
  ip[0] = 0x60;
  put16(ip, 4, static_cast<unsigned>(fields.options.size() + payload.size()));
  ip[6] = fields.protocol;
  ip[7] = fields.hops;
  std::copy_n(from.bytes.begin(), 16, ip.begin() + 8);
  std::copy_n(to.bytes.begin(), 16, ip.begin() + 24);
  append(ip, fields.options);
  append(ip, payload);
  return ip;
}

/// Of the family of `from`.
inline Bytes ip_packet(const IpAddress& from, const IpAddress& to, const Bytes& payload,
                       const IpFields& fields = {}) {
  return from.is_v4() ? ipv4_packet(from, to, payload, fields)
                      : ipv6_packet(from, to, payload, fields);
}

/// UDP without a checksum.
inline Bytes udp_datagram(uint16_t from, uint16_t to, const Bytes& payload) {
  Bytes udp(8);
  put16(udp, 0, from);
  put16(udp, 2, to);
  put16(udp, 4, static_cast<unsigned>(8 + payload.size()));
  append(udp, payload);
  return udp;
}

/// Of an IPv6 packet without extension headers, pseudo header included: 0xFFFF when it is right.
inline uint16_t icmpv6_sum(const Bytes& ip) {
  const size_t bytes = ip.size() - 40;
  const auto pseudo = static_cast<uint32_t>(bytes) + kIcmpV6Protocol;
  return internet_sum(&ip[40], bytes, internet_sum(&ip[8], 32, pseudo));
}

/// Sets the ICMPv6 checksum.
inline void fix_icmpv6(Bytes& ip) {
  put16(ip, 42, 0);
  put16(ip, 42, static_cast<uint16_t>(~icmpv6_sum(ip)));
}

inline Bytes echo_request(const IpAddress& from, const IpAddress& to, unsigned sequence = 7,
                          size_t payload = 32) {
  const bool v6 = from.is_v6();
  Bytes icmp(8);
  icmp[0] = v6 ? 128 : 8;
  put16(icmp, 4, 0x1234);
  put16(icmp, 6, sequence);
  append(icmp, payload_of(payload));
  if (!v6) put16(icmp, 2, static_cast<uint16_t>(~internet_sum(icmp.data(), icmp.size())));
  Bytes ip = ip_packet(from, to, icmp, {v6 ? kIcmpV6Protocol : kIcmpProtocol, 64, {}});
  if (v6) fix_icmpv6(ip);
  return ip;
}

inline Bytes ethernet_frame(const Mac48& to, const Mac48& from, uint16_t type,
                            const Bytes& payload) {
  Bytes frame(14);
  std::copy(to.begin(), to.end(), frame.begin());
  std::copy(from.begin(), from.end(), frame.begin() + 6);
  put16(frame, 12, type);
  append(frame, payload);
  return frame;
}

/// An IP packet in a frame, the EtherType by its version.
inline Bytes ip_frame(const Mac48& to, const Mac48& from, const Bytes& packet) {
  return ethernet_frame(to, from, packet[0] >> 4 == 4 ? kIpv4Type : kIpv6Type, packet);
}

inline IpAddress address(const char* text) {
  return IpAddress::parse(text).value();
}

}  // namespace jvpn::test
