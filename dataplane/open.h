// Stages replay (in bursts), open and source. Worker core.
//   1. open: messages of our lanes whose counters look fresh are opened in place; wrong tags are
//      dropped by name.
//   2. open: claim lanes that nobody owns by one compare-exchange; the loser hands its opened
//      packet on.
//   3. open: accept each counter in the lane's window, and count. A packet from elsewhere than the
//      binding's remote goes on too; control is told, once a second.
//   4. source: check the inner packet: sound header, and a source that routes to this very peer.
//   5. route: it goes on at once, unless its routes have to be looked up.
// Steps 2 to 5 are fused with the cipher (open_burst()): they run while it works at the next
// packet. Session-control messages: open_control.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include <rte_prefetch.h>
#include <rte_ring_elem.h>

#include "common/aead.h"
#include "common/assert.h"
#include "common/secret.h"
#include "common/source_signal.h"
#include "common/wire.h"
#include "dataplane/burst.h"
#include "dataplane/classify.h"
#include "dataplane/context.h"
#include "dataplane/handoff.h"
#include "dataplane/inner_packet.h"
#include "dataplane/lookup.h"
#include "dataplane/route.h"
#include "dataplane/source.h"

namespace jvpn {
namespace open {

inline constexpr unsigned kQuietShift = 20;  ///< of the TSC, to a lane's own clock: under 1 ms

inline AeadOp op_of(const AeadKey& key, uint8_t* message, uint32_t bytes) {
  JVPN_DEBUG_ASSERT(bytes >= wire::kTransportOverhead, "a message has its header and tag");
  return {&key, message + sizeof(wire::TransportHeader),
          bytes - static_cast<uint32_t>(wire::kTransportOverhead)};
}
inline AeadOp op_of(const DataPacket& data) {
  return op_of(data.record->traffic_key, data.message, data.bytes);
}

/// Stage replay: what is ours to open, with its nonces; the keys of the first `ahead` of them are
/// fetched.
inline void admit(WorkerContext& worker, DataBurst& burst, size_t ahead, NonceBurst& nonces) {
  lookup::prefetch_lanes(worker, burst);
  const uint32_t now = CoarseDeadline::coarse(worker.now_tsc);
  DataPacket* kept = burst.begin();
  const DataPacket* const keys = kept + ahead;
  NonceSlot* nonce = &nonces[0];
  for (DataPacket& data : burst) {
    if (!lookup::find_lane(worker, data, now) || !lookup::is_ours(worker, data)) [[unlikely]]
      continue;
    const AeadOp op = op_of(data);
    if (kept < keys) prefetch(op);
    nonce++->set(data.record->iv.with_header_of(op.data));
    keep(kept, data);
  }
  burst.truncate(kept);
  nonces.set_count(burst.count());
  lap(worker, Stage::kReplay);
}

/// An inner packet whose source has to be looked up.
struct Unproven {
  InnerPacket inner;
  RxLane* lane;  ///< that it came by
};

/// What came out of a burst.
struct Opened {
  explicit Opened(WorkerContext& worker) : outgoing(worker) {}

