// Inner packets between a peer's host and a host of the LAN, as both sides send them and the
// gateway passes them on.
#pragma once

#include "tests/packet/worker_fixture.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

inline constexpr Family kFamilies[]{Family::kIpv4, Family::kIpv6};

inline IpAddress lan_host(Family family) {
  return address(family == Family::kIpv4 ? "10.0.0.2" : "fd00::2");
}

/// The packet as a router sends it on: one hop less.
inline Bytes forwarded(Bytes packet) {
  if (packet[0] >> 4 == 4) {
    --packet[8];
    fix_ipv4_checksum(packet, 0);
  } else {
    --packet[7];
  }
  return packet;
}

inline Bytes from_host(const TestSession& session, Family family, size_t payload,
                       uint8_t value = 0) {
  return ip_packet(lan_host(family), session.host(family),
                   udp_datagram(1000, 2000, payload_of(payload, value)));
}

inline Bytes from_peer(const TestSession& session, Family family, size_t payload,
                       uint8_t value = 0) {
  return ip_packet(session.host(family), lan_host(family),
                   udp_datagram(2000, 1000, payload_of(payload, value)));
}

inline Bytes lan_frame(const Bytes& packet) {
  return ip_frame(kPortMac, kHostMac, packet);
}

}  // namespace jvpn::test
