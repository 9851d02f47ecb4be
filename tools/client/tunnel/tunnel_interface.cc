#include "tools/client/tunnel/tunnel_interface.h"

#include <algorithm>
#include <utility>

namespace jvpn::client::tunnel {
namespace {

bool holds(std::span<const Prefix> prefixes, const Prefix& prefix) {
  return std::find(prefixes.begin(), prefixes.end(), prefix) != prefixes.end();
}

}  // namespace

Result<std::unique_ptr<TunnelInterface>> TunnelInterface::create(const std::string& name,
                                                                 std::vector<Prefix> allowed_ips,
                                                                 std::vector<Endpoint> endpoints) {
  std::unique_ptr<TunnelInterface> tunnel(new TunnelInterface);
  tunnel->allowed_ips_ = std::move(allowed_ips);
  tunnel->endpoints_ = std::move(endpoints);
  auto netlink = netlink::Netlink::open();
  if (!netlink) return netlink.error();
  tunnel->netlink_ = std::move(netlink).value();
  auto tun = Tun::create(name);
  if (!tun) return tun.error();
  tunnel->tun_ = std::move(tun).value();
  // A host without IPv6 refuses, and needs nothing.
  (void)tunnel->netlink_->no_generated_address(tunnel->tun_->index());
  const auto& ips = tunnel->allowed_ips_;
  if (std::any_of(ips.begin(), ips.end(),
                  [&](const Prefix& p) { return needs_own_table(p, tunnel->endpoints_); })) {
    const auto slot = claim_routing_slot(*tunnel->netlink_);
    if (!slot) return slot.error();
    tunnel->routing_slot_ = *slot;
  }
  return tunnel;
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
  if (routing_) return {};
  auto routing = Routing::apply(
      *netlink_, plan_routing(allowed_ips_, endpoints_, tun_->index(), routing_slot_.value_or(0)));
  if (!routing) return routing.error();
  routing_ = std::move(routing).value();
  return {};
}

}  // namespace jvpn::client::tunnel
