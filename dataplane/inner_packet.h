// Inner packets as a router sees them: soundness, hop count, flow. Worker core; nothing here
// touches more than the packet's own first lines.
#pragma once

#include <cstdint>

#include <rte_hash_crc.h>

#include "common/bytes.h"
#include "common/ip_header.h"
#include "common/wire.h"
#include "dataplane/header_sum.h"

namespace jvpn {

/// A data message with the least inner packet.
inline constexpr uint32_t kMinData = wire::kTransportOverhead + kIpv4HeaderBytes;

/// Length by the packet's own header, ≤ `available`; 0 when the header is not sound: version,
/// header length, total length or (IPv4) checksum. Options and fragments are carried as they are.
inline uint32_t sound_inner_bytes(const uint8_t* ip, uint32_t available) {
  if (available < kIpv4HeaderBytes) return 0;
  if (is_ipv4(ip)) {
    const uint32_t header = (ip[0] & 0x0FU) * 4;
    const uint32_t total = load_be16(ip + 2);
    if (header < kIpv4HeaderBytes || total < header || total > available) return 0;
    return ipv4_header_sums_up(ip, header) ? total : 0;
  }
  if (ip[0] >> 4 != 6 || available < kIpv6HeaderBytes) return 0;
  const uint32_t total = kIpv6HeaderBytes + load_be16(ip + 4);
  return total <= available ? total : 0;
}

/// The same, but 0 also for what is neither IPv4 nor without options.
inline uint32_t plain_inner_bytes(const uint8_t* ip, uint32_t available) {
  const uint32_t total = load_be16(ip + 2);
  const bool plain = available >= kIpv4HeaderBytes && ip[0] == 0x45;
  if (!plain || total < kIpv4HeaderBytes || total > available || !ipv4_plain_header_sums_up(ip))
      [[unlikely]]
    return 0;
  return total;
}

/// Spends one hop, the IPv4 checksum adjusted (RFC 1624). False, and no change, when it was the
/// last.
inline bool spend_hop(uint8_t* ip, bool ipv4) {
  uint8_t& hops = ipv4 ? ip[8] : ip[7];
  if (hops <= 1) [[unlikely]]
    return false;
  --hops;
  if (!ipv4) return true;
  const uint32_t sum =
      load_u16(ip + 10) + 1U;  // words as they lie in memory: the hops' byte is low
  store_u16(ip + 10, sum + (sum >= 0xFFFF));
  return true;
}

/// Hash of the addresses and, for unfragmented TCP and UDP, the ports: one flow stays on one lane.
inline uint32_t flow_hash(const uint8_t* ip, uint32_t bytes) {
  uint32_t hash = 0;
  const uint32_t addresses = is_ipv4(ip) ? 8 : 32;
  for (uint32_t i = 0; i < addresses; i += 8)
    hash = rte_hash_crc_8byte(load_u64(source_of(ip) + i), hash);
  const bool v4 = is_ipv4(ip);
  const uint8_t protocol = v4 ? ip[9] : ip[6];
  if (protocol != kProtocolTcp && protocol != kProtocolUdp) return hash;
  if (v4 && (load_be16(ip + 6) & 0x3FFF) != 0) return hash;
  const uint32_t header = v4 ? (ip[0] & 0x0FU) * 4 : kIpv6HeaderBytes;
  if (header + 4 > bytes) return hash;
  return rte_hash_crc_4byte(load_u32(ip + header), hash);
}

}  // namespace jvpn
