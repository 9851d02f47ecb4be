#include "tools/client/tunnel/tunnel_interface.h"

#include <algorithm>
#include <utility>

#include <net/if.h>

#include "common/assert.h"

namespace jvpn::client::tunnel {
namespace {

bool holds(std::span<const Prefix> prefixes, const Prefix& prefix) {
  return std::find(prefixes.begin(), prefixes.end(), prefix) != prefixes.end();
}

}  // namespace

Result<std::unique_ptr<TunnelInterface>> TunnelInterface::create(
    const std::string& name, std::span<const Prefix> allowed_ips,
    std::span<const Endpoint> endpoints, Reach reach) {
  if (::if_nametoindex(name.c_str()) != 0)
    return Error{"TUN " + name + ": a device of that name exists (does another jvpn-client run?)"};
  std::unique_ptr<TunnelInterface> tunnel(new TunnelInterface);
  auto netlink = netlink::Netlink::open();
  if (!netlink) return netlink.error();
  tunnel->netlink_ = std::move(netlink).value();
  auto watch = GuardWatch::open();
  if (!watch) return watch.error();
  tunnel->watch_ = std::move(watch).value();
  tunnel->allowed_ips_.assign(allowed_ips.begin(), allowed_ips.end());
  tunnel->reach_ = reach;
  if (const auto set = tunnel->set_guards(name, endpoints); !set) return set.error();
  auto tun = Tun::create(name);
  if (!tun) return tun.error();
  tunnel->tun_ = std::move(tun).value();
  // A host without IPv6 refuses, and needs nothing.
  (void)tunnel->netlink_->no_generated_address(tunnel->tun_->index());
  return tunnel;
}

Result<void> TunnelInterface::set_guards(const std::string& name,
                                         std::span<const Endpoint> endpoints) {
  guard_metric_ = guard_metric(name);
  if (reach_ != Reach::kAsNeeded ||
      std::any_of(allowed_ips_.begin(), allowed_ips_.end(),
                  [&](const Prefix& p) { return needs_own_table(p, endpoints); })) {
    const auto slot = claim_routing_slot(*netlink_, guard_metric_);
    if (!slot) return slot.error();
    routing_slot_ = *slot;
  }
  plan_ = plan_routing(allowed_ips_, endpoints, guard_metric_, routing_slot_.value_or(0), reach_);
  return install_guards(*netlink_, plan_, guard_metric_);
}

Result<void> TunnelInterface::set_endpoints(std::span<const Endpoint> endpoints) {
  JVPN_ASSERT(reach_ != Reach::kAsNeeded, "prefixes would have to change tables");
  plan_ = plan_routing(allowed_ips_, endpoints, guard_metric_, routing_slot_.value_or(0), reach_);
  return install_guards(*netlink_, plan_, guard_metric_);
}

std::optional<uint32_t> TunnelInterface::mark() const {
  return routing_slot_ ? std::optional(routing_mark(*routing_slot_)) : std::nullopt;
}

Result<void> TunnelInterface::set_mtu(uint16_t mtu) {
  if (mtu == mtu_) return {};
  if (auto set = netlink_->set_link(tun_->index(), true, mtu); !set) return set;
  mtu_ = mtu;
  return {};
}

Result<void> TunnelInterface::bound_routes(uint16_t mtu) {
  if (!routed_ || mtu == routes_mtu_) return {};
  if (auto set = tunnel::bound_routes(*netlink_, plan_, tun_->index(), mtu); !set) return set;
  routes_mtu_ = mtu;
  return {};
}

Result<void> TunnelInterface::replace_addresses(std::vector<Prefix> addresses) {
  for (const Prefix& address : addresses) {
    if (holds(addresses_, address)) continue;
    if (auto added = netlink_->add_address(tun_->index(), address); !added) return added;
  }
  for (const Prefix& address : addresses_) {
    if (holds(addresses, address)) continue;
    if (auto removed = netlink_->remove_address(tun_->index(), address); !removed) return removed;
  }
  addresses_ = std::move(addresses);
  return {};
}

Result<void> TunnelInterface::configure(std::vector<Prefix> addresses, uint16_t mtu) {
  if (auto set = set_mtu(mtu); !set) return set;
  if (auto replaced = replace_addresses(std::move(addresses)); !replaced) return replaced;
  if (routed_) return {};
  if (auto added = add_routes(*netlink_, plan_, tun_->index()); !added) return added;
  routed_ = true;
  return {};
}

Result<std::vector<std::string>> TunnelInterface::restore() {
  const auto device = routed_ ? std::optional(tun_->index()) : std::nullopt;
  return restore_routing(*netlink_, plan_, guard_metric_, device, routes_mtu_);
}

Result<void> TunnelInterface::release() {
  const auto removed = remove_guards(*netlink_, guard_metric_);
  return removed ? Result<void>{} : Result<void>(removed.error());
}

Result<size_t> release_guards(const std::string& interface) {
  if (::if_nametoindex(interface.c_str()) != 0)
    return Error{"interface " + interface + " is there: end its jvpn-client first"};
  const auto netlink = netlink::Netlink::open();
  if (!netlink) return netlink.error();
  return remove_guards(**netlink, guard_metric(interface));
}

bool host_is_closed(const std::string& interface, std::span<const Prefix> allowed_ips,
                    std::span<const Endpoint> endpoints, Reach reach) {
  const auto netlink = netlink::Netlink::open();
  if (!netlink) return false;
  const auto stand =
      guards_stand(**netlink, allowed_ips, endpoints, guard_metric(interface), reach);
  return stand && *stand;
}

}  // namespace jvpn::client::tunnel
