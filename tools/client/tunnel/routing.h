// How the host's traffic finds the tunnel, and the tunnel's own packets don't; and how traffic that
// is meant for the tunnel never leaves without it.
//
// A prefix that covers the gateway's endpoint, and any default route, would catch the tunnel's own
// UDP. Such prefixes go to a routing table of our own behind three rules (as wg-quick does it, with
// a rule for the way back in place of a netfilter mark):
//   1. UDP to the gateway's endpoint → main, so that strict rp_filter finds the underlay for
//   answers
//   2. any → main, but for routes as short as the covering prefixes, or wider than a local network
//   3. packets without our firewall mark → our table
// The tunnel's sockets carry the mark. All other prefixes are plain routes of the main table.
//
// Beside each route stands a guard: an unreachable route to the same prefix with a worse metric.
// Guards and rules are set before the TUN is created and outlive it, the session and the program,
// however it ends: what can't go through the tunnel goes nowhere. A client that starts again adopts
// what it finds. The guards' metric tells whose they are: it is made of the interface's name.
//
// With the kill switch (Reach::kEverything) all prefixes go to the table of our own, and 0.0.0.0/0
// and
// ::/0 are unreachable there: what isn't on a local network goes by the tunnel or nowhere. The
// filter of kill_switch.h closes local networks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/ip.h"
#include "common/result.h"
#include "tools/shared/netlink/netlink.h"

namespace jvpn::client::tunnel {

/// What a client claims of the host's routing.
enum class Reach : uint8_t {
  kAsNeeded,    ///< the tunnel's prefixes; in the table of our own only those that need it
  kOwnTable,    ///< all of them there: the gateway's addresses aren't known for good
  kEverything,  ///< the kill switch: what isn't the tunnel's goes nowhere
};

/// Guards and rules of one client, in the order in which they are set.
struct RoutingPlan {
  std::vector<netlink::Route> guards;
  size_t carried =
      0;  ///< so many of the guards, the first ones, have a route of the tunnel beside them
  std::vector<netlink::Rule> rules;
};

/// Which prefixes need the table of our own, whatever the reach.
bool needs_own_table(const Prefix& prefix, std::span<const Endpoint> endpoints);

/// Of the guards of an interface: worse than any that people or daemons choose.
uint32_t guard_metric(std::string_view interface);

/// Everything for `allowed_ips` but the routes through the device. `slot` tells clients of one host
/// apart: it numbers the table, the mark and the rules' priorities.
RoutingPlan plan_routing(std::span<const Prefix> allowed_ips, std::span<const Endpoint> endpoints,
                         uint32_t metric, uint32_t slot, Reach reach = Reach::kAsNeeded);

/// Firewall mark of a slot's sockets; also the number of its table.
uint32_t routing_mark(uint32_t slot);

/// The slot whose table holds guards of that metric; else one that nobody uses.
Result<uint32_t> claim_routing_slot(netlink::Netlink& netlink, uint32_t metric);

/// Sets what the plan has and the host lacks, then removes guards of that metric, and rules beside
/// them, that the plan doesn't have. Nothing of the plan is missing at any moment in between.
Result<void> install_guards(netlink::Netlink& netlink, const RoutingPlan& plan, uint32_t metric);

/// Routes of others in the main table that go before a guard there, as people name them: to the
/// very prefix, by a better metric. What takes them leaves without the tunnel while the tunnel's
/// own route is not there, and (IPv6, a metric below 1024) even beside it.
Result<std::vector<std::string>> routes_before_guards(netlink::Netlink& netlink,
                                                      const RoutingPlan& plan);

/// Takes all guards of that metric away, and the rules that lead to them. How many routes those
/// were.
Result<size_t> remove_guards(netlink::Netlink& netlink, uint32_t metric);

/// Whether the host has all guards and rules that a client with these settings sets.
Result<bool> guards_stand(netlink::Netlink& netlink, std::span<const Prefix> allowed_ips,
                          std::span<const Endpoint> endpoints, uint32_t metric,
                          Reach reach = Reach::kAsNeeded);

/// The routes through the device that the guards stand beside; they go with it.
Result<void> add_routes(netlink::Netlink& netlink, const RoutingPlan& plan, int device);
/// Adds what the host lacks of guards, rules and, with a device, of the routes through it, bounded
/// to `mtu`. Names what that was.
Result<std::vector<std::string>> restore_routing(netlink::Netlink& netlink, const RoutingPlan& plan,
                                                 uint32_t metric, std::optional<int> device,
                                                 uint16_t mtu);
/// Bounds what takes these routes to an MTU below the device's; 0: lifts the bound.
Result<void> bound_routes(netlink::Netlink& netlink, const RoutingPlan& plan, int device,
                          uint16_t mtu);

}  // namespace jvpn::client::tunnel
