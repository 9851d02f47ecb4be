// Stage 4, inward: open. Worker core.
//   1. Open the burst in place; wrong tags are dropped by name.
//   2. Claim lanes that nobody owns by one compare-exchange; the loser hands its opened packet on.
//   3. Accept each counter in the lane's window, and count, once per run of one lane's packets. A
//   run
//      from elsewhere than the binding's remote is delivered too; control is told, once a second.
//   4. Check the inner packet: sound header, and a source that routes to this very peer.
// Session-control messages are opened one by one and go to control with their note.
#pragma once

#include <algorithm>
#include <cstdint>

#include <rte_ring_elem.h>

#include "common/aead.h"
#include "common/secret.h"
#include "common/source_signal.h"
#include "common/wire.h"
#include "dataplane/burst.h"
#include "dataplane/classify.h"
#include "dataplane/context.h"
#include "dataplane/handoff.h"
#include "dataplane/inner_packet.h"
#include "dataplane/lookup.h"

namespace jvpn {
namespace open {

inline constexpr unsigned kQuietShift = 20;  ///< of the TSC, to a lane's own clock: under 1 ms

/// The header after its type is the nonce: receiver index ‖ counter.
inline void fill(AeadOp& op, const AeadKey& key, uint8_t* message, uint32_t bytes) {
  op.key = &key;
  op.data = message + sizeof(wire::TransportHeader);
  op.length = bytes - static_cast<uint32_t>(wire::kTransportOverhead);
  __builtin_memcpy(op.nonce.data(), message + 4, kAeadNonceBytes);
}

inline void decrypt(WorkerContext& worker, DataBurst& burst) {
  AeadOp ops[kBurst];
  for (size_t i = 0; i < burst.count; ++i)
    fill(ops[i], burst.record[i]->traffic_key, burst.message[i], burst.bytes[i]);
  worker.aead.open({ops, burst.count});
  size_t kept = 0;
  for (size_t i = 0; i < burst.count; ++i) {
    if (ops[i].ok) [[likely]]
      burst.keep(kept++, i);
    else
      drop(worker, burst.packet[i], Drop::kBadTag);
  }
  burst.count = kept;
}

/// The owner of the lane, after trying to become it.
inline uint32_t claim(const WorkerContext& worker, RxLane& lane) {
  uint32_t owner = lane.owner.load(std::memory_order_relaxed);
  if (owner != RxLane::kUnclaimed) [[likely]]
    return owner;
  if (lane.owner.compare_exchange_strong(owner, worker.number, std::memory_order_acq_rel))
    return worker.number;
  return owner;
}

/// Control hears where packet `i` came from, unless it just did.
inline void signal_source(WorkerContext& worker, const DataBurst& burst, size_t i) {
  RxLane& lane = *burst.lane[i];
  const auto now = static_cast<uint32_t>(worker.now_tsc >> kQuietShift);
  const bool quiet = lane.quiet_until != 0 && static_cast<int32_t>(now - lane.quiet_until) < 0;
  if (worker.rings.sources == nullptr || quiet) return;
  const uint64_t next = (worker.now_tsc + worker.tsc_per_signal) >> kQuietShift;
  lane.quiet_until = std::max(static_cast<uint32_t>(next), 1U);
  const uint8_t* udp = burst.message[i] - kUdpBytes;
  const uint8_t* ip = rte_pktmbuf_mtod(burst.packet[i], const uint8_t*) + kEthernetBytes;
  SourceSignal signal;
  signal.receiver = lookup::receiver_of(burst.message[i]);
  signal.port = burst.port[i];
  signal.remote_port = load_be16(udp);
  signal.local_port = load_be16(udp + 2);
  const bool v4 = is_ipv4(ip);
  const size_t bytes = v4 ? 4 : 16;
  signal.family = v4 ? Family::kIpv4 : Family::kIpv6;
  std::copy_n(source_of(ip), bytes, signal.remote.begin());
  std::copy_n(source_of(ip) + bytes, bytes, signal.local.begin());
  if (rte_ring_sp_enqueue_elem(worker.rings.sources, &signal, sizeof signal) != 0)
    WorkerCounters::add(worker.counters.signals_lost, 1);
}

/// The first packet of a run stands for all of it.
inline void check_source(WorkerContext& worker, const DataBurst& burst, size_t i) {
  const uint32_t bound = burst.record[i]->source.load(std::memory_order_relaxed);
  if (bound == 0) return;
  const uint8_t* ip = rte_pktmbuf_mtod(burst.packet[i], const uint8_t*) + kEthernetBytes;
  const uint16_t port = load_be16(burst.message[i] - kUdpBytes);
  if (source_tag(source_of(ip), is_ipv4(ip), port) != bound) [[unlikely]]
    signal_source(worker, burst, i);
}

/// What a run of packets of one lane counted.
struct LaneRun {
  RxLane* lane = nullptr;
  uint64_t packets = 0;
  uint64_t bytes = 0;

