#include "control/admin/peer_diff.h"

#include <algorithm>
#include <utility>

#include "common/assert.h"
#include "common/limits.h"

namespace jvpn::admin {
namespace {

/// Order says nothing: each prefix is one route.
bool same_prefixes(const std::vector<Prefix>& running, const std::vector<Prefix>& fresh) {
  if (running == fresh) return true;
  std::vector<Prefix> a = running;
  std::vector<Prefix> b = fresh;
  std::ranges::sort(a);
  std::ranges::sort(b);
  return a == b;
}

PeerUpdate update_of(PeerId id, const ConfiguredPeer& running, size_t place,
                     const ConfiguredPeer& fresh) {
  return {.id = id,
          .fresh = place,
          .name = running.profile.name != fresh.profile.name ||
                  running.profile.enrolled != fresh.profile.enrolled,
          .preshared = running.preshared != fresh.preshared,
          .allowed_ips = !same_prefixes(running.profile.allowed_ips, fresh.profile.allowed_ips),
          .endpoints = running.profile.endpoints != fresh.profile.endpoints ||
                       running.profile.cluster != fresh.profile.cluster};
}

bool differs(const PeerUpdate& update) {
  return update.name || update.preshared || update.allowed_ips || update.endpoints;
}

/// A peer that is disabled or enabled is one gone and another come.
bool goes_on(const ConfiguredPeer& running, const ConfiguredPeer& fresh) {
  return running.profile.public_key == fresh.profile.public_key &&
         running.profile.disabled == fresh.profile.disabled;
}

}  // namespace

std::vector<ConfiguredPeer> take_peers(LoadedGateway& loaded) {
  std::vector<ConfiguredPeer> peers;
  peers.reserve(loaded.profile.peers.size());
  for (size_t i = 0; i < loaded.profile.peers.size(); ++i)
    peers.push_back({std::move(loaded.profile.peers[i]), std::move(loaded.preshared[i])});
  loaded.profile.peers.clear();
  loaded.preshared.clear();
  return peers;
}

FreshPeers::FreshPeers(std::vector<ConfiguredPeer> peers) : peers_(std::move(peers)) {
  places_.reserve(peers_.size());
  for (size_t place = 0; place < peers_.size(); ++place) {
    const PeerProfile& peer = peers_[place].profile;
    places_.emplace(peer.public_key, place);
    for (const Prefix& prefix : peer.allowed_ips) owners_.emplace_back(prefix, place);
  }
  std::ranges::sort(owners_);
}

std::optional<size_t> FreshPeers::place_of(const PublicKey& key) const {
  const auto at = places_.find(key);
  return at == places_.end() ? std::nullopt : std::optional(at->second);
}

bool PeerComparison::go_on(std::span<const std::optional<ConfiguredPeer>> running) {
  if (next_ >= running.size()) {
    if (next_fresh_ == ids_.size()) return false;
    if (!ids_[next_fresh_]) diff_.added.push_back(next_fresh_);
    ++next_fresh_;
    return true;
  }
  const PeerId id{next_++};
  const std::optional<ConfiguredPeer>& peer = running[id.value];
  if (!peer) return true;
  const auto place = fresh_.place_of(peer->profile.public_key);
  if (!place || !goes_on(*peer, fresh_.at(*place))) {
    diff_.removed.push_back(id);
    return true;
  }
  ids_[*place] = id;
  const PeerUpdate update = update_of(id, *peer, *place, fresh_.at(*place));
  if (differs(update)) diff_.changed.push_back(update);
  return true;
}

PeerComparison PeerComparison::of_one(const FreshPeers& fresh, std::optional<PeerId> id,
                                      const ConfiguredPeer* running) {
  JVPN_ASSERT(fresh.size() <= 1 && id.has_value() == (running != nullptr), "one peer, or none");
  PeerComparison one(fresh, 1);
  one.next_ = kMaxPeers;
  one.next_fresh_ = fresh.size();
  if (fresh.size() == 1 && running != nullptr && goes_on(*running, fresh.at(0))) {
    one.ids_[0] = id;
    const PeerUpdate update = update_of(*id, *running, 0, fresh.at(0));
    if (differs(update)) one.diff_.changed.push_back(update);
    return one;
  }
  if (id) one.diff_.removed.push_back(*id);
  if (fresh.size() == 1) one.diff_.added.push_back(0);
  return one;
}

}  // namespace jvpn::admin
