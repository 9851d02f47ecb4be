#include "tools/client/tunnel/routing.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace jvpn::client::tunnel {
namespace {

constexpr uint32_t kMainTable = 254;
constexpr uint32_t kFirstTable = 51'900;
constexpr uint32_t kFirstPriority = 5'190;  // before rules that the kernel numbers by itself
constexpr uint32_t kRulesPerSlot = 3;
constexpr uint32_t kSlots = 64;
// Routes of main that are wider than any local network, as 0.0.0.0/1 and 128.0.0.0/1, would go
// before a default route of ours. 10.0.0.0/8 and fc00::/7 still do.
constexpr uint8_t kWiderThanLocalV4 = 7;
constexpr uint8_t kWiderThanLocalV6 = 6;
constexpr uint32_t kWorstMetrics = 0x8000'0000;  // and those above

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
  suppress.suppress_up_to =
      std::max(shortest, family == Family::kIpv4 ? kWiderThanLocalV4 : kWiderThanLocalV6);
  plan.rules.push_back(suppress);
  netlink::Rule unmarked = rule_to(family, priority + 2, routing_mark(slot));
  unmarked.not_mark = routing_mark(slot);
  plan.rules.push_back(unmarked);
}

/// The slot whose rule it is; kSlots or more: none.
uint32_t slot_of(const netlink::Rule& rule) {
  return rule.priority < kFirstPriority ? kSlots : (rule.priority - kFirstPriority) / kRulesPerSlot;
}

/// What the host has of ours.
struct Found {
  std::vector<netlink::Route> guards;  ///< of one metric
  std::set<uint32_t> slots;            ///< whose tables hold them
  std::vector<netlink::Rule> rules;    ///< of all clients
};

Result<Found> find_ours(netlink::Netlink& netlink, uint32_t metric) {
  auto routes = netlink.our_routes();
  if (!routes) return routes.error();
  auto rules = netlink.our_rules();
  if (!rules) return rules.error();
  Found found{{}, {}, std::move(rules).value()};
  for (const netlink::Route& route : *routes) {
    if (route.device != 0 || route.metric != metric) continue;
    found.guards.push_back(route);
    const bool own = route.table >= kFirstTable && route.table < kFirstTable + kSlots;
    if (own) found.slots.insert(route.table - kFirstTable);
  }
  return found;
}

bool leads_to(const Found& found, const netlink::Rule& rule) {
  return found.slots.contains(slot_of(rule));
}

