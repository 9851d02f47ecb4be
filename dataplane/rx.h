// Stage 1: receive. Worker core.
//   1. Take a burst of frames from one receive queue.
//   2. Prefetch the first line of each: classify reads headers and the message's index there.
//   3. Drop what lies in more than one segment.
#pragma once

#include <cstdint>

#include <rte_ethdev.h>
#include <rte_prefetch.h>

#include "dataplane/burst.h"
#include "dataplane/context.h"

namespace jvpn {

/// A receive queue that this worker alone polls.
struct RxQueue {
  uint16_t port = 0;  ///< our number of the port
  uint16_t queue = 0;
};

namespace rx {

inline void prefetch_frame(const rte_mbuf* packet) {
  rte_prefetch0(rte_pktmbuf_mtod(packet, const uint8_t*));
}

inline void drop_scattered(WorkerContext& worker, FrameBurst& frames) {
  size_t kept = 0;
  for (size_t i = 0; i < frames.count; ++i) {
    rte_mbuf* packet = frames.packet[i];
    if (packet->nb_segs != 1) [[unlikely]] {
      drop(worker, packet, Drop::kNoRoom);
      continue;
    }
    prefetch_frame(packet);
    frames.packet[kept++] = packet;
  }
  frames.count = kept;
}

}  // namespace rx

/// Frames of `queue`, none when it is empty. Returns how many were taken from the port.
inline size_t receive(WorkerContext& worker, const RxQueue& queue, FrameBurst& frames) {
  const uint16_t taken =
      rte_eth_rx_burst(worker.ports[queue.port].dpdk_id, queue.queue, frames.packet, worker.burst);
  frames.count = taken;
  if (taken == 0) return 0;
  WorkerCounters::add(worker.counters.rx_packets, taken);
  rx::drop_scattered(worker, frames);
  lap(worker, Stage::kRx);
  return taken;
}

}  // namespace jvpn
