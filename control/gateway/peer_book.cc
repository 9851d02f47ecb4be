#include "control/gateway/peer_book.h"

#include <algorithm>
#include <utility>

#include "common/assert.h"
#include "common/wire.h"

namespace jvpn::gateway {
namespace {

/// The host addresses among what a peer may use: its own interface addresses.
std::vector<Prefix> host_addresses(const PeerProfile& peer) {
  std::vector<Prefix> hosts;
  for (const Prefix& prefix : peer.allowed_ips)
    if (prefix.is_host() && hosts.size() < wire::kMaxInnerAddresses) hosts.push_back(prefix);
  return hosts;
}

}  // namespace

session::EnginePeer engine_peer(const PeerProfile& peer,
                                const std::optional<PresharedKey>& preshared) {
  return {peer.name, peer.public_key, preshared, host_addresses(peer)};
}

PeerBook::PeerBook(const GatewayProfile& profile, const session::EngineConfig& config,
                   publish::Reclaimer& reclaimer)
    : count_(profile.peers.size()), capacity_(profile.limits.sessions), reclaimer_(reclaimer) {
  JVPN_ASSERT(profile.peers.size() == config.peers.size(), "the engine has the profile's peers");
  peers_.reserve(std::max<size_t>(capacity_, profile.peers.size()));  // none moves later
  named_.reserve(capacity_);
  for (size_t i = 0; i < profile.peers.size(); ++i) {
    peers_.emplace_back(admin::ConfiguredPeer{profile.peers[i], config.peers[i].preshared});
    named_[profile.peers[i].name] = PeerId{static_cast<uint32_t>(i)};
  }
}

const PeerProfile* PeerBook::find(PeerId id) const {
  const bool known = id.value < peers_.size() && peers_[id.value];
  return known ? &peers_[id.value]->profile : nullptr;
}

std::string PeerBook::name(PeerId id) const {
  const PeerProfile* peer = find(id);
  return peer != nullptr ? peer->name : std::string();
}

std::optional<PeerId> PeerBook::named(const std::string& name) const {
  const auto at = named_.find(name);
  return at == named_.end() ? std::nullopt : std::optional(at->second);
}

/// Unless the name is another's meanwhile.
void PeerBook::forget_name(PeerId id) {
  const auto at = named_.find(peers_[id.value]->profile.name);
  if (at != named_.end() && at->second == id) named_.erase(at);
}

std::optional<PeerId> PeerBook::add(admin::ConfiguredPeer peer) {
  JVPN_ASSERT(count_ < capacity_, "a reload with too many peers is refused");
  if (room() == 0) return std::nullopt;
  ++count_;
  if (peers_.size() < capacity_) {
    const PeerId fresh{static_cast<uint32_t>(peers_.size())};
    named_[peer.profile.name] = fresh;
    peers_.emplace_back(std::move(peer));
    return fresh;
  }
  if (free_->empty()) reclaimer_.flush();
  JVPN_ASSERT(!free_->empty(), "neither in use nor held back, so one is free");
  const PeerId id = free_->front().back();
  free_->front().pop_back();
  if (free_->front().empty()) free_->pop_front();
  named_[peer.profile.name] = id;
  peers_[id.value] = std::move(peer);
  return id;
}

admin::ConfiguredPeer PeerBook::update(PeerId id, admin::ConfiguredPeer peer) {
  JVPN_ASSERT(find(id) != nullptr, "a peer that stays has its id");
  forget_name(id);
  named_[peer.profile.name] = id;
  return std::exchange(*peers_[id.value], std::move(peer));
}

admin::ConfiguredPeer PeerBook::remove(PeerId id) {
  JVPN_ASSERT(find(id) != nullptr, "a removed peer had its id");
  forget_name(id);
  admin::ConfiguredPeer gone = std::move(*peers_[id.value]);
  peers_[id.value].reset();
  --count_;
  unrouted.erase(id.value);
  removed_.push_back(id);
  return gone;
}

void PeerBook::release_removed() {
  if (removed_.empty()) return;
  reclaimer_.defer([free = free_, ids = std::exchange(removed_, {})]() mutable {
    free->push_back(std::move(ids));
  });
}

}  // namespace jvpn::gateway
