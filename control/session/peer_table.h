// Every peer of one engine, by number, by public key and by receiver index; and the sessions that
// ended lately. Control thread only.
#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/assert.h"
#include "common/noise.h"
#include "common/result.h"
#include "control/session/config.h"
#include "control/session/index_allocator.h"
#include "control/session/peer_state.h"

namespace jvpn::session {

/// An ended session that is still remembered.
struct Tombstone {
  SessionId id;
  PeerId peer;
  Reason reason{};
  Detail detail = Detail::kNone;
  Millis at;
  std::string peer_name{};  ///< as it was then: the peer may be gone, and its id another's
  Millis keyed{};           ///< its latest handshake or rekey
};

/// A session and the generation that one of its indices names.
struct Keyed {
  Session* session = nullptr;
  KeyGeneration* generation = nullptr;
  SpareBinding* spare = nullptr;  ///< none: the generation's active binding
};

class PeerTable : public StaticSecrets {
 public:
  /// With room for `room` peers in all: their keys, and the ids of their sessions.
  PeerTable(size_t peers, uint32_t slot_bits, size_t room = 0)
      : peers_(peers), indices_(slot_bits) {
    by_key_.reserve(std::max(peers, room));
    living_.reserve(2 * std::max(peers, room));  // a session, and one that may replace it
  }

  /// Numbers the configured peers; an Error when two have one key, or one has `own`.
  Result<void> add_keys(const std::vector<EnginePeer>& peers, const PublicKey& own);
  /// A peer with a key that no other has, under an id that none has.
  void add(PeerId id, const PublicKey& key);
  /// Forgets a peer that has no session, handshake or index any more.
  void remove(PeerId id, const PublicKey& key);

  /// Ids are below it; those of removed peers have none.
  size_t size() const { return peers_.size(); }
  bool knows(PeerId id) const { return id.value < peers_.size() && peers_[id.value].configured; }
  PeerState& peer(PeerId id) {
    JVPN_ASSERT(id.value < peers_.size(), "no such peer");
    return peers_[id.value];
  }
  const PeerState& peer(PeerId id) const {
    JVPN_ASSERT(id.value < peers_.size(), "no such peer");
    return peers_[id.value];
  }
  PeerState& peer_of(const Session& session) { return peer(session.peer); }
  const PeerState& peer_of(const Session& session) const { return peer(session.peer); }
  std::optional<PeerId> peer_with(const PublicKey& key) const;

  IndexAllocator& indices() { return indices_; }
  /// What an index of ours names; nothing when it isn't alive, or is still a handshake's.
  Keyed find(ReceiverIndex index);
  /// Indices that a peer has, those that drain among them.
  static size_t indices_alive(const PeerState& peer);

  void remember(const Tombstone& ended);
  bool remembers(const SessionId& id) const;
  /// A session of whichever peer has that id from now on, or no more.
  void begin(const SessionId& id, bool initiates) {
    living_.insert(id);
    if (initiates) dialled_.insert(id);
  }
  void end(const SessionId& id) {
    living_.erase(id);
    dialled_.erase(id);
  }
  /// Sessions that others dialled, those that are about to begin among them.
  size_t answered() const { return living_.size() - dialled_.size(); }
  /// Has any peer's session that id, or had one that ended lately?
  bool used(const SessionId& id) const { return living_.contains(id) || remembers(id); }
  const std::deque<Tombstone>& tombstones() const { return tombstones_; }

  std::optional<Secret<kDhBytes>>* place_of(const PublicKey& key) override;

 private:
  struct HashKey {
    size_t operator()(const PublicKey& key) const {
      uint64_t word;  // keys are configured, not chosen by whoever sends packets
      __builtin_memcpy(&word, key.data(), sizeof word);
      return word;
    }
  };

  std::deque<PeerState> peers_;  // grows at its end without moving a peer
  std::unordered_map<PublicKey, PeerId, HashKey> by_key_;
  IndexAllocator indices_;
  std::unordered_set<SessionId> living_;
  std::unordered_set<SessionId> dialled_;  ///< of those, by us
  std::deque<Tombstone> tombstones_;
};

}  // namespace jvpn::session
