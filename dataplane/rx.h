// Stage rx: receive. Worker core.
//   1. Take a burst of frames from one receive queue.
//   2. Prefetch the first line of each: classify reads headers and the message's index there.
#pragma once

#include <cstdint>

#include <rte_ethdev.h>
#include <rte_prefetch.h>

#include "common/assert.h"
#include "dataplane/burst.h"
#include "dataplane/context.h"

namespace jvpn {

/// A receive queue that this worker alone polls.
struct RxQueue {
  uint16_t port = 0;  ///< our number of the port
  uint16_t queue = 0;
};

/// Frames of `queue`, none when it is empty. Returns how many were taken from the port.
inline size_t receive(WorkerContext& worker, const RxQueue& queue, FrameBurst& frames) {
  JVPN_DEBUG_ASSERT(queue.port < worker.ports.size(), "queues belong to ports that there are");
  const uint16_t taken =
      rte_eth_rx_burst(worker.ports[queue.port].dpdk_id, queue.queue, frames.packet, worker.burst);
  JVPN_DEBUG_ASSERT(taken <= worker.burst, "a port gives no more than was asked for");
  frames.count = taken;
  if (taken == 0) return 0;
  WorkerCounters::add(worker.counters.rx_packets[queue.port], taken);
  for (size_t i = 0; i < taken; ++i)
    rte_prefetch0(rte_pktmbuf_mtod(frames.packet[i], const uint8_t*));
  lap(worker, Stage::kRx);
  return taken;
}

}  // namespace jvpn
