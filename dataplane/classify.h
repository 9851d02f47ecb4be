// Stage classify. Worker core. Reads headers only; decides, changes nothing.
//   1. Ethernet: for us, or to a group.
//   2. IP: sound header, no options, no fragment, to one of the port's addresses.
//   3. Outside: UDP to the listening port; JVP/1 type, reserved bits, length.
//   4. Inside: what isn't for the port itself is an inner packet to be routed.
// The functions here are pure, so that every malformed frame can be tested as a line in a table.
#pragma once

#include <cstdint>

#include <rte_mbuf.h>

#include "common/bytes.h"
#include "common/drop.h"
#include "common/wire.h"
#include "dataplane/inner_packet.h"
#include "dataplane/port_view.h"

namespace jvpn {

inline constexpr uint32_t kMinControl = wire::kTransportOverhead + sizeof(wire::ControlHeader);
inline constexpr uint32_t kMaxControl = wire::kTransportOverhead + wire::kMaxPaddedPlaintext;

enum class Verdict : uint8_t {
  kData,       ///< JVP data message
  kControl,    ///< JVP control message
  kHandshake,  ///< what goes before there are keys, or without them, of the right size
  kInner,      ///< inside packet to be routed
  kFrame,      ///< for control: ARP, ND, ICMP, or anything to an inside port's own address
  kDrop,
};

/// What a frame is, and where its part of interest lies.
struct Classified {
  Verdict verdict;
  Drop reason = Drop::kCount;  ///< kDrop: why
  uint16_t offset = 0;         ///< of the JVP message or inner packet, from Ethernet
  uint32_t bytes = 0;          ///< of it, link-layer padding left out
};

/// What the port judged of an IPv4 header checksum.
enum class HeaderSum : uint8_t { kUnknown, kGood, kBad };

namespace classify {

inline constexpr uint8_t kFragmentHeader = 44;
inline constexpr uint8_t kNdHops = 255;
inline constexpr uint8_t kNdSolicitation = 135;

inline Classified dropped(Drop reason) {
  return {Verdict::kDrop, reason, 0, 0};
}
inline Classified frame() {
  return {Verdict::kFrame, Drop::kCount, 0, 0};
}

inline bool to_group(const uint8_t* ethernet) {
  return (ethernet[0] & 1) != 0;
}
inline bool to_port(const PortView& port, const uint8_t* ethernet) {
  return (load_u64(ethernet) & 0xFFFF'FFFF'FFFF) == port.mac;
}

/// The extension headers that may stand before UDP or ICMPv6 (RFC 8200, §4.1; RFC 4302, 6275, …).
inline bool is_ipv6_extension(uint8_t next_header) {
  switch (next_header) {
    case 0:    // hop-by-hop options
    case 43:   // routing
    case 51:   // authentication
    case 60:   // destination options
    case 135:  // mobility
    case 139:  // HIP
    case 140:  // shim6
      return true;
    default:
      return false;
  }
}

/// A JVP/1 message at `message`; type, reserved bits and length.
inline Classified jvp(const uint8_t* message, uint16_t offset, uint32_t bytes) {
  if (bytes < sizeof(wire::Preamble)) return dropped(Drop::kMessageLength);
  const uint32_t preamble = load_u32(message);
  if (preamble >> 8 != 0) return dropped(Drop::kReserved);
  const auto sized = [&](Verdict verdict, bool right) -> Classified {
    return right ? Classified{verdict, Drop::kCount, offset, bytes} : dropped(Drop::kMessageLength);
  };
  switch (static_cast<wire::MessageType>(preamble)) {
    case wire::MessageType::kData:
      return sized(Verdict::kData, bytes >= kMinData);
    case wire::MessageType::kControl:
      return sized(Verdict::kControl, bytes >= kMinControl && bytes <= kMaxControl);
    case wire::MessageType::kInitiation:
    case wire::MessageType::kInquiry:
      return sized(Verdict::kHandshake, bytes == sizeof(wire::Initiation));
    case wire::MessageType::kResponse:
      return sized(Verdict::kHandshake,
                   bytes >= sizeof(wire::Response) && bytes <= sizeof(wire::Initiation));
    case wire::MessageType::kCookieReply:
    case wire::MessageType::kRetry:
      return sized(Verdict::kHandshake, bytes == sizeof(wire::SealedReply));
    case wire::MessageType::kReset:
      return sized(Verdict::kHandshake, bytes == sizeof(wire::Reset));
    case wire::MessageType::kReadiness:
      return sized(Verdict::kHandshake, bytes == sizeof(wire::Readiness));
  }
  return dropped(Drop::kMessageType);
}

/// A UDP datagram `offset` into the frame, `bytes` of IP payload.
inline Classified udp(const PortView& port, const uint8_t* ethernet, uint16_t offset,
                      uint32_t bytes) {
  if (bytes < kUdpHeaderBytes) return dropped(Drop::kTruncated);
  const uint8_t* datagram = ethernet + offset;
  const uint32_t length = load_be16(datagram + 4);
  if (length < kUdpHeaderBytes || length > bytes) return dropped(Drop::kTruncated);
  if (load_be16(datagram + 2) != port.listen_port) return dropped(Drop::kUdpPort);
  const auto message = static_cast<uint16_t>(offset + kUdpHeaderBytes);
  return jvp(ethernet + message, message, length - kUdpHeaderBytes);
}

/// A packet longer than its frame. Beyond the link's MTU it was merged from several and then cut.
inline Drop cut(const PortView& port, uint32_t total) {
  return port.mtu != 0 && total > port.mtu ? Drop::kMerged : Drop::kTruncated;
}

/// kCount when the IPv4 header in `bytes` is sound and its checksum right.
inline Drop check_ipv4(const PortView& port, const uint8_t* ip, uint32_t bytes, HeaderSum sum) {
  if (bytes < kIpv4HeaderBytes) return Drop::kTruncated;
  const uint32_t header = (ip[0] & 0x0FU) * 4;
  const uint32_t total = load_be16(ip + 2);
  if (!is_ipv4(ip) || header < kIpv4HeaderBytes || total < header) return Drop::kIpHeader;
  if (total > bytes) return cut(port, total);
  if (sum == HeaderSum::kBad) return Drop::kIpChecksum;
  if (sum == HeaderSum::kUnknown && !ipv4_header_sums_up(ip, header)) return Drop::kIpChecksum;
  return Drop::kCount;
}

/// kCount when the IPv6 header in `bytes` is sound.
inline Drop check_ipv6(const PortView& port, const uint8_t* ip, uint32_t bytes) {
  if (bytes < kIpv6HeaderBytes) return Drop::kTruncated;
  if (ip[0] >> 4 != 6) return Drop::kIpHeader;
  const uint32_t total = kIpv6HeaderBytes + load_be16(ip + 4);
  return total > bytes ? cut(port, total) : Drop::kCount;
}

inline Classified outside_ipv4(const PortView& port, const uint8_t* ethernet, uint32_t length,
                               HeaderSum sum) {
  const uint8_t* ip = ethernet + kEthernetHeaderBytes;
  const Drop unsound = check_ipv4(port, ip, length - kEthernetHeaderBytes, sum);
  if (unsound != Drop::kCount) return dropped(unsound);
  if (!port.owns_ipv4(ip + 16) || to_group(ethernet)) return dropped(Drop::kNotForUs);
  if ((ip[0] & 0x0F) != 5) return dropped(Drop::kIpOptions);
  if ((load_be16(ip + 6) & 0x3FFF) != 0) return dropped(Drop::kFragment);
  if (ip[9] == kProtocolIcmp) return frame();
  if (ip[9] != kProtocolUdp) return dropped(Drop::kProtocol);
  return udp(port, ethernet, kEthernetHeaderBytes + kIpv4HeaderBytes,
             load_be16(ip + 2) - kIpv4HeaderBytes);
}

inline Classified outside_ipv6(const PortView& port, const uint8_t* ethernet, uint32_t length) {
  const uint8_t* ip = ethernet + kEthernetHeaderBytes;
  const Drop unsound = check_ipv6(port, ip, length - kEthernetHeaderBytes);
  if (unsound != Drop::kCount) return dropped(unsound);
  const uint8_t next_header = ip[6];
  const bool group = ip[24] == 0xFF;
  if (group && next_header == kProtocolIcmpv6) return frame();  // neighbour solicitation
  if (group || to_group(ethernet) || !port.owns_ipv6(ip + 24)) return dropped(Drop::kNotForUs);
  if (next_header == kProtocolIcmpv6) return frame();
  if (next_header == kFragmentHeader) return dropped(Drop::kFragment);
  if (is_ipv6_extension(next_header)) return dropped(Drop::kIpOptions);
  if (next_header != kProtocolUdp) return dropped(Drop::kProtocol);
  return udp(port, ethernet, kEthernetHeaderBytes + kIpv6HeaderBytes, load_be16(ip + 4));
}

inline Classified inside_ipv4(const PortView& port, const uint8_t* ethernet, uint32_t length,
                              HeaderSum sum) {
  const uint8_t* ip = ethernet + kEthernetHeaderBytes;
  const Drop unsound = check_ipv4(port, ip, length - kEthernetHeaderBytes, sum);
  if (unsound != Drop::kCount) return dropped(unsound);
  if (to_group(ethernet)) return dropped(Drop::kNotForUs);
  if (port.owns_ipv4(ip + 16)) return frame();
  return {Verdict::kInner, Drop::kCount, kEthernetHeaderBytes, load_be16(ip + 2)};
}

/// A solicitation, wherever to: a host asks its neighbour, to whom we send in another's place,
/// whether it is still there (RFC 4861, §7.3.3). Such are never forwarded.
inline bool solicits(const uint8_t* ip) {
  return ip[7] == kNdHops && load_be16(ip + 4) != 0 && ip[kIpv6HeaderBytes] == kNdSolicitation;
}

inline Classified inside_ipv6(const PortView& port, const uint8_t* ethernet, uint32_t length) {
  const uint8_t* ip = ethernet + kEthernetHeaderBytes;
  const Drop unsound = check_ipv6(port, ip, length - kEthernetHeaderBytes);
  if (unsound != Drop::kCount) return dropped(unsound);
  const bool group = ip[24] == 0xFF;
  if (ip[6] == kProtocolIcmpv6 && (group || solicits(ip))) return frame();
  if (group || to_group(ethernet)) return dropped(Drop::kNotForUs);
  if (port.owns_ipv6(ip + 24)) return frame();
  return {Verdict::kInner, Drop::kCount, kEthernetHeaderBytes,
          kIpv6HeaderBytes + load_be16(ip + 4)};
}

/// What ports of both roles decide alike; the callers decide about IP.
template <typename OfIpv4, typename OfIpv6>
Classified by_ether_type(const PortView& port, const uint8_t* ethernet, uint32_t length,
                         OfIpv4 of_ipv4, OfIpv6 of_ipv6) {
  if (length < kEthernetHeaderBytes) return dropped(Drop::kTruncated);
  if (!to_port(port, ethernet) && !to_group(ethernet)) return dropped(Drop::kNotForUs);
  switch (load_be16(ethernet + 12)) {
    case kEtherTypeIpv4:
      return of_ipv4();
    case kEtherTypeIpv6:
      return of_ipv6();
    case kEtherTypeArp:
      return frame();
    default:
      return dropped(Drop::kEtherType);
  }
}

}  // namespace classify

/// What nearly every frame is, decided by one branch: a JVP data message over IPv4 without options
/// or fragments to the port's first address, nothing behind the datagram. Gives the message's
/// length, which starts at kPlainMessage; 0: it may be anything.
inline constexpr uint32_t kPlainMessage = kEthernetHeaderBytes + kIpv4HeaderBytes + kUdpHeaderBytes;
inline uint32_t plain_data(const PortView& port, const uint8_t* ethernet, uint32_t length,
                           HeaderSum sum) {
  if (length < port.least_data) [[unlikely]]
    return 0;
  const __m128i differences =
      _mm_or_si128(_mm_or_si128(port.plain_ipv4.differences(ethernet),
                                port.plain_udp[0].differences(ethernet + kPlainUdp[0])),
                   port.plain_udp[1].differences(ethernet + kPlainUdp[1]));
  const uint8_t* ip = ethernet + kEthernetHeaderBytes;
  const uint32_t total = load_be16(ip + 2);
  const uint32_t datagram = load_be16(ip + kIpv4HeaderBytes + 4);
  const bool sized = datagram + kIpv4HeaderBytes == total &&
                     total + kEthernetHeaderBytes <= length &&
                     datagram >= kUdpHeaderBytes + kMinData;
  const bool sums_up =
      sum == HeaderSum::kGood || (sum == HeaderSum::kUnknown && ipv4_plain_header_sums_up(ip));
  if (!sized || !sums_up || _mm_test_all_zeros(differences, differences) == 0) [[unlikely]]
    return 0;
  return datagram - kUdpHeaderBytes;
}

/// The same for an inside port: an IPv4 packet without options that isn't for the port itself.
/// Gives its length; 0: it may be anything.
inline uint32_t plain_inner(const PortView& port, const uint8_t* ethernet, uint32_t length,
                            HeaderSum sum) {
  if (length < port.least_inner) [[unlikely]]
    return 0;
  const __m128i differences = port.plain_ipv4.differences(ethernet);
  const uint8_t* ip = ethernet + kEthernetHeaderBytes;
  const uint32_t total = load_be16(ip + 2);
  const bool sized = total >= kIpv4HeaderBytes && total + kEthernetHeaderBytes <= length;
  const bool sums_up =
      sum == HeaderSum::kGood || (sum == HeaderSum::kUnknown && ipv4_plain_header_sums_up(ip));
  if (!sized || !sums_up || _mm_test_all_zeros(differences, differences) == 0 ||
      port.owns_ipv4(ip + 16)) [[unlikely]]
    return 0;
  return total;
}

/// A frame from an outside port, `length` bytes from Ethernet.
inline Classified classify_outside(const PortView& port, const uint8_t* ethernet, uint32_t length,
                                   HeaderSum sum) {
  return classify::by_ether_type(
      port, ethernet, length, [&] { return classify::outside_ipv4(port, ethernet, length, sum); },
      [&] { return classify::outside_ipv6(port, ethernet, length); });
}

/// A frame from an inside port, `length` bytes from Ethernet.
inline Classified classify_inside(const PortView& port, const uint8_t* ethernet, uint32_t length,
                                  HeaderSum sum) {
  return classify::by_ether_type(
      port, ethernet, length, [&] { return classify::inside_ipv4(port, ethernet, length, sum); },
      [&] { return classify::inside_ipv6(port, ethernet, length); });
}

/// The port's own judgement, when it makes one.
inline HeaderSum header_sum_of(const PortView& port, const rte_mbuf* packet) {
  if (!port.rx_ipv4_checksum) return HeaderSum::kUnknown;
  switch (packet->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) {
    case RTE_MBUF_F_RX_IP_CKSUM_GOOD:
      return HeaderSum::kGood;
    case RTE_MBUF_F_RX_IP_CKSUM_BAD:
      return HeaderSum::kBad;
    default:
      return HeaderSum::kUnknown;
  }
}

}  // namespace jvpn
