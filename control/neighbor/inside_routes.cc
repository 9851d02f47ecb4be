#include "control/neighbor/inside_routes.h"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "common/assert.h"
#include "common/ip_header.h"

namespace jvpn::neighbor {
namespace {

constexpr Millis kRetryEvery{1'000};

Prefix host_prefix(const IpAddress& address) {
  return {address, address.bits()};
}

Prefix default_prefix(Family family) {
  return {IpAddress{family, {}}, 0};
}

}  // namespace

InsideRoutes::InsideRoutes(std::span<const PortInfo> ports, Neighbors& neighbors,
                           RouteTable& routes, SessionTable& table, publish::Reclaimer& reclaimer)
    : ports_(ports), neighbors_(neighbors), routes_(routes), table_(table), reclaimer_(reclaimer) {
  for (const PortInfo& port : ports_)
    if (port.role == PortRole::kInside) add_rules(port);
  std::ranges::stable_sort(rules_, std::greater{}, [](const Rule& rule) { return rule.to.length; });
}

InsideRoutes::~InsideRoutes() {
  for (auto& [key, hop] : hops_) table_.store_next_hop(hop.number, nullptr);
  reclaimer_.flush();  // deferred frees point into the slab
  for (auto& [key, hop] : hops_) slab_.destroy(hop.record);
}

void InsideRoutes::add_rules(const PortInfo& port) {
  for (const Prefix& own : port.addresses) rules_.push_back({own.network(), port.number, {}});
  for (const PortRoute& route : port.routes)
    rules_.push_back({route.to.network(), port.number, route.via});
  for (const IpAddress& gateway : port.gateways)
    rules_.push_back({default_prefix(gateway.family), port.number, gateway});
}

Result<void> InsideRoutes::install(Millis now) {
  for (const Rule& rule : rules_) {
    if (auto added = routes_.add(rule.to, Target::glean(rule.port)); !added) return added;
    if (rule.via) neighbors_.watch(now, {rule.port, *rule.via});
  }
  for (const PortInfo& port : ports_) {
    if (port.role != PortRole::kInside) continue;
    for (const Prefix& own : port.addresses)
      if (auto added = routes_.add(host_prefix(own.address), Target::local(port.number)); !added)
        return added;
  }
  for (const PortInfo& port : ports_) {
    if (port.role != PortRole::kInside) continue;
    for (const PortNeighbor& each : port.neighbors)
      if (auto done = publish({port.number, each.address}, each.mac); !done) return done;
  }
  return {};
}

std::optional<NeighborKey> InsideRoutes::next_hop(const IpAddress& destination) const {
  for (const Rule& rule : rules_)
    if (rule.to.contains(destination))
      return NeighborKey{rule.port, rule.via.value_or(destination)};
  return std::nullopt;
}

std::optional<IpAddress> InsideRoutes::own_address(Family family) const {
  for (const PortInfo& port : ports_) {
    if (port.role != PortRole::kInside) continue;
    for (const Prefix& own : port.addresses)
      if (own.address.family == family) return own.address;
  }
  return std::nullopt;
}

bool InsideRoutes::owns(const Prefix& network) const {
  for (const Rule& rule : rules_)
    if (rule.to == network) return true;
  if (!network.is_host()) return false;
  for (const PortInfo& port : ports_) {
    if (port.role != PortRole::kInside) continue;
    for (const Prefix& own : port.addresses)
      if (own.address == network.address) return true;
  }
  const auto neighbor = next_hop(network.address);
  return neighbor && neighbor->address == network.address && published(*neighbor);
}

void InsideRoutes::neighbor_changed(const NeighborKey& key,
                                    const std::optional<EtherAddress>& mac) {
  JVPN_ASSERT(key.port < ports_.size(), "neighbours are on ports that there are");
  if (ports_[key.port].role != PortRole::kInside) return;
  if (!mac) {
    withdraw(key);
  } else if (auto done = publish(key, *mac); !done) {
    spdlog::warn("next hop {}: {}; its packets are dropped until there is room",
                 to_string(key.address), done.error().message);
  }
}

void InsideRoutes::retry(Millis now, const NeighborKey& key, const EtherAddress& mac) {
  if (now < retry_at_) return;
  retry_at_ = now + kRetryEvery;
  neighbor_changed(key, mac);
}

/// Record first, routes after: no worker meets a route to an empty number. All of it, or nothing.
Result<void> InsideRoutes::publish(const NeighborKey& key, const EtherAddress& mac) {
  const auto known = hops_.find(key);
  const auto number = known != hops_.end() ? known->second.number : take_number();
  if (!number) return Error{"no number left: " + std::to_string(kMaxNextHops) + " are in use"};
  NextHop* record = slab_.make<NextHop>();
  if (record == nullptr) {
    if (known == hops_.end()) free_numbers_.push_back(*number);
    return Error{"no DPDK memory for its record: raise memory.megabytes"};
  }
  const PortInfo& port = ports_[key.port];
  record->port = key.port;
  record->mtu = port.mtu;
  record->set_addresses(mac, port.mac);
  const NextHop* old = table_.store_next_hop(*number, record);
  JVPN_ASSERT(old == (known != hops_.end() ? known->second.record : nullptr),
              "nobody else writes the table");
  hops_[key] = {*number, record};
  if (old != nullptr) {
    reclaimer_.defer([this, old] { slab_.destroy(old); });
    return {};
  }
  auto done = point(key, Target::next_hop(*number));
  if (!done) withdraw(key);
  return done;
}

/// Routes first, record after; the number is used again once no worker can hold it.
void InsideRoutes::withdraw(const NeighborKey& key) {
  const auto known = hops_.find(key);
  if (known == hops_.end()) return;
  const Hop left = known->second;
  hops_.erase(known);
  (void)point(key, Target::glean(key.port));
  const NextHop* hidden = table_.store_next_hop(left.number, nullptr);
  JVPN_ASSERT(hidden == left.record, "nobody else writes the table");
  reclaimer_.defer([this, left] {
    slab_.destroy(left.record);
    free_numbers_.push_back(left.number);
  });
}

/// Sets every route that goes by the neighbour, and its own host route. After an Error some are
/// set; to the link they always can be, so that it undoes.
Result<void> InsideRoutes::point(const NeighborKey& key, Target target) {
  const bool resolved = target.kind() == Target::Kind::kNextHop;
  bool host_is_rule = false;
  for (const Rule& rule : rules_) {
    if (rule.to == host_prefix(key.address)) host_is_rule = true;
    if (rule.port != key.port || rule.via != key.address) continue;
    if (auto done = routes_.add(rule.to, target); !done && resolved) return done;
  }
  if (!host_is_rule && next_hop(key.address) == key) {
    if (!resolved) {
      routes_.remove(host_prefix(key.address));
    } else if (auto done = routes_.add(host_prefix(key.address), target); !done) {
      return done;
    }
  }
  return {};
}

std::optional<uint32_t> InsideRoutes::take_number() {
  if (!free_numbers_.empty()) {
    const uint32_t number = free_numbers_.back();
    free_numbers_.pop_back();
    JVPN_ASSERT(number < next_number_, "a number that was given out before");
    return number;
  }
  if (next_number_ >= kMaxNextHops) return std::nullopt;
  return next_number_++;
}

}  // namespace jvpn::neighbor
