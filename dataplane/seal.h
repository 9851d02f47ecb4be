// Stage 4, outward: seal. Worker core.
//   1. Peer → TxRecord: one record has binding, key, peer's index, template and MTU, so they can't
//   tear.
//   2. Admit: a binding, ownership not expired, within the tunnel's MTU, room for the headers.
//   3. Number: one of this worker's lanes by the packet's flow; its next sequence, below the quota.
//      The lane's counters are read and written once per run of one lane's packets.
//   4. Write the outer headers: template by vector stores, then lengths, checksum and counter.
//   5. Seal the burst in place, and give it to the port's transmit buffer.
#pragma once

#include <cstdint>

#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "common/aead.h"
#include "common/session_table.h"
#include "common/tunnel_header.h"
#include "common/wire.h"
#include "dataplane/burst.h"
#include "dataplane/context.h"
#include "dataplane/inner_packet.h"

namespace jvpn {
namespace seal {

inline void load_records(const WorkerContext& worker, SealBurst& burst) {
  for (size_t i = 0; i < burst.count; ++i) {
    burst.record[i] = worker.sessions.tx(burst.peer[i]);
    rte_prefetch0(burst.record[i]);
    rte_prefetch0(reinterpret_cast<const uint8_t*>(burst.record[i]) + kCacheLine);
  }
}

/// What stands behind the records' first lines.
inline void prefetch_lanes(const WorkerContext& worker, const SealBurst& burst) {
  for (size_t i = 0; i < burst.count; ++i) {
    const TxRecord* record = burst.record[i];
    if (record == nullptr) [[unlikely]]
      continue;
    rte_prefetch0(record->lanes + worker.number);
    if (record->outer == Family::kIpv6) rte_prefetch0(&record->header[kCacheLine]);
  }
}

inline bool has_room(const rte_mbuf* packet, const TxRecord& record) {
  return packet->nb_segs == 1 && packet->data_off >= record.template_bytes &&
         rte_pktmbuf_tailroom(packet) >= kAeadTagBytes;
}

/// Step 2 for packet `i`. False: it was dropped or refused.
inline bool admit(WorkerContext& worker, const SealBurst& burst, size_t i, Origin origin,
                  uint64_t now_tsc) {
  rte_mbuf* packet = burst.packet[i];
  const TxRecord* record = burst.record[i];
  const InnerBurst& inner = burst.inner;
  const size_t place = burst.place[i];
  if (record == nullptr) [[unlikely]] {
    drop(worker, packet, Drop::kNoBinding);
    return false;
  }
  if (now_tsc > record->ownership_deadline_tsc) [[unlikely]] {
    drop(worker, packet, Drop::kOwnershipExpired);
    return false;
  }
  if (inner.bytes[place] > record->inner_mtu) [[unlikely]] {
    refuse(worker,
           {PuntReason::kTooBig, inner.port[place], inner.peer[place], origin, record->inner_mtu},
           packet, Drop::kTooBig);
    return false;
  }
  if (!has_room(packet, *record)) [[unlikely]] {
    drop(worker, packet, Drop::kNoRoom);
    return false;
  }
  return true;
}

/// Place of a lane among the record's: this worker's own, the same for all packets of a flow.
inline uint32_t lane_place(const WorkerContext& worker, const TxRecord& record, const uint8_t* ip,
                           uint32_t bytes) {
  if (record.lanes_per_worker == 1) [[likely]]
    return worker.number;
  return worker.number + worker.workers * (flow_hash(ip, bytes) % record.lanes_per_worker);
}

/// The sequence numbers of one lane, taken in a run.
struct LaneRun {
  TxLane* lane = nullptr;
  uint64_t sequence = 0;
  uint64_t bytes = 0;

