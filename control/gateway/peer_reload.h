// Takes the peers of a profile that was read again into a running gateway: engine, routes and
// uplinks, in slices, so that it keeps nothing waiting however many peers there are. What is taken
// away goes before anything is given. Sessions of peers that stay are not touched, and no packet of
// theirs is lost. Control thread only.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/route_table.h"
#include "control/admin/peer_diff.h"
#include "control/engine/engine.h"
#include "control/gateway/carried_routes.h"
#include "control/gateway/peer_book.h"
#include "control/gateway/turn_limit.h"
#include "control/gateway/uplinks.h"
#include "control/neighbor/inside_routes.h"
#include "control/neighbor/peer_proxy.h"

namespace jvpn::gateway {

/// How many routes of each size a profile names.
RouteTable::Sizes named_routes(const GatewayProfile& profile);
/// Room for them, for as many neighbours as a route table is made for, and for one more host
/// address of each family for every peer that a reload may add.
RouteTable::Sizes route_room(const GatewayProfile& profile);

/// What a reload is applied to. Everything outlives it.
struct PeerReloadParts {
  PeerBook& book;
  engine::SessionEngine& engine;
  RouteTable& routes;
  const neighbor::InsideRoutes& inside;
  neighbor::PeerProxy& lan;
  CarriedRoutes& carried;
  Uplinks& uplinks;
  const TurnLimit& limit;
};

class PeerReload {
 public:
  /// Everything outlives it.
  PeerReload(const PeerReloadParts& parts, admin::FreshPeers& fresh,
             admin::PeerComparison& comparison)
      : parts_(parts), fresh_(fresh), comparison_(comparison) {}

  /// Why the gateway, as it runs, can't have these peers: more than it has room for. `named` are
  /// the profile's routes; `file` and `own` name it and this node's key.
  std::optional<Error> refusal(const RouteTable::Sizes& named, const std::string& file,
                               const PublicKey& own) const;
  /// A slice of the work: compares, then removes, revokes, changes, adds, in this order. True: all
  /// is done.
  bool go_on(Millis now);
  /// Of a reload that is done: `{"added", "removed", "changed"}`, and under "failed" whatever DPDK
  /// had no memory for: that is missing until a reload that has it.
  nlohmann::json result() const;

 private:
  enum class Stage : uint8_t { kCompare, kRemove, kRevoke, kChange, kUnrouted, kAdd, kDone };
  size_t step(Millis now);
  size_t enter(Stage stage);
  bool route_next();
  void revoke(PeerId from, std::vector<Prefix> prefixes);
  void revoke_next();
  void grant_next();
  size_t add_next(Millis now);
  void remove(Millis now, PeerId id);
  void update(Millis now, const admin::PeerUpdate& update);
  void add(Millis now, size_t place);
  void fail(std::string what);
  void finish();

  PeerReloadParts parts_;
  admin::FreshPeers& fresh_;
  admin::PeerComparison& comparison_;
  Stage stage_ = Stage::kCompare;
  size_t next_ = 0;                 ///< within the stage
  std::optional<PeerId> revoked_;   ///< had what is revoked now
  std::vector<Prefix> revoking_;    ///< of them, those that are still to be looked at
  std::optional<PeerId> granting_;  ///< whose routes are set
  size_t next_route_ = 0;           ///< of granting_
  std::set<uint32_t> unrouted_;     ///< by reloads before
  std::vector<std::string> failed_;
  size_t failures_ = 0;
};

}  // namespace jvpn::gateway
