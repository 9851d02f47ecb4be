// What waits in a worker's HoldStore is sealed and sent, in its order. Worker core, once a poll:
// one peer that something is held of, and some that something waits for. Those that can't be sent
// to are stepped over, or the others would wait for their turns.
//   1. What is too old is let go; all of a peer whose session has ended, and what was for whom its
//      id stood before.
//   2. A record with another serial than what is held: it is settled from here on. After a planned
//      jump nothing has to be judged, for the old path carried it all.
//   3. A packet that was sent is judged by the record's terms: the peer has it, nobody knows, or it
//      is missing. That one is opened in a buffer of its own, for a port may still have the frame.
//   4. Number and seal, as any packet; the frame takes the place of what was held.
//   5. What the port doesn't take waits on, sealed as it is.
#pragma once

#include <array>
#include <cstring>
#include <span>

#include <rte_mbuf.h>

#include "common/aead.h"
#include "common/hold_terms.h"
#include "common/secret.h"
#include "common/wire.h"
#include "dataplane/hold.h"
#include "dataplane/hold_store.h"
#include "dataplane/seal.h"

namespace jvpn::hold {

inline constexpr unsigned kPeersAtOnce = 32;  ///< whose turn it is in one poll

/// What one poll has left for packets that wait.
struct Budget {
  unsigned bursts = 4;   ///< sent, or sealed for it
  unsigned looks = 512;  ///< packets judged
};

/// One burst on its way out, and where its packets are held.
struct Resend {
  TunnelBurst burst;
  NonceBurst nonces;
  std::array<uint32_t, kMaxBurst> places;
  uint32_t rest = HoldStore::kNone;  ///< the first that is not in it
};

/// Nothing would be lost on the way out: neither for want of an address nor of the right to send.
inline bool may_send(const WorkerContext& worker, const TxRecord& record) {
  return worker.now_tsc <= record.deadline_tsc.load(std::memory_order_relaxed) &&
         record.next_hop->link.load(std::memory_order_relaxed) != 0 &&
         !(record.owned && is_silent(worker));
}

inline Receipt receipt_of(const HoldTerms* terms, const HoldStore::Entry& entry) {
  if (terms == nullptr) return Receipt::kUnknown;
  return terms->receipt(entry.index, wire::lane_of(entry.counter),
                        wire::sequence_of(entry.counter));
}

/// Step 3. False: it was let go.
inline bool is_due(HoldStore& store, const HoldTerms* terms, uint32_t place, uint64_t now_tsc) {
  HoldStore::Entry& entry = store.entry(place);
  if (entry.state == HoldStore::State::kSent && store.oldest_was_carried(entry.to)) {
    store.let_go(place, Drop::kHoldLate);
    return false;
  }
  const bool missing =
      entry.state == HoldStore::State::kWaiting || receipt_of(terms, entry) == Receipt::kMissing;
  if (missing && !store.too_old(entry, now_tsc)) return true;
  if (missing) {
    entry.state = HoldStore::State::kWaiting;
  } else if (receipt_of(terms, entry) == Receipt::kUnknown &&
             (terms == nullptr || !terms->carried)) {
    WorkerCounters::add(store.counters().hold_unsettled, 1);
  }
  store.let_go(place, Drop::kHoldLate);
  return false;
}

/// Opens a sealed packet in `copy`, at kInnerAt. False: it doesn't fit, or isn't that key's.
inline bool open_copy(AeadRun<false>& run, const HoldStore::Entry& entry, const AeadKey& key,
                      rte_mbuf* copy) {
  constexpr uint32_t kHeader = sizeof(wire::TransportHeader);
  uint8_t tag[kAeadTagBytes];
  if (kInnerAt + entry.bytes + sizeof tag > copy->buf_len) return false;
  uint8_t* const ip = static_cast<uint8_t*>(copy->buf_addr) + kInnerAt;
  std::memcpy(ip - kHeader, entry.inner() - kHeader, kHeader + entry.bytes + sizeof tag);
  NonceSlot nonce;
  nonce.set(HeaderIv(key).with_header_of(ip));
  const AeadOp op{&key, ip, entry.bytes};
  prefetch(op);
  run.work(op, nonce, tag);
  run.finish();
  wipe(&nonce, sizeof nonce);
  if (tags_equal(tag, ip + entry.bytes)) return true;
  wipe(ip, entry.bytes);
  return false;
}

/// What was sealed and never left under the record's own index leaves as it is.
inline bool leaves_sealed(const HoldStore::Entry& entry, const TxRecord& record) {
  return entry.state == HoldStore::State::kWaiting && entry.sealed &&
         entry.index == record.peer_index && entry.session == record.hold_session;
}

/// Step 5. Returns how many left.
inline size_t send_frames(WorkerContext& worker, PeerId peer, uint16_t port,
                          std::span<rte_mbuf*> frames, std::span<const uint32_t> places,
                          uint32_t rest) {
  HoldStore& store = *worker.hold;
  for (rte_mbuf* frame : frames) rte_mbuf_refcnt_update(frame, 1);
  const size_t taken = worker.tx.offer(port, frames);
  for (size_t i = 0; i < frames.size(); ++i) {
    const bool sent = i < taken;
    store.entry(places[i]).state = sent ? HoldStore::State::kSent : HoldStore::State::kWaiting;
    if (!sent) rte_mbuf_refcnt_update(frames[i], -1);
  }
  store.set_first_waiting(peer, taken < frames.size() ? places[taken] : rest);
  return taken;
}

inline size_t send_sealed(WorkerContext& worker, PeerId peer, const TxRecord& record) {
  HoldStore& store = *worker.hold;
  std::array<rte_mbuf*, kMaxBurst> frames;
  std::array<uint32_t, kMaxBurst> places;
  size_t count = 0;
  uint32_t place = store.first_waiting(peer);
  while (place != HoldStore::kNone && count < kMaxBurst) {
    const HoldStore::Entry& entry = store.entry(place);
    if (entry.state != HoldStore::State::kGone) {
      if (!leaves_sealed(entry, record)) break;
      frames[count] = entry.packet;
      places[count++] = place;
    }
    place = entry.next;
  }
  return send_frames(worker, peer, record.port, {frames.data(), count}, {places.data(), count},
                     place);
}

/// Steps 3 and 4 for one packet up to its number. False: it is not in the burst, and let go unless
/// `wait` says that there is no memory for it now.
inline bool take_waiting(WorkerContext& worker, AeadRun<false>& run, const TxRecord& record,
                         uint32_t place, Resend& resend, bool& wait) {
  HoldStore& store = *worker.hold;
  HoldStore::Entry& entry = store.entry(place);
  if (entry.session != record.hold_session) {  // another peer had the id
    store.let_go(place, Drop::kNoBinding);
    return false;
  }
  const HoldTerms* terms = record.hold_terms.load(std::memory_order_acquire);
  if (!is_due(store, terms, place, worker.now_tsc)) return false;
  rte_mbuf* packet = entry.packet;
  uint8_t* ip = entry.inner();
  if (entry.sealed) {
    packet = rte_pktmbuf_alloc(store.pool());
    wait = packet == nullptr;
    if (wait) return false;
    const AeadKey* key = terms == nullptr ? nullptr : terms->key_of(entry.index);
    if (key == nullptr || !open_copy(run, entry, *key, packet)) {
      rte_pktmbuf_free(packet);
      WorkerCounters::add(store.counters().hold_unsettled, 1);
      store.let_go(place, Drop::kHoldLate);
      return false;
    }
    ip = static_cast<uint8_t*>(packet->buf_addr) + kInnerAt;
  }
  const size_t number = resend.burst.count();
  TunnelPacket& out = resend.burst.next();
  out.inner = {packet, ip, entry.bytes, entry.from, entry.port, is_ipv4(ip)};
  out.to = entry.to;
  out.record = &record;
  if (!seal::number(worker, out, entry.origin, resend.nonces[number])) {
    resend.burst.truncate(number);  // whoever dropped or took it has its mbuf
    if (entry.sealed) rte_pktmbuf_free(entry.packet);
    store.forget(place);
    return false;
  }
  resend.places[number] = place;
  return true;
}

/// Step 4, once the burst is sealed: its frames are what is held.
inline size_t finish_resend(WorkerContext& worker, PeerId peer, const TxRecord& record,
                            const Resend& resend) {
  HoldStore& store = *worker.hold;
  std::array<rte_mbuf*, kMaxBurst> frames;
  std::array<uint32_t, kMaxBurst> places;
  size_t count = 0;
  for (size_t i = 0; i < resend.burst.count(); ++i) {
    const TunnelPacket& out = resend.burst[i];
    const uint32_t place = resend.places[i];
    HoldStore::Entry& entry = store.entry(place);
    rte_mbuf* frame = out.inner.packet;
    if (entry.sealed) rte_pktmbuf_free(entry.packet);
    if (entry.state == HoldStore::State::kSent)
      WorkerCounters::add(store.counters().hold_resent, 1);
    entry.packet = frame;
    entry.sealed = true;
    entry.index = record.peer_index;
    entry.offset = static_cast<uint16_t>(frame->data_off + record.template_bytes);
    entry.counter = counter_of(record, entry.inner() - sizeof(wire::TransportHeader));
    if (out.outer != Family::kIpv4 && !seal::finish(worker, out)) {
      store.forget(place);  // control has it
      continue;
    }
    frames[count] = frame;
    places[count++] = place;
  }
  return send_frames(worker, peer, record.port, {frames.data(), count}, {places.data(), count},
                     resend.rest);
}

/// Steps 3 to 5 for one peer, a burst at most. Returns how many packets left.
inline size_t resend(WorkerContext& worker, PeerId peer, const TxRecord& record, Budget& budget) {
  HoldStore& store = *worker.hold;
  if (!may_send(worker, record)) return 0;
  if (leaves_sealed(store.entry(store.first_waiting(peer)), record)) {
    const size_t sent = send_sealed(worker, peer, record);
    if (sent != 0) --budget.bursts;
    return sent;
  }
  Resend resend;
  AeadRun<false> run(worker.aead);
  uint32_t place = store.first_waiting(peer);
  bool wait = false;
  for (; place != HoldStore::kNone && budget.looks != 0; --budget.looks) {
    if (resend.burst.count() == kMaxBurst) break;
    const uint32_t next = store.entry(place).next;
    if (store.entry(place).state != HoldStore::State::kGone)
      take_waiting(worker, run, record, place, resend, wait);
    if (wait) break;
    place = next;
  }
  resend.rest = place;
  resend.nonces.set_count(resend.burst.count());
  if (!resend.burst.empty()) {
    --budget.bursts;
    seal::encrypt(worker, resend.burst, resend.nonces);
    WorkerCounters::add(worker.counters.sealed, resend.burst.count());
  }
  return finish_resend(worker, peer, record, resend);
}

/// Steps 1 and 2 for a peer that something is held of.
inline void look_at(WorkerContext& worker, PeerId peer) {
  HoldStore& store = *worker.hold;
  const TxRecord* record = worker.sessions.tx(peer);
  if (record == nullptr) {
    if (worker.sessions.waits(peer) == 0) store.let_all_go(peer, Drop::kNoBinding);
  } else if (record->hold_serial != store.serial(peer)) {
    settle(store, peer, *record);
  }
}

/// Steps 1 to 5 for peers that something waits for, in turn. Returns how many packets left.
inline size_t send_waiting(WorkerContext& worker) {
  HoldStore& store = *worker.hold;
  Budget budget;
  PeerId stuck = HoldStore::kNobody;  // when it comes up again, all have been tried
  size_t sent = 0;
  for (unsigned peers = 0; peers < kPeersAtOnce; ++peers) {
    if (budget.bursts == 0 || budget.looks == 0) break;
    const PeerId peer = store.next_waiting();
    if (peer == HoldStore::kNobody || peer == stuck) break;
    look_at(worker, peer);
    const TxRecord* record = worker.sessions.tx(peer);
    size_t left = 0;
    if (record != nullptr && store.queues(peer) && record->hold_serial == store.serial(peer))
      left = resend(worker, peer, *record, budget);
    sent += left;
    if (left == 0 && stuck == HoldStore::kNobody) stuck = peer;
  }
  return sent;
}

/// Once a poll. Returns how many packets left.
[[gnu::noinline]] inline size_t serve(WorkerContext& worker) {
  HoldStore& store = *worker.hold;
  store.set_limits(worker.sessions.hold_limits());
  store.expire(worker.now_tsc);
  if (const PeerId peer = store.next_held(); peer != HoldStore::kNobody) look_at(worker, peer);
  const size_t sent = send_waiting(worker);
  store.count();
  return sent;
}

}  // namespace jvpn::hold
