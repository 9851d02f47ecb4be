// Control messages of all workers, in the order in which they arrived: each is handled as of its
// arrival, so what counts for liveness is when a peer was heard, not when control came to it.
// Control thread only.
#pragma once

#include <array>
#include <vector>

#include "common/exchange.h"
#include "control/gateway/gateway_clock.h"

namespace jvpn::gateway {

class Arrivals {
 public:
  /// Takes from these workers' rings of control messages.
  Arrivals(const std::vector<const WorkerRings*>& workers, const GatewayClock& clock);
  /// Frees what was taken from the rings and not handed out.
  ~Arrivals();
  Arrivals(const Arrivals&) = delete;
  Arrivals& operator=(const Arrivals&) = delete;

  /// The one that arrived first, which is the caller's now; nullptr: none waits.
  rte_mbuf* pop();
  /// When the first of those that wait arrived; kNever: none waits.
  Millis earliest();
  /// When a packet arrived that a worker has noted.
  Millis of(rte_mbuf* packet) const { return clock_.at_tsc(note_of(packet).tsc); }

 private:
  /// One worker's: its ring gives them in order.
  struct Queue {
    rte_ring* ring = nullptr;
    std::array<void*, 32> packets{};
    unsigned next = 0;
    unsigned count = 0;
  };
  Queue* first();

  const GatewayClock& clock_;
  std::vector<Queue> queues_;
};

}  // namespace jvpn::gateway
