// Checksums that a sender on this machine, or a veth's other end, left to a device that isn't
// there. Ports of the kernel's drivers hand such packets over as they are, without a note. Worker
// core.
//
// The kernel leaves the folded sum of the pseudo header in the field (CHECKSUM_PARTIAL). Finishing
// a checksum that is right already and happens to look so gives the same checksum again.
#pragma once

#include <cstdint>
#include <span>

#include "common/bytes.h"
#include "common/checksum.h"
#include "common/ip_header.h"

namespace jvpn {
namespace unfinished {

inline constexpr uint8_t kTcp = 6;
inline constexpr uint32_t kTcpChecksum = 16;  ///< in its header
inline constexpr uint32_t kUdpChecksum = 6;
inline constexpr uint32_t kTcpHeaderBytes = 20;

}  // namespace unfinished

/// Writes the checksum of a TCP or UDP packet of `bytes` where it is unfinished. `ip` is a sound
/// header.
inline void finish_checksum(uint8_t* ip, uint32_t bytes, bool ipv4) {
  const bool fragment = ipv4 && (load_be16(ip + 6) & 0x3FFF) != 0;
  const uint8_t protocol = ipv4 ? ip[9] : ip[6];
  const uint32_t header = ipv4 ? (ip[0] & 0x0FU) * 4 : kIpv6HeaderBytes;
  const bool tcp = protocol == unfinished::kTcp;
  const uint32_t least = tcp ? unfinished::kTcpHeaderBytes : kUdpHeaderBytes;
  if (fragment || (!tcp && protocol != kProtocolUdp) || bytes < header + least) return;
  const std::span<uint8_t> transport(ip + header, bytes - header);
  uint8_t* field = transport.data() + (tcp ? unfinished::kTcpChecksum : unfinished::kUdpChecksum);
  const uint16_t pseudo = checksum_fold(pseudo_header_sum(ip, protocol, transport.size()));
  if (load_u16(field) != pseudo) return;
  const uint16_t sum = checksum_finish(checksum_add(transport, 0));
  store_checksum(field, sum == 0 && !tcp ? 0xFFFF : sum);
}

}  // namespace jvpn