template <typename T>
bool lists(const std::vector<T>& all, const T& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

/// The guards that a route of the tunnel stands beside.
std::span<const netlink::Route> carried(const RoutingPlan& plan) {
  return std::span(plan.guards).first(plan.carried);
}

/// What of the plan the host lacks, as people name it.
std::vector<std::string> lacking(const Found& found, const RoutingPlan& plan) {
  std::vector<std::string> names;
  for (const netlink::Route& guard : plan.guards)
    if (!lists(found.guards, guard)) names.push_back("unreachable route " + to_string(guard.to));
  for (const netlink::Rule& rule : plan.rules)
    if (!lists(found.rules, rule))
      names.push_back((rule.family == Family::kIpv4 ? "IPv4 rule " : "IPv6 rule ") +
                      std::to_string(rule.priority));
  return names;
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

uint32_t guard_metric(std::string_view interface) {
  uint32_t hash = 2'166'136'261;  // FNV-1a
  for (const char letter : interface) hash = (hash ^ static_cast<uint8_t>(letter)) * 16'777'619;
  return kWorstMetrics | (hash & ~kWorstMetrics);
}

RoutingPlan plan_routing(std::span<const Prefix> allowed_ips, std::span<const Endpoint> endpoints,
                         uint32_t metric, uint32_t slot, Reach reach) {
  RoutingPlan plan;
  std::optional<uint8_t> shortest_v4;
  std::optional<uint8_t> shortest_v6;
  for (const Prefix& prefix : allowed_ips) {
    const bool own = reach != Reach::kAsNeeded || needs_own_table(prefix, endpoints);
    plan.guards.push_back({prefix, 0, own ? routing_mark(slot) : kMainTable, metric});
    if (!own) continue;
    auto& shortest = prefix.address.is_v4() ? shortest_v4 : shortest_v6;
    shortest = std::min(shortest.value_or(prefix.length), prefix.length);
  }
  plan.carried = plan.guards.size();
  if (reach == Reach::kEverything) {
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      const netlink::Route all{{{family, {}}, 0}, 0, routing_mark(slot), metric};
      if (!lists(plan.guards, all)) plan.guards.push_back(all);
    }
    shortest_v4 = shortest_v6 = 0;
  }
  if (shortest_v4) plan_rules(plan, Family::kIpv4, *shortest_v4, endpoints, slot);
  if (shortest_v6) plan_rules(plan, Family::kIpv6, *shortest_v6, endpoints, slot);
  return plan;
}

Result<uint32_t> claim_routing_slot(netlink::Netlink& netlink, uint32_t metric) {
  const auto found = find_ours(netlink, metric);
  if (!found) return found.error();
  if (!found->slots.empty()) return *found->slots.begin();
  for (uint32_t slot = 0; slot < kSlots; ++slot) {
    const auto used = netlink.table_has_routes(routing_mark(slot));
    if (!used) return used.error();
    if (*used) continue;
    for (const netlink::Rule& rule : found->rules) {
      if (slot_of(rule) != slot) continue;  // an empty table needs none
      if (const auto removed = netlink.remove_rule(rule); !removed) return removed.error();
    }
    return slot;
  }
  return Error{"routing: tables 51900 to 51963 are all in use"};
}

Result<void> install_guards(netlink::Netlink& netlink, const RoutingPlan& plan, uint32_t metric) {
  const auto found = find_ours(netlink, metric);
  if (!found) return found.error();
  for (const netlink::Route& guard : plan.guards)
    if (!lists(found->guards, guard))
      if (auto added = netlink.add_route(guard); !added) return added;
  for (const netlink::Rule& rule : plan.rules)
    if (!lists(found->rules, rule))
      if (auto added = netlink.add_rule(rule); !added) return added;
  for (const netlink::Rule& rule : found->rules)
    if (leads_to(*found, rule) && !lists(plan.rules, rule))
      if (auto removed = netlink.remove_rule(rule); !removed) return removed;
  for (const netlink::Route& guard : found->guards)
    if (!lists(plan.guards, guard))
      if (auto removed = netlink.remove_route(guard); !removed) return removed;
  return {};
}

Result<std::vector<std::string>> routes_before_guards(netlink::Netlink& netlink,
                                                      const RoutingPlan& plan) {
  const auto routes = netlink.other_routes();
  if (!routes) return routes.error();
  std::vector<std::string> names;
  for (const netlink::Route& route : *routes) {
    const bool before =
        std::any_of(plan.guards.begin(), plan.guards.end(), [&](const netlink::Route& guard) {
          return guard.table == kMainTable && route.table == kMainTable && route.to == guard.to &&
                 route.metric < guard.metric;
        });
    if (before) names.push_back(to_string(route.to) + " metric " + std::to_string(route.metric));
  }
  return names;
}

Result<bool> guards_stand(netlink::Netlink& netlink, std::span<const Prefix> allowed_ips,
                          std::span<const Endpoint> endpoints, uint32_t metric, Reach reach) {
  const auto found = find_ours(netlink, metric);
  if (!found) return found.error();
  const uint32_t slot = found->slots.empty() ? 0 : *found->slots.begin();
  return lacking(*found, plan_routing(allowed_ips, endpoints, metric, slot, reach)).empty();
}

Result<size_t> remove_guards(netlink::Netlink& netlink, uint32_t metric) {
  const auto found = find_ours(netlink, metric);
  if (!found) return found.error();
  if (const auto done = install_guards(netlink, {}, metric); !done) return done.error();
  return found->guards.size();
}

Result<void> add_routes(netlink::Netlink& netlink, const RoutingPlan& plan, int device) {
  for (const netlink::Route& guard : carried(plan))
    if (auto added = netlink.add_route({guard.to, device, guard.table}); !added) return added;
  return {};
}

Result<std::vector<std::string>> restore_routing(netlink::Netlink& netlink, const RoutingPlan& plan,
                                                 uint32_t metric, std::optional<int> device,
                                                 uint16_t mtu) {
  const auto found = find_ours(netlink, metric);
  if (!found) return found.error();
  std::vector<std::string> restored = lacking(*found, plan);
  if (!restored.empty())
    if (const auto set = install_guards(netlink, plan, metric); !set) return set.error();
  if (!device) return restored;
  const auto routes = netlink.our_routes();
  if (!routes) return routes.error();
  for (const netlink::Route& guard : carried(plan)) {
    const bool there = std::any_of(routes->begin(), routes->end(), [&](const netlink::Route& r) {
      return r.to == guard.to && r.table == guard.table && r.device == *device;
    });
    if (there) continue;
    if (const auto added = netlink.add_route({guard.to, *device, guard.table, 0, mtu}); !added)
      return added.error();
    restored.push_back("route " + to_string(guard.to));
  }
  return restored;
}

Result<void> bound_routes(netlink::Netlink& netlink, const RoutingPlan& plan, int device,
                          uint16_t mtu) {
  for (const netlink::Route& guard : carried(plan))
    if (auto set = netlink.replace_route({guard.to, device, guard.table, 0, mtu}); !set) return set;
  return {};
}

}  // namespace jvpn::client::tunnel
