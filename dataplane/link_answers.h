// Answers a question for one of the port's own addresses in the control core's place, while that
// stands still: else the neighbours would forget the gateway within seconds, and the sessions that
// workers still carry would end. ARP (RFC 826) and neighbour solicitation (RFC 4861, §7.2.4), in
// the question's own frame. Worker core.
#pragma once

#include <cstdint>
#include <cstring>

#include "common/bytes.h"
#include "common/checksum.h"
#include "common/ip_header.h"
#include "dataplane/port_view.h"

namespace jvpn::link_answers {

inline constexpr uint32_t kArpEnd = kEthernetHeaderBytes + 28;
/// A solicitation with its sender's Ethernet address and no other option.
inline constexpr uint32_t kSolicitation = 32;
inline constexpr uint32_t kNdEnd = kEthernetHeaderBytes + kIpv6HeaderBytes + kSolicitation;

/// The frame goes back to where it came from.
inline void turn_around(const PortView& port, uint8_t* frame) {
  std::memcpy(frame, frame + 6, 6);
  std::memcpy(frame + 6, &port.mac, 6);
}

/// False: no request for an address of ours, and nothing has changed.
inline bool answer_arp(const PortView& port, uint8_t* frame, uint32_t bytes) {
  static constexpr uint8_t kRequest[8]{0, 1, 8, 0, 6, 4, 0, 1};  // Ethernet, IPv4, request
  uint8_t* const arp = frame + kEthernetHeaderBytes;
  if (bytes < kArpEnd || std::memcmp(arp, kRequest, sizeof kRequest) != 0) return false;
  uint8_t* const sender = arp + 8;  // Ethernet address, IP address; so is the target
  uint8_t* const target = arp + 18;
  if ((sender[0] & 1) != 0 || !port.owns_ipv4(target + 6)) return false;
  arp[7] = 2;
  uint8_t asker[10];
  std::memcpy(asker, sender, sizeof asker);
  std::memcpy(sender, &port.mac, 6);
  std::memcpy(sender + 6, target + 6, 4);
  std::memcpy(target, asker, sizeof asker);
  turn_around(port, frame);
  return true;
}

/// The same for IPv6. Nobody who probes for a duplicate is answered: that is control's.
inline bool answer_solicitation(const PortView& port, uint8_t* frame, uint32_t bytes) {
  uint8_t* const ip = frame + kEthernetHeaderBytes;
  uint8_t* const icmp = ip + kIpv6HeaderBytes;
  if (bytes < kNdEnd || load_be16(ip + 4) != kSolicitation) return false;
  const bool sound = ip[6] == kProtocolIcmpv6 && ip[7] == 255 && icmp[0] == 135 && icmp[1] == 0 &&
                     icmp[24] == 1 && icmp[25] == 1 && (icmp[26] & 1) == 0;
  static constexpr uint8_t kUnspecified[16]{};
  if (!sound || std::memcmp(ip + 8, kUnspecified, 16) == 0 || !port.owns_ipv6(icmp + 8))
    return false;
  const auto sum = [&] {
    return checksum_finish(
        checksum_add({icmp, kSolicitation}, pseudo_header_sum(ip, kProtocolIcmpv6, kSolicitation)));
  };
  if (sum() != 0) return false;
  std::memcpy(ip + 24, ip + 8, 16);   // to the asker,
  std::memcpy(ip + 8, icmp + 8, 16);  // from the address that it asked for
  icmp[0] = 136;
  icmp[4] = 0x60;  // solicited, overrides what is known
  icmp[24] = 2;
  std::memcpy(icmp + 26, &port.mac, 6);
  store_checksum(icmp + 2, 0);
  store_checksum(icmp + 2, sum());
  turn_around(port, frame);
  return true;
}

/// The frame is the answer now, to be sent by the port; false: it is as it was. Apart from the code
/// that packets of sessions pass.
[[gnu::noinline, gnu::cold]] inline bool answer(const PortView& port, uint8_t* frame,
                                                uint32_t bytes) {
  if (bytes < kEthernetHeaderBytes || (frame[6] & 1) != 0) return false;
  switch (load_be16(frame + 12)) {
    case kEtherTypeArp:
      return answer_arp(port, frame, bytes);
    case kEtherTypeIpv6:
      return answer_solicitation(port, frame, bytes);
    default:
      return false;
  }
}

}  // namespace jvpn::link_answers
