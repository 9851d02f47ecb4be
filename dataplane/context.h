// One worker's working set, and the two ways by which a packet leaves it early: drop and punt.
// Everything here is touched by one worker core alone, but for what its comment says.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "common/aead.h"
#include "common/assert.h"
#include "common/exchange.h"
#include "common/ip_header.h"
#include "common/limits.h"
#include "common/message_mac.h"
#include "common/ring_count.h"
#include "common/route_table.h"
#include "common/session_table.h"
#include "dataplane/burst.h"
#include "dataplane/handshake_guard.h"
#include "dataplane/link_answers.h"
#include "dataplane/oversize_limit.h"
#include "dataplane/port_view.h"
#include "dataplane/route_cache.h"
#include "dataplane/stage_clock.h"
#include "dataplane/tracer.h"
#include "dataplane/tx.h"

namespace jvpn {

class HoldStore;

/// Something of a worker's own for each index; some share a place.
template <typename T, size_t kPlaces>
class ByIndex {
 public:
  T& of(ReceiverIndex index) { return places_[index.value % kPlaces]; }

 private:
  std::array<T, kPlaces> places_{};
};

struct WorkerContext {
  static constexpr uint32_t kManyPeers = 8'192;
  static constexpr size_t kSlotAhead = 2;  ///< packets

