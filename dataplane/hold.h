// What a worker holds of what it seals, so that a path that dies loses none of it (docs/DESIGN.md,
// hold). Worker core; nothing of this runs without a HoldStore.
//   1. Before the stage number: what is sealed must not overtake what waits, nor go while the peer
//      has no path, nor by a record that settles what is held: it waits in the store.
//   2. After the stage seal: a reference to each frame.
// dataplane/hold_resend.h has what waits sealed and sent.
#pragma once

#include <cstring>

#include <rte_mbuf.h>

#include "common/bytes.h"
#include "common/hold_terms.h"
#include "common/session_table.h"
#include "dataplane/burst.h"
#include "dataplane/context.h"
#include "dataplane/hold_store.h"

namespace jvpn::hold {

/// Where the inner packet lies in a buffer of our own: all headers fit before it.
inline constexpr uint16_t kInnerAt = RTE_PKTMBUF_HEADROOM;
static_assert(kInnerAt >= kMaxTemplate);

/// The unmasked counter of a frame whose transport header is there.
inline uint64_t counter_of(const TxRecord& record, const uint8_t* transport) {
  const uint8_t* mask = record.header + record.template_bytes - sizeof(wire::TransportHeader);
  return load_u64(transport + 8) ^ load_u64(mask + 8);
}

/// The packet, or a copy if it is of another pool, which must not run dry for what is held. `bytes`
/// from `start` are copied; both are where they lie then. nullptr: there is no memory.
inline rte_mbuf* of_own_pool(HoldStore& store, rte_mbuf* packet, uint8_t*& start, uint32_t bytes) {
  if (packet->pool == store.pool()) [[likely]]
    return packet;
  rte_mbuf* copy = rte_pktmbuf_alloc(store.pool());
  if (copy == nullptr) return nullptr;
  auto* const to = static_cast<uint8_t*>(copy->buf_addr) + kInnerAt;
  if (kInnerAt + bytes > copy->buf_len) {
    rte_pktmbuf_free(copy);
    return nullptr;
  }
  std::memcpy(to, start, bytes);
  start = to;
  return copy;
}

inline HoldStore::Entry entry_of(const WorkerContext& worker, const TunnelPacket& out) {
  HoldStore::Entry entry;
  entry.packet = out.inner.packet;
  entry.since_tsc = worker.now_tsc;
  entry.to = out.to;
  entry.bytes = static_cast<uint16_t>(out.inner.bytes);
  return entry;
}

/// Step 1 for one packet: it waits, or is dropped by name.
[[gnu::noinline]] inline void wait(WorkerContext& worker, const TunnelPacket& out, Origin origin) {
  HoldStore& store = *worker.hold;
  HoldStore::Entry entry = entry_of(worker, out);
  uint8_t* ip = out.inner.ip;
  entry.packet = of_own_pool(store, out.inner.packet, ip, out.inner.bytes);
  if (entry.packet == nullptr) return drop(worker, out.inner.packet, Drop::kHoldFull);
  entry.offset = static_cast<uint16_t>(ip - static_cast<uint8_t*>(entry.packet->buf_addr));
  entry.from = out.inner.from;
  entry.port = out.inner.port;
  entry.origin = origin;
  entry.session = out.record != nullptr ? out.record->hold_session : worker.sessions.waits(out.to);
  entry.state = HoldStore::State::kWaiting;
  if (!store.append(entry)) return drop(worker, entry.packet, Drop::kHoldFull);
  if (worker.tracing != nullptr) [[unlikely]]
    worker.tracing->held(out.inner.packet);
  if (entry.packet != out.inner.packet) rte_pktmbuf_free(out.inner.packet);
}

inline void settle(HoldStore& store, PeerId peer, const TxRecord& record) {
  const HoldTerms* terms = record.hold_terms.load(std::memory_order_acquire);
  store.settle(peer, record, terms != nullptr && terms->carried && terms->reports.empty());
}

inline bool must_wait(const WorkerContext& worker, const TunnelPacket& out) {
  const HoldStore& store = *worker.hold;
  if (out.record == nullptr) return worker.sessions.waits(out.to) != 0 && store.limits().holds();
  return store.queues(out.to) || store.serial(out.to) != out.record->hold_serial;
}

/// Step 1. A burst may have packets of one peer with its record of before and with that of now:
/// the former wait, too.
[[gnu::noinline]] inline void divert(WorkerContext& worker, TunnelBurst& burst, Origin origin) {
  for (const TunnelPacket& out : burst) {
    if (out.record != nullptr && worker.hold->serial(out.to) != out.record->hold_serial)
      settle(*worker.hold, out.to, *out.record);
  }
  TunnelPacket* kept = burst.begin();
  for (TunnelPacket& out : burst) {
    if (must_wait(worker, out)) [[unlikely]]
      wait(worker, out, origin);
    else
      jvpn::keep(kept, out);
  }
  burst.truncate(kept);
}

/// Step 2 for one sealed frame that is about to be sent. One that nobody has room for isn't held.
inline void keep_sent(WorkerContext& worker, const TunnelPacket& out) {
  HoldStore& store = *worker.hold;
  const TxRecord& record = *out.record;
  HoldStore::Entry entry = entry_of(worker, out);
  rte_mbuf* frame = out.inner.packet;
  constexpr uint32_t kHeader = sizeof(wire::TransportHeader);
  uint8_t* message = rte_pktmbuf_mtod(frame, uint8_t*) + record.template_bytes - kHeader;
  entry.counter = counter_of(record, message);
  entry.packet = of_own_pool(store, frame, message, kHeader + out.inner.bytes + kAeadTagBytes);
  if (entry.packet == nullptr) return;
  message += kHeader;
  entry.offset = static_cast<uint16_t>(message - static_cast<uint8_t*>(entry.packet->buf_addr));
  entry.index = record.peer_index;
  entry.session = store.session(out.to);  // it has the record's serial
  entry.sealed = true;
  entry.state = HoldStore::State::kSent;
  if (entry.packet == frame) rte_mbuf_refcnt_update(frame, 1);
  if (!store.append(entry)) rte_pktmbuf_free(entry.packet);
}

/// Step 2. What leaves in fragments is control's.
[[gnu::noinline]] inline void keep_burst(WorkerContext& worker, const TunnelBurst& burst) {
  if (!worker.hold->limits().holds()) return;
  for (const TunnelPacket& out : burst) {
    if (out.record->hold_serial == 0 || out.outer == Family::kNone) [[unlikely]]
      continue;
    keep_sent(worker, out);
  }
}

}  // namespace jvpn::hold