  void flush(uint64_t now_tsc) const {
    if (packets == 0) return;
    WorkerCounters::add(lane->packets, packets);
    WorkerCounters::add(lane->bytes, bytes);
    lane->expected.store(lane->window.highest() + 1, std::memory_order_relaxed);
    lane->last_tsc.store(now_tsc, std::memory_order_relaxed);
  }
};

/// The lane's latest inner source, if it is still known to route to the lane's peer.
inline bool knows_source(const RxLane& lane, const uint8_t* ip, uint32_t generation) {
  return lane.source_generation == generation && is_ipv4(ip) &&
         lane.source_v4 == load_u32(source_of(ip));
}

/// Packets whose source has to be looked up.
struct Unproven {
  size_t count = 0;
  uint8_t place[kBurst];  ///< in the burst of inner packets
  RxLane* lane[kBurst];
};

/// Step 4: strips packet `i`, whose lane is ours, to its inner one; an unsound one is dropped.
inline void unwrap(WorkerContext& worker, const DataBurst& burst, size_t i, InnerBurst& inner,
                   uint32_t generation, Unproven& unproven) {
  rte_mbuf* packet = burst.packet[i];
  uint8_t* ip = burst.message[i] + sizeof(wire::TransportHeader);
  const auto payload = burst.bytes[i] - static_cast<uint32_t>(wire::kTransportOverhead);
  const uint32_t bytes = sound_inner_bytes(ip, payload);
  if (bytes == 0) [[unlikely]]
    return drop(worker, packet, Drop::kInnerHeader);
  set_data(packet, ip, bytes);
  if (!knows_source(*burst.lane[i], ip, generation)) {
    unproven.place[unproven.count] = static_cast<uint8_t>(inner.count);
    unproven.lane[unproven.count++] = burst.lane[i];
  }
  inner.add(packet, ip, bytes, burst.record[i]->peer, burst.port[i]);
}

/// Steps 2 to 4: authentic and fresh packets are counted, and stripped to inner ones.
inline void accept(WorkerContext& worker, const DataBurst& burst, InnerBurst& inner,
                   uint32_t generation, Unproven& unproven) {
  LaneRun run;
  uint64_t accepted = 0;
  for (size_t i = 0; i < burst.count; ++i) {
    RxLane* lane = burst.lane[i];
    if (lane != run.lane) {
      run.flush(worker.now_tsc);
      run = {lane, 0, 0};
    }
    const uint32_t owner = claim(worker, *lane);
    if (owner != worker.number) [[unlikely]] {
      hand_off(worker, burst, i, owner, true);
      continue;
    }
    const uint64_t counter = lookup::counter_of(burst.message[i]);
    const ReplayVerdict verdict = lane->window.accept(wire::sequence_of(counter));
    if (verdict != ReplayVerdict::kFresh) [[unlikely]] {
      drop(worker, burst.packet[i], lookup::drop_of(verdict));
      continue;
    }
    if (run.packets == 0) check_source(worker, burst, i);
    ++run.packets;
    ++accepted;
    run.bytes += burst.bytes[i] - wire::kTransportOverhead;
    unwrap(worker, burst, i, inner, generation, unproven);
  }
  run.flush(worker.now_tsc);
  WorkerCounters::add(worker.counters.opened, accepted);
}

/// A peer may only use sources that route to it.
inline void check_sources(WorkerContext& worker, InnerBurst& inner, uint32_t generation,
                          const Unproven& unproven) {
  InnerBurst asked;
  for (size_t i = 0; i < unproven.count; ++i) asked.take(inner, unproven.place[i]);
  Target targets[kBurst];
  lookup_routes<Side::kSource>(worker, asked, targets);
  size_t refused = 0;
  for (size_t i = 0; i < unproven.count; ++i) {
    const size_t place = unproven.place[i];
    if (targets[i] != Target::peer(inner.peer[place])) [[unlikely]] {
      drop(worker, inner.packet[place], Drop::kInnerSource);
      inner.packet[place] = nullptr;
      ++refused;
    } else if (is_ipv4(inner.ip[place])) {
      unproven.lane[i]->source_v4 = load_u32(source_of(inner.ip[place]));
      unproven.lane[i]->source_generation = generation;
    }
  }
  if (refused != 0) [[unlikely]]
    inner.close_gaps();
}

}  // namespace open

/// Opened messages (from a handoff, or from open_burst()) to inner packets.
inline void accept_burst(WorkerContext& worker, const DataBurst& burst, InnerBurst& inner) {
  const uint32_t generation = worker.routes.generation();
  open::Unproven unproven;
  open::accept(worker, burst, inner, generation, unproven);
  lap(worker, Stage::kAccept);
  if (unproven.count != 0) open::check_sources(worker, inner, generation, unproven);
  lap(worker, Stage::kSource);
}

/// Admitted messages to inner packets.
inline void open_burst(WorkerContext& worker, DataBurst& burst, InnerBurst& inner) {
  open::decrypt(worker, burst);
  lap(worker, Stage::kOpen);
  accept_burst(worker, burst, inner);
}

/// Opens one session-control message in place and hands it to control. `message` stands in the
/// packet's data, which goes on to start at Ethernet: control reads the outer addresses there.
inline void open_control(WorkerContext& worker, const PortView& port, rte_mbuf* packet,
                         uint8_t* message, uint32_t bytes) {
  const uint32_t receiver = lookup::receiver_of(message);
  const RxRecord* record = worker.sessions.rx(receiver);
  if (record == nullptr || record->index.value != receiver)
    return drop(worker, packet, Drop::kUnknownIndex);

  AeadKey key;
  worker.aead.expand(record->traffic_key.suite, record->control_key, key);
  AeadOp op;
  open::fill(op, key, message, bytes);
  worker.aead.open({&op, 1});
  wipe(&key, sizeof key);
  if (!op.ok) return drop(worker, packet, Drop::kBadTag);

  PacketNote& note = note_of(packet);
  note = PacketNote{};
  note.receiver = receiver;
  note.peer = record->peer;
  note.counter = lookup::counter_of(message);
  note.payload_offset = static_cast<uint16_t>(op.data - rte_pktmbuf_mtod(packet, uint8_t*));
  note.payload_bytes = static_cast<uint16_t>(op.length);
  note.port = port.number;
  note.tsc = worker.now_tsc;
  punt(worker, PuntClass::kControl, packet);
}

}  // namespace jvpn
