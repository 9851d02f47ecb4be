// Stage 5: deliver inner packets by their routes. Worker core.
//   1. Look all destinations up.
//   2. Forwarded packets spend a hop; the last hop is answered by control.
//   3. Peer: seal. Next hop on an inside port: Ethernet header, transmit. Our own address, or a
//      neighbour not known yet: control. No route: dropped by name.
//   4. From an inside port packets may only enter the tunnel: this gateway is no LAN router.
#pragma once

#include <cstdint>

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "common/route_table.h"
#include "dataplane/burst.h"
#include "dataplane/bytes.h"
#include "dataplane/context.h"
#include "dataplane/inner_packet.h"
#include "dataplane/lookup.h"
#include "dataplane/seal.h"

namespace jvpn {
namespace deliver {

inline constexpr uint32_t kLinkHeader = 14;

inline InnerPunt about(const InnerBurst& burst, size_t i, Origin origin, PuntReason reason) {
  return {reason, burst.port[i], burst.peer[i], origin, 0};
}

inline void write_ethernet(const NextHop& hop, uint8_t* frame, bool ipv4) {
  __builtin_memcpy(frame, hop.ethernet, sizeof hop.ethernet);
  store_be16(frame + sizeof hop.ethernet, ipv4 ? 0x0800 : 0x86DD);
}

/// Out of an inside port.
inline void to_next_hop(WorkerContext& worker, const InnerBurst& burst, size_t i, Origin origin,
                        uint32_t number) {
  rte_mbuf* packet = burst.packet[i];
  const NextHop* hop = worker.sessions.next_hop(number);
  if (hop == nullptr) [[unlikely]]
    return drop(worker, packet, Drop::kNextHopUnresolved);
  if (burst.bytes[i] > hop->mtu) [[unlikely]] {
    InnerPunt too_big = about(burst, i, origin, PuntReason::kTooBig);
    too_big.mtu = hop->mtu;
    return refuse(worker, too_big, packet, Drop::kTooBig);
  }
  if (packet->data_off < kLinkHeader) [[unlikely]]
    return drop(worker, packet, Drop::kNoRoom);
  uint8_t* frame = burst.ip[i] - kLinkHeader;
  write_ethernet(*hop, frame, is_ipv4(burst.ip[i]));
  set_data(packet, frame, burst.bytes[i] + kLinkHeader);
  packet->ol_flags = 0;
  worker.tx.add(hop->port, packet);
}

/// A forwarded packet spends a hop; control's own don't. False: the packet was refused.
inline bool may_forward(WorkerContext& worker, const InnerBurst& burst, size_t i, Origin origin) {
  if (origin == Origin::kControl || spend_hop(burst.ip[i])) [[likely]]
    return true;
  refuse(worker, about(burst, i, origin, PuntReason::kTtlExpired), burst.packet[i],
         Drop::kTtlExpired);
  return false;
}

/// Steps 2 to 4 for packet `i`; what is for a peer is added to `out`.
inline void dispatch(WorkerContext& worker, const InnerBurst& burst, size_t i, Origin origin,
                     Target target, SealBurst& out) {
  using Kind = Target::Kind;
  rte_mbuf* packet = burst.packet[i];
  const Kind kind = target.kind();
  if (kind == Kind::kPeer) [[likely]] {
    if (!may_forward(worker, burst, i, origin)) return;
    const PeerId peer{target.number()};
    rte_prefetch0(worker.sessions.tx_slot_address(peer));
    return out.add(i, peer);
  }
  if (kind == Kind::kLocal)
    return punt_inner(worker, about(burst, i, origin, PuntReason::kLocal), packet);
  if (kind == Kind::kNone || origin == Origin::kInside)
    return refuse(worker, about(burst, i, origin, PuntReason::kNoRoute), packet, Drop::kNoRoute);
  if (!may_forward(worker, burst, i, origin)) return;
  if (kind == Kind::kGlean)
    return punt_inner(worker, about(burst, i, origin, PuntReason::kGlean), packet);
  to_next_hop(worker, burst, i, origin, target.number());
}

}  // namespace deliver

/// Sends every inner packet on its way.
inline void deliver_burst(WorkerContext& worker, const InnerBurst& burst, Origin origin) {
  if (burst.count == 0) return;
  Target targets[kBurst];
  lookup_routes<Side::kDestination>(worker, burst, targets);
  lap(worker, Stage::kRoute);
  SealBurst out(burst);
  for (size_t i = 0; i < burst.count; ++i)
    deliver::dispatch(worker, burst, i, origin, targets[i], out);
  lap(worker, Stage::kDeliver);
  if (out.count != 0) seal_burst(worker, out, origin);
}

}  // namespace jvpn