  uint32_t number = 0;  ///< of this worker; owner value of the lanes that it claims
  uint32_t workers = 1;
  uint16_t burst = kMaxBurst;    ///< packets taken at once
  const SessionTable& sessions;  ///< written by control
  const RouteTable& routes;      ///< written by control
  const WorkerRings& rings;
  std::array<rte_ring*, kMaxWorkers> handoff_to{};  ///< by the owner's number; we are the producer
  std::vector<PortView> ports{};                    ///< by port number
  const MacKey& mac1;
  const SharedCookieSecrets& cookies;  ///< written by control
  WorkerCounters& counters;            ///< written here, read by control
  Aead aead;
  MessageMac mac;
  TxBuffers tx;
  std::unique_ptr<HandshakeGuard> guard{};
  HoldStore* hold = nullptr;                       ///< null: nothing is held
  uint64_t now_tsc = 0;                            ///< of the current poll
  uint64_t tsc_per_signal = rte_get_tsc_hz();      ///< between two foreign sources of one lane
  uint64_t tsc_until_away = rte_get_tsc_hz() / 2;  ///< without a turn of control
  uint64_t tsc_per_control = rte_get_tsc_hz() / kControlPerSecond;  ///< between two of one index
  std::unique_ptr<RouteCache> route_cache{std::make_unique<RouteCache>(sessions.peers())};
  /// Until which TSC control need not hear of another replayed control message.
  ByIndex<uint64_t, 256> replays_told{};
  ByIndex<CycleBudget, 1'024> answers{};
  uint64_t tsc_per_answer = rte_get_tsc_hz() / kAnswersPerSecond;
  ByIndex<CycleBudget, 1'024> unknown{};
  uint64_t tsc_per_unknown = rte_get_tsc_hz() / kUnknownPerSecond;
  OversizeLimit oversize{sessions.peers(), rte_get_tsc_hz()};
  /// Many sessions: their slots, records and keys don't come from the core's caches.
  const bool sessions_are_far = sessions.peers() >= kManyPeers;
  /// Packets between the prefetch of a session's slot and that of its record; far: a whole burst.
  const size_t slot_ahead = sessions_are_far ? kMaxBurst : kSlotAhead;
  StageClock* stages = nullptr;  ///< the harness', if it wants to know
  Tracer* tracing = nullptr;     ///< an order is in force in this poll
};

/// `stage` is done for this burst.
inline void lap(WorkerContext& worker, Stage stage) {
  if (worker.stages != nullptr) [[unlikely]]
    worker.stages->lap(stage);
}

/// Another gateway may own the sessions that a store owns for us. Reads the clock anew, because the
/// node may have been paused; not where no store is, for that takes as long as half a packet.
inline bool is_silent(const WorkerContext& worker) {
  const uint64_t after = worker.sessions.silent_after();
  return after != kNoDeadline && rte_rdtsc() > after;
}

inline void count_drop(WorkerContext& worker, Drop reason) {
  JVPN_DEBUG_ASSERT(reason < Drop::kCount, "a drop has a name");
  WorkerCounters::add(worker.counters.drops[static_cast<size_t>(reason)], 1);
}

/// Counts and frees.
[[gnu::noinline]] inline void drop(WorkerContext& worker, rte_mbuf* packet, Drop reason) {
  count_drop(worker, reason);
  if (worker.tracing != nullptr) [[unlikely]]
    worker.tracing->dropped(packet, reason);
  rte_pktmbuf_free(packet);
}

/// Hands a packet with its note to control. False when the ring is full: it stays the caller's.
inline bool offer(WorkerContext& worker, PuntClass to, rte_mbuf* packet) {
  JVPN_DEBUG_ASSERT(to < PuntClass::kCount, "each class has a ring");
  if (rte_ring_sp_enqueue(worker.rings.punt[static_cast<size_t>(to)], packet) != 0) return false;
  WorkerCounters::add(worker.counters.punted, 1);
  if (worker.tracing != nullptr) [[unlikely]]
    worker.tracing->to_control(packet);
  return true;
}

/// The same; when the ring is full the packet is dropped by name.
inline void punt(WorkerContext& worker, PuntClass to, rte_mbuf* packet) {
  if (!offer(worker, to, packet)) [[unlikely]]
    drop(worker, packet, Drop::kControlRingFull);
}

/// ARP, or neighbour discovery (RFC 4861): what every next hop depends on.
inline bool resolves_addresses(const rte_mbuf* packet) {
  constexpr uint16_t kNextHeader = 20;
  constexpr uint16_t kIcmpType = 54;
  const auto* frame = rte_pktmbuf_mtod(packet, const uint8_t*);
  const uint16_t ether_type = static_cast<uint16_t>(frame[12] << 8 | frame[13]);
  if (ether_type == 0x0806) return true;
  if (ether_type != 0x86DD || rte_pktmbuf_data_len(packet) <= kIcmpType) return false;
  return frame[kNextHeader] == 58 && frame[kIcmpType] >= 133 && frame[kIcmpType] <= 137;
}

/// Half of the slow path's ring is kept for what resolves addresses.
inline bool slow_path_half_full(const WorkerContext& worker) {
  const rte_ring* ring = worker.rings.punt[static_cast<size_t>(PuntClass::kSlowPath)];
  return ring_count(ring) > rte_ring_get_capacity(ring) / 2;
}

/// So long without a turn: it stands still.
inline bool control_is_away(const WorkerContext& worker) {
  const uint64_t seen = worker.sessions.control_seen();
  return seen != 0 && worker.now_tsc > seen + worker.tsc_until_away;
}

/// A frame for the port's own addresses; data starts at Ethernet. A flood of pings can't silence
/// ARP and ND. While control is away, the worker answers for the port's addresses.
inline void punt_frame(WorkerContext& worker, const PortView& port, rte_mbuf* packet) {
  if (control_is_away(worker) &&
      link_answers::answer(port, rte_pktmbuf_mtod(packet, uint8_t*), rte_pktmbuf_data_len(packet)))
    return worker.tx.add(port.number, packet);
  if (slow_path_half_full(worker) && !resolves_addresses(packet)) [[unlikely]]
    return drop(worker, packet, Drop::kControlRingFull);
  PacketNote& note = note_of(packet);
  note = PacketNote{};
  JVPN_DEBUG_ASSERT(packet->nb_segs == 1, "control reads one segment");
  note.port = port.number;
  note.reason = PuntReason::kFrame;
  note.tsc = worker.now_tsc;
  punt(worker, PuntClass::kSlowPath, packet);
}

/// A sealed frame that is larger than its path takes: control fragments it. Leaves half of the ring
/// to others.
[[gnu::noinline]] inline void punt_oversize(WorkerContext& worker, rte_mbuf* frame, uint16_t port,
                                            uint16_t mtu) {
  if (slow_path_half_full(worker)) return drop(worker, frame, Drop::kControlRingFull);
  PacketNote& note = note_of(frame);
  note = PacketNote{};
  note.port = port;
  note.mtu = mtu;
  note.reason = PuntReason::kOversize;
  note.tsc = worker.now_tsc;
  punt(worker, PuntClass::kSlowPath, frame);
}

/// Why an inner packet goes to control. What takes one takes it by value, as it takes the packet:
/// so the fast path keeps both in registers.
struct InnerPunt {
  PuntReason reason;
  Origin origin;
  uint16_t mtu = 0;  ///< kTooBig: what would have fit
};

/// Offers an inner packet to control; its data then starts at IP. Anything but what is for
/// ourselves leaves half of the ring to others.
inline bool offer_inner(WorkerContext& worker, InnerPacket inner, InnerPunt why) {
  const bool ours = why.reason == PuntReason::kLocal;
  if (!ours && slow_path_half_full(worker)) [[unlikely]]
    return false;
  JVPN_DEBUG_ASSERT(why.origin != Origin::kControl || ours || why.reason == PuntReason::kGlean,
                    "control gets no errors about its own packets");
  set_data(inner.packet, inner.ip, inner.bytes);
  PacketNote& note = note_of(inner.packet);
  note = PacketNote{};
  note.port = inner.port;
  note.peer = inner.from;
  note.reason = why.reason;
  note.from_tunnel = why.origin == Origin::kTunnel;
  note.mtu = why.mtu;
  note.tsc = worker.now_tsc;
  return offer(worker, PuntClass::kSlowPath, inner.packet);
}

/// An inner packet that control delivers or holds; dropped by name when control can't take it.
inline void punt_inner(WorkerContext& worker, InnerPacket inner, InnerPunt why) {
  if (!offer_inner(worker, inner, why)) [[unlikely]]
    drop(worker, inner.packet, Drop::kControlRingFull);
}

/// An inner packet that ends here and is counted as `reason`; control gets it for the ICMP error,
/// as far as its ring allows, unless it is control's own.
[[gnu::noinline]] inline void refuse(WorkerContext& worker, InnerPacket inner, InnerPunt why,
                                     Drop reason) {
  count_drop(worker, reason);
  if (worker.tracing != nullptr) [[unlikely]]
    worker.tracing->dropped(inner.packet, reason);
  if (why.origin == Origin::kControl || !offer_inner(worker, inner, why))
    rte_pktmbuf_free(inner.packet);
}

/// An inner packet over `mtu`. What may be cut is cut by control, so it is no drop; the rest is
/// refused.
[[gnu::noinline]] inline void refuse_too_big(WorkerContext& worker, InnerPacket inner,
                                             Origin origin, uint16_t mtu) {
  constexpr uint8_t kDontFragment = 0x40;  // of the flags' byte
  const InnerPunt why{PuntReason::kTooBig, origin, mtu};
  const bool may_be_cut = is_ipv4(inner.ip) && (inner.ip[6] & kDontFragment) == 0;
  if (may_be_cut && origin != Origin::kControl) return punt_inner(worker, inner, why);
  refuse(worker, inner, why, Drop::kTooBig);
}

}  // namespace jvpn
