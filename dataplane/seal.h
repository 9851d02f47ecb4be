// Stages lookup (of the peer's record), number and seal, then tx. Worker core.
//   1. lookup: peer → TxRecord. One record has binding, key, peer's index, template and MTU, so
//      they can't tear.
//   2. number: admit what has a binding, a session and keys that have not ended, a size within the
//      tunnel's MTU, a next hop whose address is known, and room for the headers. All else is
//      dropped by name, or goes to the slow path.
//   3. number: one of this worker's lanes by the packet's flow; its next sequence, within the
//      quota.
//   4. number: write the outer headers: template by vector stores, then the next hop's address,
//      lengths, checksum and counter. Fused with steps 2 and 3: one pass has the packet's first
//      lines in hand.
//   5. seal: the burst in place.
//   6. tx: give it to the port's transmit buffer; to control, when the path takes less than IPv6
//      may count on inside.
#pragma once

#include <algorithm>
#include <cstdint>

#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "common/aead.h"
#include "common/assert.h"
#include "common/ip_header.h"
#include "common/session_table.h"
#include "common/tunnel_header.h"
#include "common/wire.h"
#include "dataplane/burst.h"
#include "dataplane/context.h"
#include "dataplane/hold.h"
#include "dataplane/inner_packet.h"

namespace jvpn {
namespace seal {

inline AeadOp op_of(const TunnelPacket& out) {
  return {&out.record->traffic_key, out.inner.ip, out.inner.bytes};
}

inline void load_record(const WorkerContext& worker, TunnelPacket& out) {
  JVPN_DEBUG_ASSERT(out.to.value < worker.sessions.peers(), "a route names a peer that there is");
  out.record = worker.sessions.tx(out.to);
  prefetch_record(out.record, worker.sessions_are_far);
}

/// Lanes, and the keys that the cipher begins with.
inline void prefetch_lanes(const WorkerContext& worker, const TunnelBurst& burst) {
  JVPN_DEBUG_ASSERT(!burst.empty(), "the first packet says how far to prefetch");
  const TunnelPacket* keys = burst.begin() + worker.aead.prefetch_ahead(burst[0].inner.bytes);
  for (const TunnelPacket& out : burst) {
    if (out.record == nullptr) [[unlikely]]
      continue;
    rte_prefetch0(out.record->lanes + worker.number);
    if (&out < keys) prefetch(op_of(out));
  }
}

/// Larger than the path takes. IPv6 may count on its least MTU inside: such a packet leaves in
/// fragments (RFC 8200, §5).
[[gnu::noinline]] inline bool admit_oversize(WorkerContext& worker, TunnelPacket& out,
                                             Origin origin) {
  if (!worker.oversize.take(out.to, worker.now_tsc)) {
    drop(worker, out.inner.packet, Drop::kOversizeLimit);
    return false;
  }
  if (out.inner.bytes <= kIpv6LeastMtu && !is_ipv4(out.inner.ip)) {
    out.outer = Family::kNone;
    return true;
  }
  refuse_too_big(worker, out.inner, origin, out.record->inner_mtu);
  return false;
}

/// Another gateway may have the session by now.
[[gnu::noinline]] inline void refuse_unbound(WorkerContext& worker, const TunnelPacket& out,
                                             Origin origin) {
  if (origin == Origin::kInside && worker.sessions.forwards())
    return punt_inner(worker, out.inner, {PuntReason::kHandedOver, origin});
  drop(worker, out.inner.packet, Drop::kNoBinding);
}

/// Step 2. False: the packet was dropped or refused.
[[gnu::always_inline]] inline bool admit(WorkerContext& worker, TunnelPacket& out, Origin origin) {
  const TxRecord* record = out.record;
  if (record == nullptr) [[unlikely]] {
    refuse_unbound(worker, out, origin);
    return false;
  }
  if (worker.now_tsc > record->deadline_tsc.load(std::memory_order_relaxed)) [[unlikely]] {
    drop(worker, out.inner.packet, Drop::kSessionExpired);
    return false;
  }
  out.outer = record->outer;
  if (out.inner.bytes > record->inner_mtu) [[unlikely]]
    return admit_oversize(worker, out, origin);
  return true;
}

/// Place among the record's lanes of one of this worker's, the same for all packets of a flow.
[[gnu::noinline]] inline uint32_t lane_of_flow(const WorkerContext& worker, const TxRecord& record,
                                               const InnerPacket& inner) {
  JVPN_DEBUG_ASSERT(record.lanes_per_worker != 0, "each worker has a lane");
  return worker.number +
         worker.workers * (flow_hash(inner.ip, inner.bytes) % record.lanes_per_worker);
}

/// The transport header: template's, with the counter. Returns it, for the nonce.
inline __m128i write_transport(const uint8_t* from, uint64_t counter, uint8_t* to) {
  const __m128i header = _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)),
                                       _mm_set_epi64x(static_cast<int64_t>(counter), 0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), header);
  return header;
}

