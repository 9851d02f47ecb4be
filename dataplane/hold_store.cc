#include "dataplane/hold_store.h"

#include "common/assert.h"
#include "common/secret.h"

namespace jvpn {

HoldStore::HoldStore(uint32_t packets, uint32_t peers, uint32_t workers, rte_mempool* pool,
                     WorkerCounters& counters)
    : entries_(packets), peers_(peers), pool_(pool), counters_(counters), workers_(workers) {
  JVPN_ASSERT(packets != 0 && workers != 0, "without packets there is no store");
}

HoldStore::~HoldStore() {
  while (used_ != 0) pop_oldest(Drop::kNoBinding);
}

// ---- Rings of peers.

void HoldStore::join(List list, PeerId id) {
  Links& links = peers_[id.value].links[list];
  if (links.next != kNone) return;
  uint32_t& cursor = cursor_[list];
  if (cursor == kNone) {
    links = {id.value, id.value};
    cursor = id.value;
    return;
  }
  Links& at = peers_[cursor].links[list];
  links = {cursor, at.before};
  peers_[at.before].links[list].next = id.value;
  at.before = id.value;
}

void HoldStore::leave(List list, PeerId id) {
  Links& links = peers_[id.value].links[list];
  if (links.next == kNone) return;
  peers_[links.before].links[list].next = links.next;
  peers_[links.next].links[list].before = links.before;
  if (cursor_[list] == id.value) cursor_[list] = links.next == id.value ? kNone : links.next;
  links = {};
}

PeerId HoldStore::turn(List list) {
  const uint32_t at = cursor_[list];
  if (at == kNone) return kNobody;
  cursor_[list] = peers_[at].links[list].next;
  return PeerId{at};
}

// ---- What comes.

bool HoldStore::append(const Entry& entry) {
  Peer& peer = peers_[entry.to.value];
  const uint32_t needed = space(entry);
  const uint32_t share = limits_.holds() ? limits_.bytes / workers_ : UINT32_MAX;
  if (needed > share) return false;
  // A share that was lowered may be exceeded by far.
  for (unsigned gone = 0; peer.bytes > share - needed; ++gone) {
    if (gone == kAtOnce) return false;
    let_go(peer.head, Drop::kHoldFull);
  }
  if (used_ == entries_.size()) pop_oldest(Drop::kHoldFull);
  uint32_t place = oldest_ + used_;
  if (place >= entries_.size()) place -= static_cast<uint32_t>(entries_.size());
  ++used_;
  Entry& own = entries_[place];
  own = entry;
  own.next = kNone;
  own.linked = true;
  ++held_;
  held_bytes_ += needed;
  peer.bytes += needed;
  if (peer.head == kNone) {
    peer.head = place;
    join(kHeld, entry.to);
  } else {
    entries_[peer.tail].next = place;
  }
  peer.tail = place;
  if (entry.state == State::kWaiting && peer.first_waiting == kNone) {
    peer.first_waiting = place;
    join(kWaits, entry.to);
  }
  return true;
}

void HoldStore::settle(PeerId id, const TxRecord& record, bool carried) {
  Peer& peer = peers_[id.value];
  peer.serial = record.hold_serial;
  peer.session = record.hold_session;
  if (carried && peer.first_waiting == kNone)
    peer.carried_to = peer.tail;
  else
    set_first_waiting(id, peer.head);
}

void HoldStore::set_first_waiting(PeerId id, uint32_t place) {
  while (place != kNone && entries_[place].state == State::kGone) place = entries_[place].next;
  peers_[id.value].first_waiting = place;
  place == kNone ? leave(kWaits, id) : join(kWaits, id);
}

// ---- What goes.

void HoldStore::let_go(uint32_t place, Drop why) {
  Entry& entry = entries_[place];
  JVPN_DEBUG_ASSERT(entry.state != State::kGone, "a packet goes once");
  if (entry.state == State::kWaiting)
    WorkerCounters::add(counters_.drops[static_cast<size_t>(why)], 1);
  else if (why == Drop::kHoldFull)
    WorkerCounters::add(counters_.hold_crowded, 1);
  if (!entry.sealed) wipe(entry.inner(), entry.bytes);
  rte_pktmbuf_free(entry.packet);
  end(place);
}

void HoldStore::forget(uint32_t place) {
  end(place);
}

void HoldStore::end(uint32_t place) {
  Entry& entry = entries_[place];
  Peer& peer = peers_[entry.to.value];
  entry.packet = nullptr;
  entry.state = State::kGone;
  --held_;
  held_bytes_ -= space(entry);
  peer.bytes -= space(entry);
  if (peer.carried_to == place) peer.carried_to = kNone;
  if (peer.first_waiting == place) set_first_waiting(entry.to, entry.next);
  trim(peer, entry.to);
}

/// The list begins with a packet that is held, or is empty.
void HoldStore::trim(Peer& peer, PeerId id) {
  while (peer.head != kNone && entries_[peer.head].state == State::kGone) {
    Entry& gone = entries_[peer.head];
    gone.linked = false;
    peer.head = gone.next;
  }
  if (peer.head != kNone) return;
  peer.tail = kNone;
  leave(kHeld, id);
}

/// Frees the oldest place. Who is the oldest of all is the oldest of its peer.
void HoldStore::pop_oldest(Drop why) {
  JVPN_DEBUG_ASSERT(used_ != 0, "there is an oldest packet");
  const Entry& oldest = entries_[oldest_];
  if (oldest.state != State::kGone) let_go(oldest_, why);
  JVPN_DEBUG_ASSERT(!oldest.linked, "it was the first of its list");
  oldest_ = after(oldest_);
  --used_;
}

void HoldStore::let_all_go(PeerId id, Drop why) {
  const Peer& peer = peers_[id.value];
  for (unsigned gone = 0; gone < kAtOnce && peer.head != kNone; ++gone) let_go(peer.head, why);
}

void HoldStore::expire(uint64_t now_tsc) {
  for (unsigned gone = 0; gone < kAtOnce && used_ != 0; ++gone) {
    const Entry& oldest = entries_[oldest_];
    if (oldest.state != State::kGone && !too_old(oldest, now_tsc)) return;
    pop_oldest(Drop::kHoldLate);
  }
}

void HoldStore::count() {
  counters_.hold_packets.store(held_, std::memory_order_relaxed);
  counters_.hold_bytes.store(held_bytes_, std::memory_order_relaxed);
}

}  // namespace jvpn
