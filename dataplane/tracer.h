// Notes what becomes of one session's packets, when control has ordered it. Worker core. Off, it
// costs one load a poll and a predictable branch for each burst and each drop.
//   1. A packet is known by its mbuf, from the stage lookup on, until its burst is done: no other
//      packet has that mbuf meanwhile.
//   2. What drops it, hands it to another worker, holds it or gives it to control says so; all
//      others of the burst have been given to a port.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <rte_mbuf.h>

#include "common/packet_trace.h"
#include "dataplane/burst.h"
#include "dataplane/stage.h"

namespace jvpn {

class Tracer {
 public:
  /// `trace`: null when nobody can order one.
  Tracer(PacketTrace* trace, uint16_t worker) : trace_(trace), worker_(worker) {}

  /// An order is in force at `now_tsc`.
  bool armed(uint64_t now_tsc) {
    if (trace_ == nullptr || trace_->order.load(std::memory_order_relaxed) == 0) [[likely]]
      return false;
    return take_order(now_tsc);
  }

  /// Data messages of the session, at stage lookup. `handed_on`: by another worker.
  void opening(const DataBurst& burst, bool handed_on);
  /// What goes to peers, at stage lookup of the send side.
  void sealing(const TunnelBurst& burst);
  void dropped(const rte_mbuf* packet, Drop reason);
  void to_control(const rte_mbuf* packet);
  void handed_off(const rte_mbuf* packet);
  void held(const rte_mbuf* packet);
  /// The burst is done: control hears of its packets.
  void settle();

 private:
  struct Open {
    const rte_mbuf* packet;
    bool ended;
    bool sealing;
    TracedPacket what;
  };

  bool take_order(uint64_t now_tsc);
  void add(const rte_mbuf* packet, const TracedPacket& what);
  Open* find(const rte_mbuf* packet);
  void end(const rte_mbuf* packet, TraceEnd how, Drop reason);

  PacketTrace* trace_;
  uint16_t worker_;
  uint64_t order_ = 0;
  uint32_t left_ = 0;  ///< packets that may still be noted
  uint64_t now_tsc_ = 0;
  size_t count_ = 0;
  std::array<Open, 2 * kMaxBurst> open_;  ///< a burst from a peer, and what else goes to it
};

}  // namespace jvpn