/// IPv4 outer headers, the first bytes of which are `link`; the frame, tag included, has `bytes`.
/// Returns the transport header.
inline __m128i write_ipv4(const TxRecord& record, uint64_t link, uint64_t counter, uint8_t* frame,
                          uint32_t bytes) {
  JVPN_DEBUG_ASSERT(record.template_bytes == kTunnelV4.bytes, "the room before the packet fits");
  __builtin_memcpy(frame, record.header, kTunnelV4.transport);
  __builtin_memcpy(frame, &link, sizeof link);
  const uint16_t total = __builtin_bswap16(static_cast<uint16_t>(bytes - kTunnelV4.ip));
  const auto checksum = static_cast<uint16_t>(~add_words(record.ipv4_checksum_base, total));
  __builtin_memcpy(frame + kTunnelV4.ip + 2, &total, sizeof total);
  __builtin_memcpy(frame + kTunnelV4.ip + 10, &checksum, sizeof checksum);
  store_be16(frame + kTunnelV4.udp + 4, bytes - kTunnelV4.udp);
  return write_transport(record.header + kTunnelV4.transport, counter, frame + kTunnelV4.transport);
}

[[gnu::noinline]] inline __m128i write_ipv6(const TxRecord& record, uint64_t link, uint64_t counter,
                                            uint8_t* frame, uint32_t bytes) {
  JVPN_DEBUG_ASSERT(record.template_bytes == kTunnelV6.bytes, "the room before the packet fits");
  __builtin_memcpy(frame, record.header, kTunnelV6.transport);
  __builtin_memcpy(frame, &link, sizeof link);
  store_be16(frame + kTunnelV6.ip + 4, bytes - kTunnelV6.udp);
  store_be16(frame + kTunnelV6.udp + 4, bytes - kTunnelV6.udp);
  return write_transport(record.header + kTunnelV6.transport, counter, frame + kTunnelV6.transport);
}

/// Steps 2 to 4 for one packet, and its nonce. False: it was dropped or refused.
[[gnu::always_inline]] inline bool number(WorkerContext& worker, TunnelPacket& out, Origin origin,
                                          NonceSlot& nonce) {
  if (!admit(worker, out, origin)) [[unlikely]]
    return false;
  const TxRecord& record = *out.record;
  rte_mbuf* packet = out.inner.packet;
  const uint32_t inner_bytes = out.inner.bytes;
  const uint32_t template_bytes = record.template_bytes;
  const uint32_t bytes = template_bytes + inner_bytes + static_cast<uint32_t>(kAeadTagBytes);
  auto* room = static_cast<uint8_t*>(packet->buf_addr);
  const int64_t start = out.inner.ip - room - template_bytes;
  if (start < 0 || start + bytes > packet->buf_len) [[unlikely]] {
    drop(worker, packet, Drop::kNoRoom);
    return false;
  }
  JVPN_DEBUG_ASSERT(record.next_hop != nullptr, "a published record names its next hop");
  const uint64_t link = record.next_hop->link.load(std::memory_order_relaxed);
  if (link == 0) [[unlikely]] {
    drop(worker, packet, Drop::kNextHopUnresolved);
    return false;
  }
  uint32_t place = worker.number;
  if (record.lanes_per_worker != 1) [[unlikely]]
    place = lane_of_flow(worker, record, out.inner);
  JVPN_DEBUG_ASSERT(place % worker.workers == worker.number, "a lane has one writer");
  JVPN_DEBUG_ASSERT(record.lanes != nullptr, "a published record has its lanes");
  TxLane& lane = record.lanes[place];
  const uint64_t sequence = lane.next_sequence.load(std::memory_order_relaxed);
  const uint64_t inner_total = lane.bytes.load(std::memory_order_relaxed) + inner_bytes;
  if (gcm_blocks(sequence + 1, inner_total) > lane.quota) [[unlikely]] {
    drop(worker, packet, Drop::kKeyExhausted);
    return false;
  }
  lane.next_sequence.store(sequence + 1, std::memory_order_relaxed);
  lane.bytes.store(inner_total, std::memory_order_relaxed);
  const LaneId id{static_cast<uint16_t>(record.first_lane.value + place)};
  const uint64_t counter = wire::make_counter(id, sequence);
  JVPN_DEBUG_ASSERT(worker.tx.has_port(record.port), "a binding is on a port that there is");
  out.out_port = record.port;
  const __m128i header = record.outer == Family::kIpv4
                             ? write_ipv4(record, link, counter, room + start, bytes)
                             : write_ipv6(record, link, counter, room + start, bytes);
  nonce.set(record.iv.with(header));
  packet->data_off = static_cast<uint16_t>(start);
  packet->data_len = static_cast<uint16_t>(bytes);
  packet->pkt_len = bytes;
  packet->ol_flags = 0;
  return true;
}

