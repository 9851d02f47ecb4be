// Control's way out: mbufs from its own pool, over one bounded ring per worker. Control thread
// only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <rte_mempool.h>

#include "common/exchange.h"
#include "common/session_table.h"

namespace jvpn::publish {

class Injector {
 public:
  struct Counters {
    uint64_t frames = 0;     ///< handed over to transmit
    uint64_t routed = 0;     ///< handed over to route
    uint64_t ring_full = 0;  ///< dropped: the worker's ring had no room
    uint64_t no_buffer = 0;  ///< dropped: control's pool was empty
  };

  /// `pool` and the rings outlive the injector. At least one ring. What is made while `sessions`
  /// are provably ours leaves before that proof ends, or not at all; null: nothing needs one.
  Injector(rte_mempool* pool, std::vector<rte_ring*> rings, const SessionTable* sessions = nullptr);

  /// An empty mbuf with a fresh note; nullptr (counted) when the pool is empty.
  rte_mbuf* allocate();
  /// The same with `bytes` of uninitialised room appended, which `data` then spans.
  rte_mbuf* allocate(size_t bytes, std::span<uint8_t>& data);
  /// Sends a finished frame on our port `port`. Packets of one `flow` keep their order. False
  /// (counted): the worker's ring was full, and the frame is gone.
  bool transmit(uint16_t port, rte_mbuf* frame, uint32_t flow = 0);
  /// Has an inner packet (data starts at IP) routed; its note's `from_tunnel` and `peer` are kept.
  void route(rte_mbuf* packet, uint32_t flow = 0);

  /// True when workers have taken everything.
  bool drained() const;
  const Counters& counters() const { return counters_; }

 private:
  uint64_t proof() const;
  bool enqueue(rte_mbuf* packet, uint32_t flow);

  rte_mempool* pool_;
  std::vector<rte_ring*> rings_;
  const SessionTable* sessions_;
  Counters counters_;
};

}  // namespace jvpn::publish
