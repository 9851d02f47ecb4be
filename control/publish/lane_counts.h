// What lanes counted, summed up. Their workers count on meanwhile. Control thread only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "common/assert.h"
#include "common/session_table.h"

namespace jvpn::publish {

/// What a peer's lanes counted, live and retired ones.
struct TrafficTotals {
  uint64_t rx_packets = 0;
  uint64_t rx_bytes = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_bytes = 0;
  uint64_t last_rx_tsc = 0;            ///< 0: none yet
  uint64_t tx_generation_packets = 0;  ///< under the present key
  uint64_t tx_generation_bytes = 0;    ///< of those
};

/// Of some lanes of one kind.
struct LaneCounts {
  uint64_t packets = 0;
  uint64_t bytes = 0;
  uint64_t last_tsc = 0;  ///< receiving lanes alone
};

inline LaneCounts count(const RxLane* lanes, size_t n) {
  LaneCounts sum;
  for (size_t i = 0; i < n; ++i) {
    sum.packets += lanes[i].packets.load(std::memory_order_relaxed);
    sum.bytes += lanes[i].bytes.load(std::memory_order_relaxed);
    sum.last_tsc = std::max(sum.last_tsc, lanes[i].last_tsc.load(std::memory_order_relaxed));
  }
  return sum;
}

inline LaneCounts count(const TxLane* lanes, size_t n) {
  LaneCounts sum;
  for (size_t i = 0; i < n; ++i) {
    sum.packets += lanes[i].next_sequence.load(std::memory_order_relaxed);
    sum.bytes += lanes[i].bytes.load(std::memory_order_relaxed);
  }
  return sum;
}

inline void add_rx(TrafficTotals& totals, const LaneCounts& now, const LaneCounts& before = {}) {
  JVPN_ASSERT(now.packets >= before.packets && now.bytes >= before.bytes, "lanes only count up");
  totals.rx_packets += now.packets - before.packets;
  totals.rx_bytes += now.bytes - before.bytes;
  totals.last_rx_tsc = std::max(totals.last_rx_tsc, now.last_tsc);
}

inline void add_tx(TrafficTotals& totals, const LaneCounts& now, const LaneCounts& before = {}) {
  JVPN_ASSERT(now.packets >= before.packets && now.bytes >= before.bytes, "lanes only count up");
  totals.tx_packets += now.packets - before.packets;
  totals.tx_bytes += now.bytes - before.bytes;
}

}  // namespace jvpn::publish