/// Nobody knows whose the sessions are that a store owns for us: their packets are dropped.
[[gnu::noinline]] inline void drop_owned(WorkerContext& worker, TunnelBurst& burst) {
  TunnelPacket* kept = burst.begin();
  for (TunnelPacket& out : burst) {
    if (out.record != nullptr && out.record->owned)
      drop(worker, out.inner.packet, Drop::kNotOwned);
    else
      keep(kept, out);
  }
  burst.truncate(kept);
}

/// Steps 2 to 4: what is left is a frame to be sealed.
inline void number_burst(WorkerContext& worker, TunnelBurst& burst, Origin origin,
                         NonceBurst& nonces) {
  if (is_silent(worker)) [[unlikely]]  // as late as can be: a paused node must fall silent
    drop_owned(worker, burst);
  TunnelPacket* kept = burst.begin();
  NonceSlot* nonce = &nonces[0];
  for (TunnelPacket& out : burst) {
    if (!number(worker, out, origin, *nonce)) [[unlikely]]
      continue;
    ++nonce;
    keep(kept, out);
  }
  burst.truncate(kept);
  nonces.set_count(burst.count());
}

/// Step 5.
[[gnu::noinline]] inline void encrypt(WorkerContext& worker, const TunnelBurst& burst,
                                      const NonceBurst& nonces) {
  if (burst.empty()) return;
  AeadRun<true> run(worker.aead);
  const size_t ahead = worker.aead.prefetch_ahead(burst[0].inner.bytes);
  const TunnelPacket* const end = burst.end();
  const TunnelPacket* next = burst.begin() + std::min(ahead, burst.count());
  const NonceSlot* nonce = &nonces[0];
  for (const TunnelPacket* out = burst.begin(); out != end; ++out, ++nonce) {
    if (next != end) prefetch(op_of(*next++));
    const AeadOp op = op_of(*out);
    run.work(op, *nonce, op.data + op.length);
  }
  run.finish();
  JVPN_DEBUG_ASSERT(next == end, "every key was fetched before its packet was sealed");
}

/// UDP over IPv6 needs its checksum (RFC 8200, §8.1): by the port where it can, else here, after
/// sealing. Over IPv4 it stays zero (RFC 768): the AEAD covers the payload.
inline void checksum_udp(rte_mbuf* packet, bool by_port) {
  auto* ip = rte_pktmbuf_mtod_offset(packet, rte_ipv6_hdr*, kTunnelV6.ip);
  auto* checksum = rte_pktmbuf_mtod_offset(packet, uint8_t*, kTunnelV6.udp + 6);
  uint16_t sum;
  if (by_port) {
    packet->l2_len = kTunnelV6.ip;
    packet->l3_len = kIpv6HeaderBytes;
    packet->ol_flags = RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_UDP_CKSUM;
    sum = rte_ipv6_phdr_cksum(ip, packet->ol_flags);
  } else {
    sum = rte_ipv6_udptcp_cksum(ip, ip + 1);
  }
  __builtin_memcpy(checksum, &sum, sizeof sum);
}

/// What leaves over IPv4 whole needs nothing more. False: control fragments it.
[[gnu::noinline]] inline bool finish(WorkerContext& worker, const TunnelPacket& out) {
  rte_mbuf* frame = out.inner.packet;
  if (out.outer == Family::kIpv6) {
    checksum_udp(frame, worker.ports[out.out_port].tx_udp_checksum);
    return true;
  }
  const Family outer = out.record->outer;
  if (outer == Family::kIpv6) checksum_udp(frame, false);
  const auto mtu = static_cast<uint16_t>(out.record->inner_mtu + outer_overhead(outer));
  punt_oversize(worker, frame, out.out_port, mtu);
  return false;
}

}  // namespace seal

/// Seals every packet to its peer and gives it to transmit. The first `loaded` have their records.
inline void seal_burst(WorkerContext& worker, TunnelBurst& burst, size_t loaded, Origin origin) {
  JVPN_DEBUG_ASSERT(loaded <= burst.count(), "records come after their packets");
  for (size_t i = loaded; i < burst.count(); ++i) seal::load_record(worker, burst[i]);
  seal::prefetch_lanes(worker, burst);
  if (worker.tracing != nullptr) [[unlikely]]
    worker.tracing->sealing(burst);
  lap(worker, Stage::kLookup);
  if (worker.hold != nullptr) [[unlikely]]
    hold::divert(worker, burst, origin);
  NonceBurst nonces;
  seal::number_burst(worker, burst, origin, nonces);
  lap(worker, Stage::kNumber);
  seal::encrypt(worker, burst, nonces);
  lap(worker, Stage::kSeal);
  if (worker.hold != nullptr) [[unlikely]]
    hold::keep_burst(worker, burst);
  for (const TunnelPacket& out : burst) {
    if (out.outer != Family::kIpv4 && !seal::finish(worker, out)) [[unlikely]]
      continue;
    worker.tx.add(out.out_port, out.inner.packet);
  }
  WorkerCounters::add(worker.counters.sealed, burst.count());
  lap(worker, Stage::kTx);
}

}  // namespace jvpn