  void flush() const {
    if (lane == nullptr) return;
    lane->next_sequence.store(sequence, std::memory_order_relaxed);
    WorkerCounters::add(lane->bytes, bytes);
  }
  void begin(TxLane* next) {
    flush();
    *this = {next, next->next_sequence.load(std::memory_order_relaxed), 0};
  }
};

/// IPv4 outer headers in front of an inner packet of `bytes`.
inline void write_ipv4(const TxRecord& record, uint64_t counter, uint8_t* frame, uint32_t bytes) {
  __builtin_memcpy(frame, record.header, kTunnelV4.bytes);
  const uint32_t udp_bytes = 8 + bytes + static_cast<uint32_t>(wire::kTransportOverhead);
  const uint16_t total = __builtin_bswap16(static_cast<uint16_t>(kIpv4Bytes + udp_bytes));
  const auto checksum = static_cast<uint16_t>(~fold_words(record.ipv4_checksum_base + total));
  __builtin_memcpy(frame + kTunnelV4.ip + 2, &total, sizeof total);
  __builtin_memcpy(frame + kTunnelV4.ip + 10, &checksum, sizeof checksum);
  store_be16(frame + kTunnelV4.udp + 4, udp_bytes);
  __builtin_memcpy(frame + kTunnelV4.transport + 8, &counter, sizeof counter);
}

inline void write_ipv6(const TxRecord& record, uint64_t counter, uint8_t* frame, uint32_t bytes) {
  __builtin_memcpy(frame, record.header, kTunnelV6.bytes);
  const uint32_t udp_bytes = 8 + bytes + static_cast<uint32_t>(wire::kTransportOverhead);
  store_be16(frame + kTunnelV6.ip + 4, udp_bytes);
  store_be16(frame + kTunnelV6.udp + 4, udp_bytes);
  __builtin_memcpy(frame + kTunnelV6.transport + 8, &counter, sizeof counter);
}

/// Step 4: the packet becomes the whole frame.
inline void wrap(rte_mbuf* packet, const TxRecord& record, uint8_t* ip, uint32_t bytes,
                 uint64_t counter) {
  uint8_t* frame = ip - record.template_bytes;
  if (record.outer == Family::kIpv4) [[likely]]
    write_ipv4(record, counter, frame, bytes);
  else
    write_ipv6(record, counter, frame, bytes);
  set_data(packet, frame, record.template_bytes + bytes + static_cast<uint32_t>(kAeadTagBytes));
  packet->ol_flags = 0;
}

/// Steps 2 to 4: what is left is a frame to be sealed, by `ops` of its place.
inline void number(WorkerContext& worker, SealBurst& burst, Origin origin, AeadOp* ops) {
  const uint64_t now_tsc = rte_rdtsc();  // as late as can be: a paused node must fall silent
  LaneRun run;
  size_t kept = 0;
  for (size_t i = 0; i < burst.count; ++i) {
    if (!admit(worker, burst, i, origin, now_tsc)) continue;
    const TxRecord& record = *burst.record[i];
    uint8_t* ip = burst.inner.ip[burst.place[i]];
    const uint32_t bytes = burst.inner.bytes[burst.place[i]];
    const uint32_t place = lane_place(worker, record, ip, bytes);
    TxLane* lane = record.lanes + place;
    if (lane != run.lane) run.begin(lane);
    if (run.sequence >= lane->quota) [[unlikely]] {
      drop(worker, burst.packet[i], Drop::kKeyExhausted);
      continue;
    }
    const LaneId id{static_cast<uint16_t>(record.first_lane.value + place)};
    const uint64_t counter = wire::make_counter(id, run.sequence++);
    run.bytes += bytes;
    wrap(burst.packet[i], record, ip, bytes, counter);
    ops[kept].key = &record.traffic_key;
    ops[kept].data = ip;
    ops[kept].length = bytes;
    ops[kept].nonce = transport_nonce(record.peer_index, counter);
    burst.packet[kept] = burst.packet[i];
    burst.record[kept] = &record;
    ++kept;
  }
  run.flush();
  burst.count = kept;
}

/// UDP over IPv6 needs its checksum (RFC 8200, §8.1): by the port where it can, else here, after
/// sealing. Over IPv4 it stays zero (RFC 768): the AEAD covers the payload.
inline void checksum_udp(const WorkerContext& worker, rte_mbuf* packet, uint16_t port) {
  auto* ip = rte_pktmbuf_mtod_offset(packet, rte_ipv6_hdr*, kTunnelV6.ip);
  auto* checksum = rte_pktmbuf_mtod_offset(packet, uint8_t*, kTunnelV6.udp + 6);
  uint16_t sum;
  if (worker.ports[port].tx_udp_checksum) {
    packet->l2_len = kTunnelV6.ip;
    packet->l3_len = kIpv6Bytes;
    packet->ol_flags = RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_UDP_CKSUM;
    sum = rte_ipv6_phdr_cksum(ip, packet->ol_flags);
  } else {
    sum = rte_ipv6_udptcp_cksum(ip, ip + 1);
  }
  __builtin_memcpy(checksum, &sum, sizeof sum);
}

}  // namespace seal

/// Seals every packet to its peer and gives it to transmit.
inline void seal_burst(WorkerContext& worker, SealBurst& burst, Origin origin) {
  seal::load_records(worker, burst);
  seal::prefetch_lanes(worker, burst);
  AeadOp ops[kBurst];
  seal::number(worker, burst, origin, ops);
  lap(worker, Stage::kNumber);
  worker.aead.seal({ops, burst.count});
  lap(worker, Stage::kSeal);
  for (size_t i = 0; i < burst.count; ++i) {
    const TxRecord& record = *burst.record[i];
    if (record.outer == Family::kIpv6) seal::checksum_udp(worker, burst.packet[i], record.port);
    worker.tx.add(record.port, burst.packet[i]);
  }
  WorkerCounters::add(worker.counters.sealed, burst.count);
  lap(worker, Stage::kTx);
}

}  // namespace jvpn
