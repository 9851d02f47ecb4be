// The outer headers of a session as a template in its TxRecord: written once per binding by
// control, copied and patched per packet by workers.
#pragma once

#include <array>
#include <cstdint>

#include "common/ip.h"
#include "common/ip_header.h"
#include "common/session_table.h"

namespace jvpn {

/// Where the patched fields stand in a template.
struct TunnelHeaderLayout {
  uint16_t bytes;  ///< all of it; the ciphertext follows
  uint16_t ip;     ///< after Ethernet
  uint16_t udp;
  uint16_t transport;
};
inline constexpr TunnelHeaderLayout kTunnelV4{58, 14, 34, 42};
inline constexpr TunnelHeaderLayout kTunnelV6{78, 14, 54, 62};
static_assert(kTunnelV6.bytes == kMaxTemplate);

constexpr const TunnelHeaderLayout& tunnel_layout(Family outer) {
  return outer == Family::kIpv6 ? kTunnelV6 : kTunnelV4;
}

/// Both ends of a path, as its frames carry them.
struct TunnelEnds {
  EtherAddress local_ethernet{};
  Endpoint local;
  Endpoint remote;  ///< of the same family as `local`
};

/// Fills `outer`, `template_bytes`, `header` and `ipv4_checksum_base` from `ends` and the record's
/// `peer_index`; `mask` stands where the counter, XORed with it, will. The next hop's address is
/// left to workers. IPv4 carries DF and no identification (RFC 6864: atomic datagrams).
void write_tunnel_header(const TunnelEnds& ends, uint64_t mask, TxRecord& record);

}  // namespace jvpn
