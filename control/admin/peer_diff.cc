#include "control/admin/peer_diff.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace jvpn::admin {
namespace {

/// Order says nothing: each prefix is one route.
bool same_prefixes(std::vector<Prefix> a, std::vector<Prefix> b) {
  std::ranges::sort(a);
  std::ranges::sort(b);
  return a == b;
}

PeerUpdate update_of(PeerId id, const ConfiguredPeer& running, size_t place,
                     const ConfiguredPeer& fresh) {
  return {.id = id,
          .fresh = place,
          .name = running.profile.name != fresh.profile.name,
          .preshared = running.preshared != fresh.preshared,
          .allowed_ips = !same_prefixes(running.profile.allowed_ips, fresh.profile.allowed_ips),
          .endpoints = running.profile.endpoints != fresh.profile.endpoints};
}

}  // namespace

std::vector<ConfiguredPeer> take_peers(LoadedGateway& loaded) {
  std::vector<ConfiguredPeer> peers;
  peers.reserve(loaded.profile.peers.size());
  for (size_t i = 0; i < loaded.profile.peers.size(); ++i)
    peers.push_back({std::move(loaded.profile.peers[i]), std::move(loaded.preshared[i])});
  return peers;
}

PeerDiff diff_peers(std::span<const std::optional<ConfiguredPeer>> running,
                    std::span<const ConfiguredPeer> fresh) {
  std::map<PublicKey, size_t> places;
  for (size_t i = 0; i < fresh.size(); ++i) places.emplace(fresh[i].profile.public_key, i);

  PeerDiff diff;
  for (uint32_t id = 0; id < running.size(); ++id) {
    if (!running[id]) continue;
    const auto stays = places.extract(running[id]->profile.public_key);
    if (stays.empty()) {
      diff.removed.push_back(PeerId{id});
      continue;
    }
    const size_t place = stays.mapped();
    const PeerUpdate update = update_of(PeerId{id}, *running[id], place, fresh[place]);
    if (update.name || update.preshared || update.allowed_ips || update.endpoints)
      diff.changed.push_back(update);
  }
  for (const auto& [key, place] : places) diff.added.push_back(place);
  std::ranges::sort(diff.added);
  return diff;
}

}  // namespace jvpn::admin
