// removed peers end → changed and new ones are told to the engine → their routes are set → routes
// that nobody has any more go → what had no room is tried again → commit → ids are free
#include "control/gateway/peer_reload.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

namespace jvpn::gateway {
namespace {

constexpr RouteTable::Sizes kNoRoutes{0, 0, 0, 0};

void count_route(RouteTable::Sizes& sizes, const Prefix& prefix) {
  const bool v4 = prefix.address.is_v4();
  uint32_t& hosts = v4 ? sizes.hosts_v4 : sizes.hosts_v6;
  uint32_t& prefixes = v4 ? sizes.prefixes_v4 : sizes.prefixes_v6;
  ++(prefix.is_host() ? hosts : prefixes);
}

}  // namespace

RouteTable::Sizes named_routes(const GatewayProfile& profile) {
  RouteTable::Sizes sizes = kNoRoutes;
  for (const PeerProfile& peer : profile.peers)
    for (const Prefix& prefix : peer.allowed_ips) count_route(sizes, prefix);
  for (const PortProfile& port : profile.ports)
    for (const PortRoute& route : port.routes) count_route(sizes, route.to);
  return sizes;
}

RouteTable::Sizes route_room(const GatewayProfile& profile) {
  const RouteTable::Sizes named = named_routes(profile);
  const RouteTable::Sizes neighbors;
  const auto more = static_cast<uint32_t>(
      profile.limits.sessions - std::min<size_t>(profile.peers.size(), profile.limits.sessions));
  return {named.hosts_v4 + neighbors.hosts_v4 + more, named.hosts_v6 + neighbors.hosts_v6 + more,
          named.prefixes_v4 + neighbors.prefixes_v4, named.prefixes_v6 + neighbors.prefixes_v6};
}

std::optional<Error> PeerReload::refusal(const GatewayProfile& fresh, const std::string& file,
                                         const PublicKey& own) const {
  if (fresh.peers.size() > parts_.book.capacity()) {
    return Error{fmt::format(
        "{}: peers: expected at most {} peers (limits.sessions when jvpnd started) got {}: restart "
        "jvpnd with a higher limits.sessions",
        file, parts_.book.capacity(), fresh.peers.size())};
  }
  const auto same = std::ranges::find(fresh.peers, own, &PeerProfile::public_key);
  if (same != fresh.peers.end()) {
    return Error{fmt::format(
        "{}: peers: expected another's public key got that of this node, as {}", file, same->name)};
  }
  const RouteTable::Sizes named = named_routes(fresh);
  const RouteTable::Sizes& room = parts_.routes.sizes();
  struct Bound {
    const char* what;
    uint32_t named;
    uint32_t room;
  };
  for (const Bound& bound :
       std::array<Bound, 4>{{{"IPv4 host routes", named.hosts_v4, room.hosts_v4},
                             {"IPv6 host routes", named.hosts_v6, room.hosts_v6},
                             {"IPv4 prefixes", named.prefixes_v4, room.prefixes_v4},
                             {"IPv6 prefixes", named.prefixes_v6, room.prefixes_v6}}}) {
    if (bound.named <= bound.room) continue;
    return Error{fmt::format(
        "{}: peers: expected at most {} {}, as there was room for when jvpnd started, got {}: "
        "restart jvpnd",
        file, bound.room, bound.what, bound.named)};
  }
  return std::nullopt;
}

nlohmann::json PeerReload::apply(Millis now, std::vector<admin::ConfiguredPeer> fresh) {
  const admin::PeerDiff diff = admin::diff_peers(parts_.book.all(), fresh);
  for (const PeerId id : diff.removed) remove(now, id);
  for (const admin::PeerUpdate& each : diff.changed)
    update(now, each, std::move(fresh[each.fresh]));
  for (const uint32_t id : std::exchange(parts_.book.unrouted, {})) add_routes(PeerId{id});
  // New peers have no session that could lose a packet while their addresses have no route.
  if (parts_.book.room() < diff.added.size()) remove_given_up();
  for (const size_t place : diff.added) add(now, std::move(fresh[place]));
  remove_given_up();
  retry_refused();
  if (uncommitted_) failed_.push_back(uncommitted_->message);
  for (const std::string& each : failed_) spdlog::error("reload: {}", each);
  nlohmann::json done{{"added", diff.added.size()},
                      {"removed", diff.removed.size()},
                      {"changed", diff.changed.size()}};
  if (!failed_.empty()) done["failed"] = failed_;
  return done;
}

void PeerReload::remove(Millis now, PeerId id) {
  const PeerProfile& gone = *parts_.book.find(id);
  spdlog::info("peer {} removed", gone.name);
  parts_.engine.remove_peer(now, id);
  given_up_.insert(given_up_.end(), gone.allowed_ips.begin(), gone.allowed_ips.end());
  parts_.uplinks.peer_removed(id);
  parts_.book.remove(id);
}

void PeerReload::update(Millis now, const admin::PeerUpdate& update, admin::ConfiguredPeer peer) {
  const std::vector<Prefix> before = parts_.book.find(update.id)->allowed_ips;
  parts_.engine.update_peer(update.id, engine_peer(peer.profile, peer.preshared));
  parts_.book.update(update.id, std::move(peer));
  if (update.allowed_ips) {
    given_up_.insert(given_up_.end(), before.begin(), before.end());
    add_routes(update.id);
  }
  if (update.endpoints) parts_.uplinks.peer_changed(now, update.id, parts_.engine);
}

void PeerReload::add(Millis now, admin::ConfiguredPeer peer) {
  session::EnginePeer told = engine_peer(peer.profile, peer.preshared);
  const auto given = parts_.book.add(std::move(peer));
  if (!given) {
    failed_.push_back(fmt::format(
        "peers.{}: not added, because routes of removed peers could not be taken away", told.name));
    return;
  }
  const PeerId id = *given;
  if (auto added = parts_.engine.add_peer(id, std::move(told)); !added) {
    failed_.push_back(added.error().message);
    parts_.book.remove(id);
    return;
  }
  spdlog::info("peer {} added", parts_.book.name(id));
  add_routes(id);
  parts_.uplinks.peer_changed(now, id, parts_.engine);
}

/// What leads inside stays so: at the start it wins over a peer's route to the same network, too.
void PeerReload::add_routes(PeerId id) {
  for (const Prefix& prefix : parts_.book.find(id)->allowed_ips) {
    if (parts_.inside.owns(prefix)) continue;
    if (!parts_.routes.add(prefix, Target::peer(id))) refused_.push_back({id, prefix});
  }
}

/// Routes are set before others are taken away, so an address that only moves is never without one.
void PeerReload::remove_given_up() {
  std::vector<Prefix> kept;
  if (!given_up_.empty()) {
    for (const auto& peer : parts_.book.all())
      if (peer)
        kept.insert(kept.end(), peer->profile.allowed_ips.begin(), peer->profile.allowed_ips.end());
  }
  std::ranges::sort(given_up_);
  std::ranges::sort(kept);
  given_up_.erase(std::unique(given_up_.begin(), given_up_.end()), given_up_.end());
  std::vector<Prefix> gone;
  std::ranges::set_difference(given_up_, kept, std::back_inserter(gone));
  for (const Prefix& prefix : gone)
    if (!parts_.inside.owns(prefix)) parts_.routes.remove(prefix);
  given_up_.clear();
  commit();
}

/// Now that what was given up has made room. A peer that still lacks a route is remembered.
void PeerReload::retry_refused() {
  if (refused_.empty()) return;
  for (const auto& [id, prefix] : std::exchange(refused_, {})) {
    const PeerProfile* const peer = parts_.book.find(id);
    if (peer == nullptr || !std::ranges::count(peer->allowed_ips, prefix)) continue;
    const auto added = parts_.routes.add(prefix, Target::peer(id));
    if (added) continue;
    parts_.routes.remove(prefix);  // who had it before has it no more
    parts_.book.unrouted.insert(id.value);
    failed_.push_back(fmt::format("peers.{}.allowed_ips: {}: {}", peer->name, to_string(prefix),
                                  added.error().message));
  }
  commit();
}

/// Ids of removed peers are held back while workers may still find a route to them.
void PeerReload::commit() {
  uncommitted_.reset();
  if (auto done = parts_.routes.commit(); !done)
    uncommitted_ = done.error();
  else
    parts_.book.release_removed();
}

}  // namespace jvpn::gateway
