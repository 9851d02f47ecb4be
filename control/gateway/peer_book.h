// The peers of a running gateway by PeerId: those of the profile it started with, and those that
// reloads have brought since. Control thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/address_use.h"
#include "common/profile.h"
#include "common/types.h"
#include "control/admin/peer_diff.h"
#include "control/publish/reclaimer.h"
#include "control/session/config.h"

namespace jvpn::gateway {

/// What the engine needs to know of a peer.
session::EnginePeer engine_peer(const PeerProfile& peer,
                                const std::optional<PresharedKey>& preshared);

class PeerBook {
 public:
  /// The peers of `config` are those of `profile`, by PeerId. At most profile.limits.sessions ids
  /// are in use at once. `reclaimer` outlives it.
  PeerBook(const GatewayProfile& profile, const session::EngineConfig& config,
           publish::Reclaimer& reclaimer);

  /// Ids are below it; nobody has those of removed peers.
  size_t size() const { return peers_.size(); }
  size_t count() const { return count_; }
  uint32_t capacity() const { return capacity_; }
  /// nullptr: nobody has this id.
  const PeerProfile* find(PeerId id) const;
  /// Empty when nobody has this id.
  std::string name(PeerId id) const;
  /// Whoever was given the name last.
  std::optional<PeerId> named(const std::string& name) const;
  /// Who has the public key.
  std::optional<PeerId> keyed(const PublicKey& key) const;
  /// The prefixes of all peers, by PeerId; those of disabled ones, too.
  const AddressUse& addresses() const { return addresses_; }
  std::span<const std::optional<admin::ConfiguredPeer>> all() const { return peers_; }

  /// How many peers can be added now: ids of removed peers count once they are released.
  size_t room() const { return capacity_ - count_ - removed_.size(); }
  /// An id is free at once: add() won't wait for a grace period.
  bool has_free_id() const { return peers_.size() < capacity_ || !free_->empty(); }
  /// Under an id that was free: one that nobody ever had, or that no worker can hold any more.
  /// nullopt: there is no room.
  std::optional<PeerId> add(admin::ConfiguredPeer peer);
  /// Returns what the peer was.
  admin::ConfiguredPeer update(PeerId id, admin::ConfiguredPeer peer);
  /// Returns the peer. The id stays taken, because routes may still lead to it.
  admin::ConfiguredPeer remove(PeerId id);
  /// No route leads to a removed peer any more: their ids are free after a grace period, all at
  /// once.
  void release_removed();

  /// Peers that lack a route, because there was no memory for it. The next reload tries again.
  std::set<uint32_t> unrouted;

 private:
  void note(PeerId id, const PeerProfile& peer);
  void forget(PeerId id);

  std::vector<std::optional<admin::ConfiguredPeer>> peers_;
  std::unordered_map<std::string, PeerId> named_;
  std::unordered_map<PublicKey, PeerId, admin::HashKey> keyed_;
  AddressUse addresses_;
  using Ids = std::vector<PeerId>;  ///< some; none of those in `free_` is empty
  std::shared_ptr<std::deque<Ids>> free_ = std::make_shared<std::deque<Ids>>();
  Ids removed_;  ///< not released yet
  size_t count_ = 0;
  uint32_t capacity_;
  publish::Reclaimer& reclaimer_;
};

}  // namespace jvpn::gateway
