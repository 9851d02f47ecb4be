#include "control/publish/injector.h"

#include <utility>

#include <rte_cycles.h>

#include "common/assert.h"
#include "common/ring_count.h"

namespace jvpn::publish {

Injector::Injector(rte_mempool* pool, std::vector<rte_ring*> rings, const SessionTable* sessions)
    : pool_(pool), rings_(std::move(rings)), sessions_(sessions) {
  JVPN_ASSERT(pool_ != nullptr && !rings_.empty(), "frames need buffers and a worker");
}

rte_mbuf* Injector::allocate() {
  rte_mbuf* packet = rte_pktmbuf_alloc(pool_);
  if (packet == nullptr) {
    ++counters_.no_buffer;
    return nullptr;
  }
  note_of(packet) = PacketNote{};
  note_of(packet).tsc = proof();
  return packet;
}

/// As PacketNote::tsc has it. In silence only what needs no proof is made.
uint64_t Injector::proof() const {
  if (sessions_ == nullptr) return 0;
  const uint64_t after = sessions_->silent_after();
  return after == kNoDeadline || rte_rdtsc() > after ? 0 : after;
}

rte_mbuf* Injector::allocate(size_t bytes, std::span<uint8_t>& data) {
  rte_mbuf* packet = allocate();
  if (packet == nullptr) return nullptr;
  const uint16_t room = rte_pktmbuf_tailroom(packet);
  if (bytes > room) {
    rte_pktmbuf_free(packet);
    ++counters_.no_buffer;
    return nullptr;
  }
  char* start = rte_pktmbuf_append(packet, static_cast<uint16_t>(bytes));
  data = {reinterpret_cast<uint8_t*>(start), bytes};
  return packet;
}

bool Injector::transmit(uint16_t port, rte_mbuf* frame, uint32_t flow) {
  PacketNote& note = note_of(frame);
  note.action = InjectAction::kTransmit;
  note.port = port;
  if (frame->pool != pool_) note.tsc = proof();  // a worker's, which it handed over
  if (!enqueue(frame, flow)) return false;
  ++counters_.frames;
  return true;
}

void Injector::route(rte_mbuf* packet, uint32_t flow) {
  note_of(packet).action = InjectAction::kRoute;
  if (enqueue(packet, flow)) ++counters_.routed;
}

bool Injector::enqueue(rte_mbuf* packet, uint32_t flow) {
  JVPN_ASSERT(packet->nb_segs == 1, "workers take one segment");
  packet->ol_flags = 0;  // what the receiving port said of it no longer holds
  if (rte_ring_sp_enqueue(rings_[flow % rings_.size()], packet) == 0) return true;
  rte_pktmbuf_free(packet);
  ++counters_.ring_full;
  return false;
}

bool Injector::drained() const {
  for (const rte_ring* ring : rings_)
    if (ring_count(ring) != 0) return false;
  return true;
}

}  // namespace jvpn::publish
