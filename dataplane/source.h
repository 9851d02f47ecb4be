// Tells control where a packet came from: data from elsewhere than its binding says, and what names
// an index that nobody has. Worker core; the packets themselves stay here.
#pragma once

#include <algorithm>
#include <cstdint>

#include <rte_ring_elem.h>

#include "common/bytes.h"
#include "common/ip_header.h"
#include "common/source_signal.h"
#include "dataplane/context.h"

namespace jvpn {

/// Of a packet whose data starts at Ethernet and holds the JVP message at `message`.
inline SourceSignal signal_of(const rte_mbuf* packet, const uint8_t* message, uint16_t port) {
  const uint8_t* udp = message - kUdpHeaderBytes;
  const uint8_t* ip = rte_pktmbuf_mtod(packet, const uint8_t*) + kEthernetHeaderBytes;
  SourceSignal signal;
  signal.receiver = load_u32(message + offsetof(wire::TransportHeader, receiver));
  signal.port = port;
  signal.remote_port = load_be16(udp);
  signal.local_port = load_be16(udp + 2);
  const bool v4 = is_ipv4(ip);
  const size_t bytes = v4 ? 4 : 16;
  signal.family = v4 ? Family::kIpv4 : Family::kIpv6;
  std::copy_n(source_of(ip), bytes, signal.remote.begin());
  std::copy_n(source_of(ip) + bytes, bytes, signal.local.begin());
  return signal;
}

/// Drops data or control whose index nobody has; control hears of it, for a reset. A sender that
/// goes on under one index leaves the ring to others.
[[gnu::noinline]] inline void drop_unknown(WorkerContext& worker, rte_mbuf* packet,
                                           const uint8_t* message, uint16_t port) {
  SourceSignal signal = signal_of(packet, message, port);
  CycleBudget& budget = worker.unknown.of(ReceiverIndex{signal.receiver});
  if (worker.rings.unknown != nullptr &&
      budget.has(worker.now_tsc, worker.tsc_per_unknown, kUnknownBurst)) {
    budget.take(worker.now_tsc, worker.tsc_per_unknown);
    rte_ring_sp_enqueue_elem(worker.rings.unknown, &signal, sizeof signal);  // full: it comes again
  }
  drop(worker, packet, Drop::kUnknownIndex);
}

}  // namespace jvpn
