#include "control/session/peer_table.h"

#include <algorithm>

#include "common/assert.h"
#include "common/limits.h"

namespace jvpn::session {
namespace {

size_t indices_of(const KeyGeneration* generation) {
  return generation == nullptr ? 0 : 1 + generation->spares.installed();
}

}  // namespace

Result<void> PeerTable::add_keys(const std::vector<EnginePeer>& peers, const PublicKey& own) {
  JVPN_ASSERT(peers.size() == peers_.size(), "the table was made for another number of peers");
  for (uint32_t i = 0; i < peers.size(); ++i) {
    const EnginePeer& peer = peers[i];
    if (peer.public_key == own) {
      return Error{"peer " + peer.name + ": expected another's public key, got our own"};
    }
    const auto [other, added] = by_key_.emplace(peer.public_key, PeerId{i});
    if (added) {
      peers_[i].configured = true;
      continue;
    }
    return Error{"peer " + peer.name + ": expected a public key of its own, got that of peer " +
                 peers[other->second.value].name};
  }
  return {};
}

void PeerTable::add(PeerId id, const PublicKey& key) {
  JVPN_ASSERT(id.value < kMaxPeers && !knows(id), "a new peer gets an id that is free");
  while (peers_.size() <= id.value) peers_.emplace_back();
  peers_[id.value].configured = true;
  const bool added = by_key_.emplace(key, id).second;
  JVPN_ASSERT(added, "a peer key is one peer's");
}

void PeerTable::remove(PeerId id, const PublicKey& key) {
  const PeerState& gone = peer(id);
  JVPN_ASSERT(indices_alive(gone) == 0 && !gone.session && !gone.pending && !gone.dial,
              "whatever a peer has ends before it is forgotten");
  const auto at = by_key_.find(key);
  JVPN_ASSERT(at != by_key_.end() && at->second == id, "a configured peer is found by its key");
  by_key_.erase(at);
  peers_[id.value] = PeerState{};
}

std::optional<PeerId> PeerTable::peer_with(const PublicKey& key) const {
  const auto at = by_key_.find(key);
  if (at == by_key_.end()) return std::nullopt;
  return at->second;
}

std::optional<Secret<kDhBytes>>* PeerTable::place_of(const PublicKey& key) {
  const auto id = peer_with(key);
  return id ? &peer(*id).static_secret : nullptr;
}

Keyed PeerTable::find(ReceiverIndex index) {
  const std::optional<PeerId> owner = indices_.owner(index);
  if (!owner) return {};
  PeerState& peer = peers_[owner->value];
  for (Session* session : {peer.session.get(), peer.pending.get()}) {
    if (session == nullptr) continue;
    for (KeyGeneration* generation :
         {session->current.get(), session->previous.get(), session->next.get()}) {
      if (generation == nullptr) continue;
      if (generation->local == index) return {session, generation};
      if (SpareBinding* spare = generation->spares.at_index(index)) {
        return {session, generation, spare};
      }
    }
  }
  return {};
}

size_t PeerTable::indices_alive(const PeerState& peer) {
  size_t alive = peer.draining.size();
  if (peer.dial) {
    for (const Attempt& each : peer.dial->attempts) alive += each.local != ReceiverIndex{} ? 1 : 0;
    alive += peer.dial->inquiry ? 1 : 0;
  }
  for (const Session* session : {peer.session.get(), peer.pending.get()}) {
    if (session == nullptr) continue;
    alive += indices_of(session->current.get()) + indices_of(session->previous.get()) +
             indices_of(session->next.get());
    if (session->initiates() && session->initiator->rekey.attempt) ++alive;
  }
  return alive;
}

void PeerTable::remember(const Tombstone& ended) {
  tombstones_.push_back(ended);
  if (tombstones_.size() > kTombstones) tombstones_.pop_front();
}

bool PeerTable::remembers(const SessionId& id) const {
  return std::ranges::find(tombstones_, id, &Tombstone::id) != tombstones_.end();
}

}  // namespace jvpn::session
