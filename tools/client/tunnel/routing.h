// How the host's traffic finds the tunnel, and the tunnel's own packets don't.
//
// A prefix that covers the gateway's endpoint, and any default route, would catch the tunnel's own
// UDP. Such prefixes go to a routing table of our own behind three rules (as wg-quick does it, with
// a rule for the way back in place of a netfilter mark):
//   1. UDP to the gateway's endpoint → main, so that strict rp_filter finds the underlay for
//   answers
//   2. any → main, but for routes as short as the covering prefixes
//   3. packets without our firewall mark → our table
// The tunnel's sockets carry the mark. All other prefixes are plain routes of the main table.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/ip.h"
#include "common/result.h"
#include "tools/client/netlink/netlink.h"

namespace jvpn::client::tunnel {

/// Routes and rules of one client, in the order in which they are set.
struct RoutingPlan {
  std::vector<netlink::Route> routes;
  std::vector<netlink::Rule> rules;
};

/// Which prefixes need the table of our own.
bool needs_own_table(const Prefix& prefix, std::span<const Endpoint> endpoints);

/// Everything for `allowed_ips` through `device`. `slot` tells clients of one host apart: it
/// numbers the table, the mark and the rules' priorities.
RoutingPlan plan_routing(std::span<const Prefix> allowed_ips, std::span<const Endpoint> endpoints,
                         int device, uint32_t slot);

/// Firewall mark of a slot's sockets; also the number of its table.
uint32_t routing_mark(uint32_t slot);

/// Removes rules that a killed client left, then finds a slot that nobody uses.
Result<uint32_t> claim_routing_slot(netlink::Netlink& netlink);

/// The plan as applied; taken back when it goes. `netlink` outlives it.
class Routing {
 public:
  /// All or nothing.
  static Result<std::unique_ptr<Routing>> apply(netlink::Netlink& netlink, const RoutingPlan& plan);
  ~Routing();
  Routing(const Routing&) = delete;
  Routing& operator=(const Routing&) = delete;

 private:
  explicit Routing(netlink::Netlink& netlink) : netlink_(netlink) {}
  netlink::Netlink& netlink_;
  RoutingPlan applied_;
};

}  // namespace jvpn::client::tunnel
