// Session-control messages on a worker. They meet their index's window and budget, are opened one
// by one, and go to control with their note.
#pragma once

#include <cstdint>
#include <optional>

#include "common/aead.h"
#include "common/assert.h"
#include "common/secret.h"
#include "common/source_signal.h"
#include "common/wire.h"
#include "dataplane/context.h"
#include "dataplane/inner_packet.h"
#include "dataplane/lookup.h"
#include "dataplane/open.h"
#include "dataplane/source.h"

namespace jvpn {

/// Until its keys are confirmed, control refuses a session's messages from elsewhere: copies that
/// overtake the true one use up neither its counter nor the index's budget.
inline bool comes_from_elsewhere(const RxRecord& record, uint16_t port, const rte_mbuf* packet,
                                 const uint8_t* message) {
  const uint16_t expected = record.control().port.load(std::memory_order_relaxed);
  if (expected == RxControl::kAnyPort) [[likely]]
    return false;
  const uint8_t* ip = rte_pktmbuf_mtod(packet, const uint8_t*) + kEthernetHeaderBytes;
  const uint16_t udp_port = load_u16(message - kUdpHeaderBytes);
  const uint64_t source = is_ipv4(ip) ? source_tag_v4(load_u32(source_of(ip)), udp_port)
                                      : source_tag_v6(source_of(ip), udp_port);
  return port != expected || source != record.source.load(std::memory_order_relaxed);
}

/// Whether a control message may cost the cipher and a place in the ring; else why not. Of those
/// seen before one a second passes: control refuses it, and tells of the replay.
inline std::optional<Drop> control_refusal(WorkerContext& worker, const RxControl& control,
                                           ReceiverIndex index, ReplayVerdict verdict) {
  if (verdict != ReplayVerdict::kFresh && worker.now_tsc < worker.replays_told.of(index))
    return lookup::drop_of(verdict);
  if (!control.opened.has(worker.now_tsc, worker.tsc_per_control, kControlBurst))
    return Drop::kControlRate;
  return std::nullopt;
}

/// An authentic control message: it counts. One that was seen before changes nothing of its
/// session.
inline void note_control(WorkerContext& worker, RxControl& control, ReceiverIndex index,
                         uint64_t sequence, ReplayVerdict verdict) {
  if (verdict != ReplayVerdict::kFresh) {
    worker.replays_told.of(index) = worker.now_tsc + worker.tsc_per_signal;
    return;
  }
  control.seen.add(sequence);
  control.opened.take(worker.now_tsc, worker.tsc_per_control);
}

/// Opens one session-control message in place and hands it to control. `message` stands in the
/// packet's data, which goes on to start at Ethernet: control reads the outer addresses there.
inline void open_control(WorkerContext& worker, const PortView& port, rte_mbuf* packet,
                         uint8_t* message, uint32_t bytes) {
  const uint32_t receiver = lookup::receiver_of(message);
  const RxRecord* record = worker.sessions.rx(receiver);
  if (record == nullptr || record->index.value != receiver)
    return drop_unknown(worker, packet, message, port.number);
  if (record->deadline.load(std::memory_order_relaxed)
          .passed(CoarseDeadline::coarse(worker.now_tsc)))
    return drop(worker, packet, Drop::kSessionExpired);
  if (comes_from_elsewhere(*record, port.number, packet, message))
    return drop(worker, packet, Drop::kUnconfirmedSource);
  RxControl& control = record->control();
  const uint64_t counter = lookup::counter_of(message, control.mask);
  const uint64_t sequence = wire::sequence_of(counter);
  const ReplayVerdict verdict = control.seen.check(sequence);
  if (const auto why = control_refusal(worker, control, record->index, verdict))
    return drop(worker, packet, *why);

  AeadKey key;
  worker.aead.expand(record->traffic_key.suite, control.key, key);
  AeadOp op = open::op_of(key, message, bytes);
  worker.aead.open({&op, 1});
  wipe(&key, sizeof key);
  if (!op.ok) return drop(worker, packet, Drop::kBadTag);
  note_control(worker, control, record->index, sequence, verdict);

  PacketNote& note = note_of(packet);
  note = PacketNote{};
  note.receiver = receiver;
  note.peer = record->peer;
  note.serial = record->serial;
  note.counter = counter;
  JVPN_DEBUG_ASSERT(op.data + op.length <= rte_pktmbuf_mtod(packet, uint8_t*) + packet->data_len,
                    "the plaintext lies in the packet's data");
  note.payload_offset = static_cast<uint16_t>(op.data - rte_pktmbuf_mtod(packet, uint8_t*));
  note.payload_bytes = static_cast<uint16_t>(op.length);
  note.port = port.number;
  note.tsc = worker.now_tsc;
  punt(worker, PuntClass::kControl, packet);
}

}  // namespace jvpn
