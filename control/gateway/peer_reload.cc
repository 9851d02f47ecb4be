// removed peers end, their routes go → prefixes that peers have no more go → changed and new peers
// are told to the engine, their routes are set
#include "control/gateway/peer_reload.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "common/assert.h"

namespace jvpn::gateway {
namespace {

constexpr RouteTable::Sizes kNoRoutes{0, 0, 0, 0};

// What one slice may do, so that it stays far below a millisecond.
constexpr size_t kSlice = 256;
constexpr size_t kLook = 1;    // at one peer
constexpr size_t kServe = 16;  // one peer, or one of its routes
constexpr size_t kToldFailures = 32;

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
    return Error{
        fmt::format("{}: peers: expected at most {} peers (limits.sessions when jvpnd started), "
                    "got {}: restart "
                    "jvpnd with a higher limits.sessions",
                    file, parts_.book.capacity(), fresh_.size())};
  }
  if (const auto same = fresh_.place_of(own)) {
    return Error{
        fmt::format("{}: peers: expected another's public key, got that of this node, as {}", file,
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
  for (size_t spent = 0; stage_ != Stage::kDone && spent < kSlice;) {
    spent += route_next() ? kServe : step(now);
    if (parts_.limit.spent()) break;
  }
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
      if (next_ == diff.removed.size()) {
        parts_.book.release_removed();
        return enter(Stage::kRevoke);
      }
      remove(now, diff.removed[next_++]);
      return kServe;
    case Stage::kRevoke:
      if (next_ == diff.changed.size()) return enter(Stage::kChange);
      if (const admin::PeerUpdate& each = diff.changed[next_++]; each.allowed_ips)
        revoke(each.id, parts_.book.find(each.id)->allowed_ips);
      return kLook;
    case Stage::kChange:
      if (next_ == diff.changed.size()) return enter(Stage::kUnrouted);
      update(now, diff.changed[next_++]);
      return kServe;
    case Stage::kUnrouted:
      if (next_++ == 0) unrouted_ = std::exchange(parts_.book.unrouted, {});
      if (unrouted_.empty()) return enter(Stage::kAdd);
      granting_ = PeerId{*unrouted_.begin()};
      unrouted_.erase(unrouted_.begin());
      return kServe;
    case Stage::kAdd:
      return add_next(now);
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

/// An id whose grace period isn't over is there in a later turn.
size_t PeerReload::add_next(Millis now) {
  const std::vector<size_t>& places = comparison_.diff().added;
  if (next_ == places.size()) return enter(Stage::kDone);
  if (!parts_.book.has_free_id()) return kSlice;
  add(now, places[next_++]);
  return kServe;
}

void PeerReload::finish() {
  if (failures_ > kToldFailures)
    failed_.push_back(fmt::format("{} more", failures_ - kToldFailures));
  for (const std::string& each : failed_) spdlog::error("reload: {}", each);
}

void PeerReload::fail(std::string what) {
  if (++failures_ <= kToldFailures) failed_.push_back(std::move(what));
}

void PeerReload::remove(Millis now, PeerId id) {
  spdlog::info("peer {} removed", parts_.book.name(id));
  parts_.engine.remove_peer(now, id);
  parts_.uplinks.peer_removed(id);
  admin::ConfiguredPeer gone = parts_.book.remove(id);
  revoke(id, std::move(gone.profile.allowed_ips));
  fresh_.keep(std::move(gone));
}

void PeerReload::update(Millis now, const admin::PeerUpdate& update) {
  admin::ConfiguredPeer& peer = fresh_.at(update.fresh);
  if (peer.profile.disabled) {
    peer = parts_.book.update(update.id, std::move(peer));
    return;
  }
  parts_.engine.update_peer(update.id, engine_peer(peer.profile, peer.preshared));
  peer = parts_.book.update(update.id, std::move(peer));
  if (update.allowed_ips) granting_ = update.id;
  if (update.endpoints) parts_.uplinks.peer_changed(now, update.id, parts_.engine);
}

void PeerReload::add(Millis now, size_t place) {
  admin::ConfiguredPeer& peer = fresh_.at(place);
  session::EnginePeer told = engine_peer(peer.profile, peer.preshared);
  const auto given = parts_.book.add(std::move(peer));
  JVPN_ASSERT(given, "a reload with too many peers is refused");
  const PeerId id = *given;
  if (parts_.book.find(id)->disabled) return;  // its addresses are kept, that is all
  if (auto added = parts_.engine.add_peer(id, std::move(told)); !added) {
    fail(added.error().message);
    fresh_.at(place) = parts_.book.remove(id);
    parts_.book.release_removed();
    return;
  }
  spdlog::info("peer {} added", parts_.book.name(id));
  granting_ = id;
  parts_.uplinks.peer_changed(now, id, parts_.engine);
}

void PeerReload::revoke(PeerId from, std::vector<Prefix> prefixes) {
  revoked_ = from;
  revoking_ = std::move(prefixes);
}

/// One route of the peer before it is the next peer's turn. False: all of them are done.
bool PeerReload::route_next() {
  if (!revoking_.empty()) {
    revoke_next();
  } else if (granting_) {
    grant_next();
  } else {
    return false;
  }
  return true;
}

/// It goes to the peer that has it now, if one runs that does, in one step: an address that only
/// moves is never without a route. A new peer has no session that could lose a packet.
void PeerReload::revoke_next() {
  const Prefix prefix = revoking_.back();
  revoking_.pop_back();
  if (parts_.inside.owns(prefix)) return;
  const auto place = fresh_.owner_of(prefix, [&](size_t each) {
    return comparison_.running(each).has_value() && !fresh_.at(each).profile.disabled;
  });
  const auto heir = place ? comparison_.running(*place) : std::nullopt;
  if (heir == revoked_) return;
  if (heir && parts_.routes.add(prefix, Target::peer(*heir))) return;
  parts_.routes.remove(prefix);
}

/// What leads inside stays so: at the start it wins over a peer's route to the same network, too.
void PeerReload::grant_next() {
  const PeerId id = *granting_;
  const PeerProfile& peer = *parts_.book.find(id);
  if (next_route_ == peer.allowed_ips.size()) {
    parts_.lan.routed(id);
    parts_.carried.routed(id);
    granting_.reset();
    next_route_ = 0;
    return;
  }
  const Prefix& prefix = peer.allowed_ips[next_route_++];
  if (parts_.inside.owns(prefix)) return;
  const auto added = parts_.routes.add(prefix, Target::peer(id));
  if (added) return;
  parts_.routes.remove(prefix);  // who had it before has it no more
  parts_.book.unrouted.insert(id.value);
  fail(fmt::format("peers.{}.allowed_ips: {}: {}", peer.name, to_string(prefix),
                   added.error().message));
}

}  // namespace jvpn::gateway