  RouteBurst<Origin::kTunnel> outgoing;
  uint64_t taken = 0;  ///< messages that were opened
  uint64_t lost = 0;   ///< of those, the ones that weren't authentic, or are no longer ours
  Burst<Unproven> unproven;
};

/// A wrong tag: what came out of the cipher is nobody's.
[[gnu::noinline]] inline void refuse(WorkerContext& worker, const DataPacket& data,
                                     Opened& opened) {
  JVPN_DEBUG_ASSERT(data.bytes >= wire::kTransportOverhead, "a message has its header and tag");
  wipe(data.message + sizeof(wire::TransportHeader), data.bytes - wire::kTransportOverhead);
  drop(worker, data.packet, Drop::kBadTag);
  ++opened.lost;
}

/// Tries to become the lane's owner. False: another worker is, and has the message now.
[[gnu::noinline]] inline bool claim(WorkerContext& worker, const DataPacket& data) {
  uint32_t owner = RxLane::kUnclaimed;
  if (data.lane->owner.compare_exchange_strong(owner, worker.number, std::memory_order_acq_rel))
    return true;
  hand_off(worker, data, owner, true);
  return false;
}

/// Control hears where a packet came from, unless it just did.
[[gnu::noinline]] inline void signal_source(WorkerContext& worker, const DataPacket& data) {
  RxLane& lane = *data.lane;
  JVPN_DEBUG_ASSERT(lane.owner.load(std::memory_order_relaxed) == worker.number,
                    "quiet_until is the owner's alone");
  const auto now = static_cast<uint32_t>(worker.now_tsc >> kQuietShift);
  const bool quiet = lane.quiet_until != 0 && static_cast<int32_t>(now - lane.quiet_until) < 0;
  if (worker.rings.sources == nullptr || quiet) return;
  const uint64_t next = (worker.now_tsc + worker.tsc_per_signal) >> kQuietShift;
  lane.quiet_until = std::max(static_cast<uint32_t>(next), 1U);
  SourceSignal signal = signal_of(data.packet, data.message, data.port);
  signal.serial = data.record->serial;
  if (rte_ring_sp_enqueue_elem(worker.rings.sources, &signal, sizeof signal) != 0)
    WorkerCounters::add(worker.counters.signals_lost, 1);
}

/// A source that is not the binding's IPv4 remote: the binding may be an IPv6 one.
[[gnu::noinline]] inline void examine_source(WorkerContext& worker, const DataPacket& data) {
  const uint64_t bound = data.record->source.load(std::memory_order_relaxed);
  if (bound == 0) return;
  const uint8_t* udp = data.message - kUdpHeaderBytes;
  const bool v6 = (bound & kIpv6Source) != 0;
  if (!v6 || source_tag_v6(udp - 32, load_u16(udp)) != bound) signal_source(worker, data);
}

/// Reads the source where an IPv4 header has it; in another header something else stands there.
inline void check_source(WorkerContext& worker, const DataPacket& data) {
  const uint8_t* udp = data.message - kUdpHeaderBytes;
  const uint64_t source = source_tag_v4(load_u32(udp - 8), load_u16(udp));
  if (source != data.record->source.load(std::memory_order_relaxed)) [[unlikely]]
    examine_source(worker, data);
}

inline void count(RxLane& lane, uint32_t inner_bytes, uint64_t now_tsc) {
  WorkerCounters::add(lane.packets, 1);
  WorkerCounters::add(lane.bytes, inner_bytes);
  lane.last_tsc.store(now_tsc, std::memory_order_relaxed);
}

/// The lane's latest inner IPv4 source, if it is still known to route to the lane's peer.
inline bool knows_source(const RxLane& lane, const uint8_t* ip, uint32_t generation) {
  return lane.source_generation == generation && lane.source_v4 == load_u32(ip + 12);
}

/// Steps 2 and 3 for an opened message. False: it is no longer ours.
[[gnu::always_inline]] inline bool is_fresh(WorkerContext& worker, const DataPacket& data,
                                            RxLane& lane) {
  if (lane.owner.load(std::memory_order_relaxed) != worker.number && !claim(worker, data))
      [[unlikely]]
    return false;
  JVPN_DEBUG_ASSERT(lane.owner.load(std::memory_order_relaxed) == worker.number,
                    "only the lane's owner moves its window");
  const ReplayVerdict verdict = lane.window.accept(data.sequence);
  if (verdict != ReplayVerdict::kFresh) [[unlikely]] {
    drop(worker, data.packet, lookup::drop_of(verdict));
    return false;
  }
  check_source(worker, data);
  return true;
}

/// Step 4 for what the lane can't vouch for.
[[gnu::noinline]] inline void examine(WorkerContext& worker, const DataPacket& data,
                                      Opened& opened) {
  uint8_t* ip = data.message + sizeof(wire::TransportHeader);
  const uint32_t bytes =
      sound_inner_bytes(ip, data.bytes - static_cast<uint32_t>(wire::kTransportOverhead));
  if (bytes == 0) return drop(worker, data.packet, Drop::kInnerHeader);
  const InnerPacket inner{data.packet, ip, bytes, data.record->peer, data.port, is_ipv4(ip)};
  opened.unproven.add({inner, data.lane});
}

/// Steps 2 to 5 for an opened message. What it is read for stays in registers: the compiler takes
/// each store to the lane for one to anything.
[[gnu::always_inline]] inline void accept(WorkerContext& worker, const DataPacket& data,
                                          Opened& opened) {
  RxLane& lane = *data.lane;
  uint8_t* const ip = data.message + sizeof(wire::TransportHeader);
  const auto payload = data.bytes - static_cast<uint32_t>(wire::kTransportOverhead);
  if (!is_fresh(worker, data, lane)) [[unlikely]] {
    ++opened.lost;
    return;
  }
  JVPN_DEBUG_ASSERT(
      data.record != nullptr && data.record->index.value == lookup::receiver_of(data.message),
      "an opened message has the record that opened it");
  count(lane, payload, worker.now_tsc);
  const uint32_t bytes = plain_inner_bytes(ip, payload);
  if (bytes == 0 || !knows_source(lane, ip, opened.outgoing.generation)) [[unlikely]]
    return examine(worker, data, opened);
  route_packet(worker, {data.packet, ip, bytes, data.record->peer, data.port, true},
               opened.outgoing);
}

/// An opened message whose tag must be `tag`.
[[gnu::always_inline]] inline void take(WorkerContext& worker, const DataPacket& data,
                                        const AeadTag& tag, Opened& opened) {
  if (tags_equal(tag.data(), data.message + data.bytes - kAeadTagBytes)) [[likely]]
    accept(worker, data, opened);
  else
    refuse(worker, data, opened);
}

/// Those that the cipher had kept back to work on several at once (ChaCha20-Poly1305).
[[gnu::noinline]] inline void take_waiting(WorkerContext& worker, std::span<const DataPacket> burst,
                                           const AeadTag* tag, Opened& opened) {
  for (const DataPacket& data : burst) take(worker, data, *tag++, opened);
}

/// A peer may only use sources that route to it.
inline void judge(WorkerContext& worker, const Unproven& packet, Target target,
                  RouteBurst<Origin::kTunnel>& outgoing) {
  const InnerPacket& inner = packet.inner;
  if (target != Target::peer(inner.from)) [[unlikely]]
    return drop(worker, inner.packet, Drop::kInnerSource);
  JVPN_DEBUG_ASSERT(packet.lane->owner.load(std::memory_order_relaxed) == worker.number,
                    "the lane's memory of its source is the owner's alone");
  if (inner.ipv4) {
    packet.lane->source_v4 = load_u32(inner.ip + 12);
    packet.lane->source_generation = outgoing.generation;
  }
  route_packet(worker, inner, outgoing);
}

/// Looks up the sources that no lane remembers: in the worker's cache, the others in bulk.
[[gnu::noinline]] inline void prove_sources(WorkerContext& worker, Opened& opened) {
  RouteBurst<Origin::kTunnel>& outgoing = opened.outgoing;
  InnerBurst asked;
  Unproven* kept = opened.unproven.begin();
  for (const Unproven& packet : opened.unproven) {
    const Target* known = known_route(worker, packet.inner, Side::kSource, outgoing.generation);
    if (known != nullptr) {
      judge(worker, packet, *known, outgoing);
      continue;
    }
    asked.add(packet.inner);
    keep(kept, packet);
  }
  if (asked.empty()) return;
  Burst<Target> targets;
  ask_routes(worker, asked, Side::kSource, outgoing.generation, targets);
  for (size_t i = 0; i < asked.count(); ++i)
    judge(worker, opened.unproven[i], targets[i], outgoing);
}

/// As seal.h's, by the peer's send side; without one nothing tells whose its session is.
[[gnu::noinline]] inline void drop_owned(WorkerContext& worker, DataBurst& burst) {
  DataPacket* kept = burst.begin();
  for (DataPacket& data : burst) {
    const RxRecord* const record = data.record;
    const TxRecord* const tx = record == nullptr ? nullptr : worker.sessions.tx(record->peer);
    if (record != nullptr && (tx == nullptr || tx->owned))
      drop(worker, data.packet, Drop::kNotOwned);
    else
      keep(kept, data);  // without a record it is dropped by that name
  }
  burst.truncate(kept);
}

/// Late, so that a node that was paused delivers no more than the burst in hand.
inline void admit_owned(WorkerContext& worker, DataBurst& burst) {
  if (is_silent(worker)) [[unlikely]]
    drop_owned(worker, burst);
}

}  // namespace open

/// Opens what is ours of a burst whose records are loaded. The stages open, source and route are
/// fused here: a packet is accepted and goes on while the cipher works at the next one, whose wait
/// would otherwise be lost. Sources and routes that aren't at hand wait for finish().
inline void open_burst(WorkerContext& worker, DataBurst& burst, open::Opened& opened) {
  Burst<AeadTag> tags;
  NonceBurst nonces;
  open::admit_owned(worker, burst);
  if (burst.empty()) return;
  const size_t ahead = worker.aead.prefetch_ahead(burst[0].bytes);
  open::admit(worker, burst, ahead, nonces);
  AeadRun<false> run(worker.aead);
  const size_t count = burst.count();
  const DataPacket* const end = burst.end();
  const DataPacket* next = burst.begin() + std::min(ahead, count);
  const DataPacket* behind = burst.begin();
  const AeadTag* tag = tags.begin();
  for (size_t i = 0; i <= count; ++i) {
    if (next != end) {
      prefetch(open::op_of(*next));
      rte_prefetch0(next->lane);  // long packets have pushed it out
      ++next;
    }
    if (i < count) [[likely]]
      run.work(open::op_of(burst[i]), nonces[i], tags[i].data());
    if (i == 0 || run.waits()) [[unlikely]]
      continue;
    open::take(worker, *behind++, *tag++, opened);
  }
  run.finish();
  if (behind != end) open::take_waiting(worker, {behind, end}, tag, opened);
  opened.taken += count;
  wipe(tags.begin(), count * sizeof(AeadTag));
  lap(worker, Stage::kOpen);
}

/// The same for messages that another worker opened.
inline void take_opened(WorkerContext& worker, DataBurst& burst, open::Opened& opened) {
  open::admit_owned(worker, burst);
  const uint32_t now = CoarseDeadline::coarse(worker.now_tsc);
  for (DataPacket& data : burst) {
    if (!lookup::find_lane(worker, data, now)) [[unlikely]]
      continue;
    ++opened.taken;
    open::accept(worker, data, opened);
  }
  lap(worker, Stage::kOpen);
}

/// Stage source for what its lane couldn't vouch for; then all goes on to stage route.
inline void finish(WorkerContext& worker, open::Opened& opened) {
  WorkerCounters::add(worker.counters.opened, opened.taken - opened.lost);
  if (!opened.unproven.empty()) open::prove_sources(worker, opened);
  lap(worker, Stage::kSource);
  finish(worker, opened.outgoing);
}

}  // namespace jvpn
