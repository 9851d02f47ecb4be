// Takes the peers of a profile that was read again into a running gateway: engine, routes and
// uplinks. Sessions of peers that stay are not touched, and no packet of theirs is lost. Control
// thread only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/route_table.h"
#include "control/admin/peer_diff.h"
#include "control/engine/engine.h"
#include "control/gateway/peer_book.h"
#include "control/gateway/uplinks.h"
#include "control/neighbor/inside_routes.h"

namespace jvpn::gateway {

/// How many routes of each size a profile names.
RouteTable::Sizes named_routes(const GatewayProfile& profile);
/// Room for them, for as many neighbours as a route table is made for, and for one more host
/// address of each family for every peer that a reload may add.
RouteTable::Sizes route_room(const GatewayProfile& profile);

/// Everything outlives the call.
struct PeerReloadParts {
  PeerBook& book;
  engine::SessionEngine& engine;
  RouteTable& routes;
  const neighbor::InsideRoutes& inside;
  Uplinks& uplinks;
};

class PeerReload {
 public:
  explicit PeerReload(const PeerReloadParts& parts) : parts_(parts) {}

  /// Why the gateway, as it runs, can't have these peers: more than it has room for. `file` and
  /// `own` name the profile and this node's key.
  std::optional<Error> refusal(const GatewayProfile& fresh, const std::string& file,
                               const PublicKey& own) const;
  /// Removes, changes, adds, in this order. Gives `{"added", "removed", "changed"}`, and under
  /// "failed" whatever DPDK had no memory for: that is missing until a reload that has it.
  nlohmann::json apply(Millis now, std::vector<admin::ConfiguredPeer> fresh);

 private:
  void remove(Millis now, PeerId id);
  void update(Millis now, const admin::PeerUpdate& update, admin::ConfiguredPeer peer);
  void add(Millis now, admin::ConfiguredPeer peer);
  void add_routes(PeerId id);
  void remove_given_up();
  void retry_refused();
  void commit();

  struct Refused {
    PeerId id;
    Prefix prefix;
  };

  PeerReloadParts parts_;
  std::vector<Prefix> given_up_;  ///< by peers that had them
  std::vector<Refused> refused_;  ///< by the table, while routes that are given up took the room
  std::optional<Error> uncommitted_;
  std::vector<std::string> failed_;
};

}  // namespace jvpn::gateway
