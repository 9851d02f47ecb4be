#include "control/gateway/arrivals.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

namespace jvpn::gateway {

Arrivals::Arrivals(const std::vector<const WorkerRings*>& workers, const GatewayClock& clock)
    : clock_(clock) {
  for (const WorkerRings* worker : workers)
    queues_.push_back({.ring = worker->punt[static_cast<size_t>(PuntClass::kControl)]});
}

Arrivals::~Arrivals() {
  for (const Queue& queue : queues_) {
    for (unsigned i = queue.next; i < queue.count; ++i)
      rte_pktmbuf_free(static_cast<rte_mbuf*>(queue.packets[i]));
  }
}

/// The queue whose head arrived first; nullptr: all are empty.
Arrivals::Queue* Arrivals::first() {
  Queue* found = nullptr;
  uint64_t earliest = UINT64_MAX;
  for (Queue& queue : queues_) {
    if (queue.next == queue.count) {
      queue.next = 0;
      queue.count = rte_ring_sc_dequeue_burst(queue.ring, queue.packets.data(),
                                              static_cast<unsigned>(queue.packets.size()), nullptr);
      if (queue.count == 0) continue;
    }
    const uint64_t tsc = note_of(static_cast<rte_mbuf*>(queue.packets[queue.next])).tsc;
    if (found != nullptr && tsc >= earliest) continue;
    found = &queue;
    earliest = tsc;
  }
  return found;
}

rte_mbuf* Arrivals::pop() {
  Queue* const queue = first();
  return queue != nullptr ? static_cast<rte_mbuf*>(queue->packets[queue->next++]) : nullptr;
}

Millis Arrivals::earliest() {
  const Queue* const queue = first();
  return queue != nullptr ? of(static_cast<rte_mbuf*>(queue->packets[queue->next])) : kNever;
}

}  // namespace jvpn::gateway
