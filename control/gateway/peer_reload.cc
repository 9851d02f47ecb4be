// removed peers end → changed and new ones are told to the engine → their routes are set → routes
// that nobody has any more go → what had no room is tried again → commit → ids are free
#include "control/gateway/peer_reload.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

namespace jvpn::gateway {
namespace {

constexpr RouteTable::Sizes kNoRoutes{0, 0, 0, 0};

// What one slice may do, so that it stays far below a millisecond.
constexpr size_t kSlice = 256;
constexpr size_t kLook = 1;    // at one peer
constexpr size_t kServe = 16;  // one peer, or one of its routes

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

std::optional<Error> PeerReload::refusal(const RouteTable::Sizes& named, const std::string& file,
                                         const PublicKey& own) const {
  if (fresh_.size() > parts_.book.capacity()) {
    return Error{fmt::format(
        "{}: peers: expected at most {} peers (limits.sessions when jvpnd started) got {}: restart "
        "jvpnd with a higher limits.sessions",
        file, parts_.book.capacity(), fresh_.size())};
  }
  if (const auto same = fresh_.place_of(own)) {
    return Error{
        fmt::format("{}: peers: expected another's public key got that of this node, as {}", file,
                    fresh_.at(*same).profile.name)};
  }
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

bool PeerReload::go_on(Millis now) {
  for (size_t spent = 0; stage_ != Stage::kDone && spent < kSlice;) spent += step(now);
  return stage_ == Stage::kDone;
}

nlohmann::json PeerReload::result() const {
  const admin::PeerDiff& diff = comparison_.diff();
  nlohmann::json done{{"added", diff.added.size()},
                      {"removed", diff.removed.size()},
                      {"changed", diff.changed.size()}};
  if (!failed_.empty()) done["failed"] = failed_;
  return done;
}

/// One peer's part in the stage, or the way to the next stage. Returns its share of a slice.
size_t PeerReload::step(Millis now) {
  const admin::PeerDiff& diff = comparison_.diff();
  switch (stage_) {
    case Stage::kCompare:
      return comparison_.go_on(parts_.book.all()) ? kLook : enter(Stage::kRemove);
    case Stage::kRemove:
      if (next_ == diff.removed.size()) return enter(Stage::kChange);
      remove(now, diff.removed[next_++]);
      return kServe;
    case Stage::kChange:
      if (next_ == diff.changed.size()) return enter(Stage::kUnrouted);
      update(now, diff.changed[next_++]);
      return kServe;
    case Stage::kUnrouted:
      if (next_++ == 0) unrouted_ = std::exchange(parts_.book.unrouted, {});
      if (unrouted_.empty()) return enter(Stage::kMakeRoom);
      add_routes(PeerId{*unrouted_.begin()});
      unrouted_.erase(unrouted_.begin());
      return kServe;
    case Stage::kMakeRoom:
      if (parts_.book.room() < diff.added.size() && give_up_next()) return kServe;
      return enter(Stage::kAdd);
    case Stage::kAdd:
      return add_next(now);
    case Stage::kGiveUp:
      return give_up_next() ? kServe : enter(Stage::kRetry);
    case Stage::kRetry:
      return retry_next() ? kServe : enter(Stage::kDone);
    case Stage::kDone:
      return kSlice;
  }
  return kSlice;
}

size_t PeerReload::enter(Stage stage) {
  stage_ = stage;
  next_ = 0;
  if (stage == Stage::kDone) finish();
  return kServe;
}

/// New peers have no session that could lose a packet while their addresses have no route. An id
/// whose grace period isn't over is there in a later turn.
size_t PeerReload::add_next(Millis now) {
  const std::vector<size_t>& places = comparison_.diff().added;
  if (next_ == places.size()) return enter(Stage::kGiveUp);
  if (parts_.book.room() != 0 && !parts_.book.has_free_id()) return kSlice;
  add(now, places[next_++]);
  return kServe;
}

void PeerReload::finish() {
  for (const std::string& each : failed_) spdlog::error("reload: {}", each);
}

void PeerReload::remove(Millis now, PeerId id) {
  const PeerProfile& gone = *parts_.book.find(id);
  spdlog::info("peer {} removed", gone.name);
  parts_.engine.remove_peer(now, id);
  given_up_.insert(given_up_.end(), gone.allowed_ips.begin(), gone.allowed_ips.end());
  parts_.uplinks.peer_removed(id);
  parts_.book.remove(id);
}

void PeerReload::update(Millis now, const admin::PeerUpdate& update) {
  admin::ConfiguredPeer& peer = fresh_.at(update.fresh);
  std::vector<Prefix> before;
  if (update.allowed_ips) before = parts_.book.find(update.id)->allowed_ips;
  parts_.engine.update_peer(update.id, engine_peer(peer.profile, peer.preshared));
  parts_.book.update(update.id, std::move(peer));
  if (update.allowed_ips) {
    given_up_.insert(given_up_.end(), before.begin(), before.end());
    add_routes(update.id);
  }
  if (update.endpoints) parts_.uplinks.peer_changed(now, update.id, parts_.engine);
}

void PeerReload::add(Millis now, size_t place) {
  admin::ConfiguredPeer& peer = fresh_.at(place);
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
  added_[place] = true;
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
/// False: all are gone that nobody has any more.
bool PeerReload::give_up_next() {
  if (next_ == given_up_.size()) {
    given_up_.clear();
    commit();
    return false;
  }
  const Prefix& prefix = given_up_[next_++];
  const bool kept = fresh_.anybody_has(
      prefix, [&](size_t place) { return comparison_.stays(place) || added_[place]; });
  if (!kept && !parts_.inside.owns(prefix)) parts_.routes.remove(prefix);
  return true;
}

/// Now that what was given up has made room. A peer that still lacks a route is remembered. False:
/// all have been tried.
bool PeerReload::retry_next() {
  if (next_ == refused_.size()) {
    if (!refused_.empty()) commit();
    refused_.clear();
    return false;
  }
  const auto& [id, prefix] = refused_[next_++];
  const PeerProfile* const peer = parts_.book.find(id);
  if (peer == nullptr || !std::ranges::count(peer->allowed_ips, prefix)) return true;
  const auto added = parts_.routes.add(prefix, Target::peer(id));
  if (added) return true;
  parts_.routes.remove(prefix);  // who had it before has it no more
  parts_.book.unrouted.insert(id.value);
  failed_.push_back(fmt::format("peers.{}.allowed_ips: {}: {}", peer->name, to_string(prefix),
                                added.error().message));
  return true;
}

void PeerReload::commit() {
  parts_.book.release_removed();
}

}  // namespace jvpn::gateway
