// Stage route: inner packets go where their routes lead. Worker core.
//   1. The route of the destination: from the worker's cache at once; the others of a burst are
//      looked up together. A flow's packets all go one of these ways, so none overtakes another.
//   2. Forwarded packets spend a hop; the last hop is answered by control.
//   3. Peer: seal. Next hop on an inside port: Ethernet header, transmit. Our own address, or a
//      neighbour not known yet: control. No route: dropped by name.
//   4. From an inside port packets may only enter the tunnel: this gateway is no LAN router.
#pragma once

#include <cstdint>

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "common/assert.h"
#include "common/bytes.h"
#include "common/route_table.h"
#include "dataplane/burst.h"
#include "dataplane/context.h"
#include "dataplane/inner_packet.h"
#include "dataplane/lookup.h"
#include "dataplane/seal.h"

namespace jvpn {

/// The inner packets of one burst on their way out.
template <Origin kOrigin>
struct RouteBurst {
  explicit RouteBurst(const WorkerContext& worker) : generation(worker.routes.generation()) {}

  const uint32_t generation;  ///< of the routes
  InnerBurst unrouted;        ///< their routes have to be looked up
  TunnelBurst to_peers;
  size_t loaded = 0;  ///< so many of those have their records
};

namespace route {

/// The Ethernet header, and the two bytes before it, which nobody reads.
inline void write_link(const NextHop& hop, uint8_t* ip, bool ipv4) {
  __builtin_memcpy(ip - NextHop::kLinkBytes, hop.link[ipv4 ? 0 : 1], NextHop::kLinkBytes);
}

/// Out of an inside port.
[[gnu::always_inline]] inline void to_next_hop(WorkerContext& worker, const InnerPacket& inner,
                                               Origin origin, uint32_t number) {
  rte_mbuf* packet = inner.packet;
  JVPN_DEBUG_ASSERT(number < kMaxNextHops, "a route names a next hop that there is");
  const NextHop* hop = worker.sessions.next_hop(number);
  if (hop == nullptr) [[unlikely]]
    return drop(worker, packet, Drop::kNextHopUnresolved);
  if (inner.bytes > hop->mtu) [[unlikely]]
    return refuse_too_big(worker, whole(inner), origin, hop->mtu);
  if (inner.ip - NextHop::kLinkBytes < packet->buf_addr) [[unlikely]]
    return drop(worker, packet, Drop::kNoRoom);
  JVPN_DEBUG_ASSERT(worker.tx.has_port(hop->port), "a next hop is on a port that there is");
  write_link(*hop, inner.ip, inner.ipv4);
  set_data(packet, inner.ip - kEthernetHeaderBytes, inner.bytes + kEthernetHeaderBytes);
  packet->ol_flags = 0;
  worker.tx.add(hop->port, packet);
}

/// A forwarded packet spends a hop; control's own don't. False: the packet was refused.
[[gnu::always_inline]] inline bool may_forward(WorkerContext& worker, const InnerPacket& inner,
                                               Origin origin) {
  if (origin == Origin::kControl || spend_hop(inner.ip, inner.ipv4)) [[likely]]
    return true;
  refuse(worker, whole(inner), {PuntReason::kTtlExpired, origin}, Drop::kTtlExpired);
  return false;
}

/// What goes neither to a peer nor to a known neighbour.
[[gnu::noinline]] inline void end_here(WorkerContext& worker, InnerPacket inner, Origin origin,
                                       Target::Kind kind) {
  if (kind == Target::Kind::kLocal) return punt_inner(worker, inner, {PuntReason::kLocal, origin});
  if (kind == Target::Kind::kNone || origin == Origin::kInside)
    return refuse(worker, inner, {PuntReason::kNoRoute, origin}, Drop::kNoRoute);
  if (may_forward(worker, inner, origin)) punt_inner(worker, inner, {PuntReason::kGlean, origin});
}

[[gnu::noinline]] inline void put_aside(InnerBurst& burst, InnerPacket inner) {
  burst.add(inner);
}

/// Steps 2 to 4.
template <Origin kOrigin>
[[gnu::always_inline]] inline void dispatch(WorkerContext& worker, const InnerPacket& inner,
                                            Target target, RouteBurst<kOrigin>& outgoing) {
  using Kind = Target::Kind;
  const Kind kind = target.kind();
  JVPN_DEBUG_ASSERT(inner.bytes >= (inner.ipv4 ? kIpv4HeaderBytes : kIpv6HeaderBytes),
                    "an inner packet has its header");
  if (kOrigin == Origin::kTunnel && kind == Kind::kNextHop) [[likely]] {
    if (may_forward(worker, inner, kOrigin)) to_next_hop(worker, inner, kOrigin, target.number());
    return;
  }
  if (kind == Kind::kPeer) {
    // Fused with the lookup of the peer's record: each load has a prefetch `slot_ahead` packets
    // earlier, which a pass of its own would have to wait for.
    if (!may_forward(worker, inner, kOrigin)) return;
    const PeerId peer{target.number()};
    JVPN_DEBUG_ASSERT(peer.value < worker.sessions.peers(), "a route names a peer that there is");
    JVPN_DEBUG_ASSERT(outgoing.loaded <= outgoing.to_peers.count(),
                      "records come after their packets");
    rte_prefetch0(worker.sessions.tx_slot_address(peer));
    TunnelPacket& out = outgoing.to_peers.next();  // the rest is written when it is known
    out.inner = inner;
    out.to = peer;
    if (outgoing.to_peers.count() > outgoing.loaded + worker.slot_ahead)
      seal::load_record(worker, outgoing.to_peers[outgoing.loaded++]);
    return;
  }
  if (kind != Kind::kNextHop || kOrigin == Origin::kInside) [[unlikely]]
    return end_here(worker, whole(inner), kOrigin, kind);
  if (may_forward(worker, inner, kOrigin)) to_next_hop(worker, inner, kOrigin, target.number());
}

template <Origin kOrigin>
[[gnu::noinline]] void dispatch_unrouted(WorkerContext& worker, RouteBurst<kOrigin>& outgoing) {
  Burst<Target> targets;
  ask_routes(worker, outgoing.unrouted, Side::kDestination, outgoing.generation, targets);
  for (size_t i = 0; i < outgoing.unrouted.count(); ++i)
    dispatch(worker, outgoing.unrouted[i], targets[i], outgoing);
}

}  // namespace route

/// One packet of the burst, if its route is known; else it waits for finish().
template <Origin kOrigin>
[[gnu::always_inline]] inline void route_packet(WorkerContext& worker, const InnerPacket& inner,
                                                RouteBurst<kOrigin>& outgoing) {
  JVPN_DEBUG_ASSERT(outgoing.generation != 0, "routes have a generation");
  const Target* target = known_route(worker, inner, Side::kDestination, outgoing.generation);
  if (target != nullptr) [[likely]]
    route::dispatch(worker, inner, *target, outgoing);
  else
    route::put_aside(outgoing.unrouted, whole(inner));
}

/// The rest of the burst, and all that goes to peers.
template <Origin kOrigin>
void finish(WorkerContext& worker, RouteBurst<kOrigin>& outgoing) {
  if (!outgoing.unrouted.empty()) route::dispatch_unrouted(worker, outgoing);
  lap(worker, Stage::kRoute);
  if (!outgoing.to_peers.empty()) seal_burst(worker, outgoing.to_peers, outgoing.loaded, kOrigin);
}

}  // namespace jvpn
