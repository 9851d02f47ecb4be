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
  return {peer.name, peer.public_key, preshared, host_addresses(peer), gateway_endpoints(peer)};
}

PeerBook::PeerBook(const GatewayProfile& profile, const session::EngineConfig& config,
                   publish::Reclaimer& reclaimer)
    : count_(profile.peers.size()), capacity_(profile.limits.sessions), reclaimer_(reclaimer) {
  JVPN_ASSERT(profile.peers.size() == config.peers.size(), "the engine has the profile's peers");
  peers_.reserve(std::max<size_t>(capacity_, profile.peers.size()));  // none moves later
  named_.reserve(capacity_);
  keyed_.reserve(capacity_);
  for (size_t i = 0; i < profile.peers.size(); ++i) {
    peers_.emplace_back(admin::ConfiguredPeer{profile.peers[i], config.peers[i].preshared});
    note(PeerId{static_cast<uint32_t>(i)}, profile.peers[i]);
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

std::optional<PeerId> PeerBook::keyed(const PublicKey& key) const {
  const auto at = keyed_.find(key);
  return at == keyed_.end() ? std::nullopt : std::optional(at->second);
}

void PeerBook::note(PeerId id, const PeerProfile& peer) {
  named_[peer.name] = id;
  keyed_[peer.public_key] = id;
  for (const Prefix& prefix : peer.allowed_ips) addresses_.add(prefix, id.value);
}

/// But for what is another's meanwhile.
void PeerBook::forget(PeerId id) {
  const PeerProfile& peer = peers_[id.value]->profile;
  if (const auto at = named_.find(peer.name); at != named_.end() && at->second == id)
    named_.erase(at);
  if (const auto at = keyed_.find(peer.public_key); at != keyed_.end() && at->second == id)
    keyed_.erase(at);
  for (const Prefix& prefix : peer.allowed_ips) addresses_.remove(prefix, id.value);
}

std::optional<PeerId> PeerBook::add(admin::ConfiguredPeer peer) {
  JVPN_ASSERT(count_ < capacity_, "a reload with too many peers is refused");
  if (room() == 0) return std::nullopt;
  ++count_;
  if (peers_.size() < capacity_) {
    const PeerId fresh{static_cast<uint32_t>(peers_.size())};
    note(fresh, peer.profile);
    peers_.emplace_back(std::move(peer));
    return fresh;
  }
  if (free_->empty()) reclaimer_.flush();
  JVPN_ASSERT(!free_->empty(), "neither in use nor held back, so one is free");
  const PeerId id = free_->front().back();
  free_->front().pop_back();
  if (free_->front().empty()) free_->pop_front();
  note(id, peer.profile);
  peers_[id.value] = std::move(peer);
  return id;
}

admin::ConfiguredPeer PeerBook::update(PeerId id, admin::ConfiguredPeer peer) {
  JVPN_ASSERT(find(id) != nullptr, "a peer that stays has its id");
  forget(id);
  note(id, peer.profile);
  return std::exchange(*peers_[id.value], std::move(peer));
}

admin::ConfiguredPeer PeerBook::remove(PeerId id) {
  JVPN_ASSERT(find(id) != nullptr, "a removed peer had its id");
  forget(id);
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
