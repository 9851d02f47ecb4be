#include "tools/client/tunnel/routing.h"

#include <algorithm>
#include <utility>

namespace jvpn::client::tunnel {
namespace {

constexpr uint32_t kMainTable = 254;
constexpr uint32_t kFirstTable = 51'900;
constexpr uint32_t kFirstPriority = 5'190;  // before rules that the kernel numbers by itself
constexpr uint32_t kRulesPerSlot = 3;
constexpr uint32_t kSlots = 64;

netlink::Rule rule_to(Family family, uint32_t priority, uint32_t table) {
  netlink::Rule rule;
  rule.family = family;
  rule.priority = priority;
  rule.table = table;
  return rule;
}

void plan_rules(RoutingPlan& plan, Family family, uint8_t shortest,
                std::span<const Endpoint> endpoints, uint32_t slot) {
  const uint32_t priority = kFirstPriority + slot * kRulesPerSlot;
  for (const Endpoint& endpoint : endpoints) {
    if (endpoint.address.family != family) continue;
    netlink::Rule rule = rule_to(family, priority, kMainTable);
    rule.udp_to = endpoint;
    plan.rules.push_back(rule);
  }
  netlink::Rule suppress = rule_to(family, priority + 1, kMainTable);
  suppress.suppress_up_to = shortest;
  plan.rules.push_back(suppress);
  netlink::Rule unmarked = rule_to(family, priority + 2, routing_mark(slot));
  unmarked.not_mark = routing_mark(slot);
  plan.rules.push_back(unmarked);
}

}  // namespace

uint32_t routing_mark(uint32_t slot) {
  return kFirstTable + slot;
}

bool needs_own_table(const Prefix& prefix, std::span<const Endpoint> endpoints) {
  return prefix.length == 0 ||
         std::any_of(endpoints.begin(), endpoints.end(),
                     [&](const Endpoint& e) { return prefix.contains(e.address); });
}

RoutingPlan plan_routing(std::span<const Prefix> allowed_ips, std::span<const Endpoint> endpoints,
                         int device, uint32_t slot) {
  RoutingPlan plan;
  std::optional<uint8_t> shortest_v4;
  std::optional<uint8_t> shortest_v6;
  for (const Prefix& prefix : allowed_ips) {
    const bool own = needs_own_table(prefix, endpoints);
    plan.routes.push_back({prefix, device, own ? routing_mark(slot) : kMainTable});
    if (!own) continue;
    auto& shortest = prefix.address.is_v4() ? shortest_v4 : shortest_v6;
    shortest = std::min(shortest.value_or(prefix.length), prefix.length);
  }
  if (shortest_v4) plan_rules(plan, Family::kIpv4, *shortest_v4, endpoints, slot);
  if (shortest_v6) plan_rules(plan, Family::kIpv6, *shortest_v6, endpoints, slot);
  return plan;
}

Result<uint32_t> claim_routing_slot(netlink::Netlink& netlink) {
  const auto rules = netlink.our_rules();
  if (!rules) return rules.error();
  for (uint32_t slot = 0; slot < kSlots; ++slot) {
    const auto used = netlink.table_has_routes(routing_mark(slot));
    if (!used) return used.error();
    if (*used) continue;
    const uint32_t first = kFirstPriority + slot * kRulesPerSlot;
    for (const netlink::Rule& rule : *rules) {
      if (rule.priority < first || rule.priority >= first + kRulesPerSlot) continue;
      if (const auto removed = netlink.remove_rule(rule); !removed) return removed.error();
    }
    return slot;
  }
  return Error{"routing: tables 51900 to 51963 are all in use"};
}

Result<std::unique_ptr<Routing>> Routing::apply(netlink::Netlink& netlink,
                                                const RoutingPlan& plan) {
  std::unique_ptr<Routing> routing(new Routing(netlink));
  for (const netlink::Route& route : plan.routes) {
    if (const auto added = netlink.add_route(route); !added) return added.error();
    routing->applied_.routes.push_back(route);
  }
  for (const netlink::Rule& rule : plan.rules) {
    if (const auto added = netlink.add_rule(rule); !added) return added.error();
    routing->applied_.rules.push_back(rule);
  }
  return routing;
}

// What fails here is gone already: routes leave with their device.
Routing::~Routing() {
  auto& [routes, rules] = applied_;
  for (; !rules.empty(); rules.pop_back()) (void)netlink_.remove_rule(rules.back());
  for (; !routes.empty(); routes.pop_back()) (void)netlink_.remove_route(routes.back());
}

}  // namespace jvpn::client::tunnel
