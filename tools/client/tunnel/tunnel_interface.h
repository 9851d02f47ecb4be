// The tunnel as the host sees it: the TUN device with its addresses, MTU, routes, rules and guards.
// Device, addresses and routes are gone when the object goes; guards and rules stay (routing.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/result.h"
#include "tools/client/tunnel/guard_watch.h"
#include "tools/client/tunnel/routing.h"
#include "tools/client/tunnel/tun.h"
#include "tools/shared/netlink/netlink.h"

namespace jvpn::client::tunnel {

class TunnelInterface {
 public:
  /// Sets the guards, then creates the device, without addresses or routes. Endpoints: those that
  /// the tunnel's own packets go to. On failure guards may stay: nothing leaves in the clear.
  static Result<std::unique_ptr<TunnelInterface>> create(const std::string& name,
                                                         std::span<const Prefix> allowed_ips,
                                                         std::span<const Endpoint> endpoints,
                                                         Reach reach = Reach::kAsNeeded);
  /// The gateway has these addresses from now on. Not for Reach::kAsNeeded.
  Result<void> set_endpoints(std::span<const Endpoint> endpoints);

  Tun& tun() { return *tun_; }
  /// Firewall mark that the tunnel's sockets must carry; nullopt when no route could catch them.
  std::optional<uint32_t> mark() const;
  uint16_t mtu() const { return mtu_; }
  std::span<const Prefix> addresses() const { return addresses_; }

  /// Brings the device up with exactly these addresses, and sets routes and rules if they are not
  /// set yet. Repeatable. On failure the host may be left half configured until the object goes.
  Result<void> configure(std::vector<Prefix> addresses, uint16_t mtu);
  Result<void> set_mtu(uint16_t mtu);
  /// What takes the tunnel's routes may be smaller than the device's MTU, which IPv6 bounds: the
  /// kernel then makes smaller TCP segments, and fragments what comes from this host. 0: no bound.
  Result<void> bound_routes(uint16_t mtu);
  /// Routes of others that go before a guard (routing.h); looked up at every call.
  Result<std::vector<std::string>> routes_before_guards() {
    return tunnel::routes_before_guards(*netlink_, plan_);
  }
  /// Readable when take_guard_news() has something.
  int guards_descriptor() const { return watch_->fd(); }
  /// What has become of rules and routes since; never blocks.
  GuardNews take_guard_news() { return watch_->take(plan_.guards); }
  /// Sets again what somebody took away of guards, rules and routes; names it. Empty: nothing.
  Result<std::vector<std::string>> restore();
  /// Takes guards and rules away: from then on the host's traffic goes where it went before.
  Result<void> release();

 private:
  TunnelInterface() = default;
  Result<void> replace_addresses(std::vector<Prefix> addresses);

  Result<void> set_guards(const std::string& name, std::span<const Endpoint> endpoints);

  std::unique_ptr<GuardWatch> watch_;  ///< opened before the guards are set: misses nothing
  uint32_t guard_metric_ = 0;
  std::vector<Prefix> allowed_ips_;
  Reach reach_ = Reach::kAsNeeded;
  RoutingPlan plan_;
  std::optional<uint32_t> routing_slot_;
  std::vector<Prefix> addresses_;
  uint16_t mtu_ = 0;
  std::unique_ptr<netlink::Netlink> netlink_;
  std::unique_ptr<Tun> tun_;
  bool routed_ = false;
  uint16_t routes_mtu_ = 0;
};

/// Takes away the guards and rules of an interface whose client has ended; how many routes those
/// were. Fails while the interface is there: its client runs.
Result<size_t> release_guards(const std::string& interface);

/// Whether all guards and rules of such a client stand, so that nothing leaves without the tunnel.
/// False when the host can't be asked.
bool host_is_closed(const std::string& interface, std::span<const Prefix> allowed_ips,
                    std::span<const Endpoint> endpoints, Reach reach = Reach::kAsNeeded);

}  // namespace jvpn::client::tunnel
