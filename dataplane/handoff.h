// A data message whose lane belongs to another worker goes to it by ring. Worker core; producer of
// the rings in WorkerContext::handoff_to, consumer of its own WorkerRings::handoff.
//   1. The note says where the message starts, and whether it is open already (the claim was lost
//      after opening).
//   2. The owner looks its record up anew: a grace period may have passed in between. Is it another
//      install of the same index, the message isn't the new session's.
#pragma once

#include <rte_ring.h>

#include "common/assert.h"
#include "common/exchange.h"
#include "dataplane/burst.h"
#include "dataplane/context.h"

namespace jvpn {

/// Hands a message to the worker that owns its lane; a full ring is a counted drop.
inline void hand_off(WorkerContext& worker, const DataPacket& data, uint32_t owner, bool opened) {
  rte_mbuf* packet = data.packet;
  JVPN_DEBUG_ASSERT(owner != worker.number, "what is ours is not handed off");
  JVPN_DEBUG_ASSERT(data.message > rte_pktmbuf_mtod(packet, const uint8_t*),
                    "the message lies behind its outer headers");
  PacketNote& note = note_of(packet);
  note.outer_bytes = static_cast<uint16_t>(data.message - rte_pktmbuf_mtod(packet, const uint8_t*));
  note.payload_bytes = static_cast<uint16_t>(data.bytes);
  note.port = data.port;
  note.opened = opened;
  note.serial = data.record->serial;
  note.tsc = worker.now_tsc;
  rte_ring* ring = owner < kMaxWorkers ? worker.handoff_to[owner] : nullptr;
  if (ring == nullptr || rte_ring_sp_enqueue(ring, packet) != 0) [[unlikely]]
    return drop(worker, packet, Drop::kHandoffFull);
  WorkerCounters::add(worker.counters.handed_off, 1);
  if (worker.tracing != nullptr) [[unlikely]]
    worker.tracing->handed_off(packet);
}

/// Messages that worker `from` handed to us: sealed ones and opened ones, each in their order.
/// Returns how many were taken.
inline size_t take_handed_off(WorkerContext& worker, size_t from, DataBurst& sealed,
                              DataBurst& opened) {
  rte_ring* ring = worker.rings.handoff[from];
  if (ring == nullptr) return 0;
  void* packets[kMaxBurst];
  const unsigned taken = rte_ring_sc_dequeue_burst(ring, packets, worker.burst, nullptr);
  for (unsigned i = 0; i < taken; ++i) {
    auto* packet = static_cast<rte_mbuf*>(packets[i]);
    const PacketNote& note = note_of(packet);
    JVPN_DEBUG_ASSERT(note.outer_bytes + note.payload_bytes <= packet->data_len,
                      "the message lies in the packet's data");
    uint8_t* message = rte_pktmbuf_mtod_offset(packet, uint8_t*, note.outer_bytes);
    (note.opened ? opened : sealed)
        .add({packet, message, nullptr, nullptr, note.payload_bytes, note.port, 0});
  }
  return taken;
}

/// Of messages with their records, those whose record is the one that they were handed off under.
inline void keep_current(WorkerContext& worker, DataBurst& burst) {
  DataPacket* kept = burst.begin();
  for (DataPacket& data : burst) {
    if (data.record != nullptr && data.record->serial == note_of(data.packet).serial) {
      keep(kept, data);
    } else {
      drop(worker, data.packet, Drop::kUnknownIndex);
    }
  }
  burst.truncate(kept);
}

}  // namespace jvpn
