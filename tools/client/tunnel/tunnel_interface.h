// The tunnel as the host sees it: the TUN device with its addresses, MTU, routes and rules. All of
// it is gone when the object goes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/result.h"
#include "tools/client/netlink/netlink.h"
#include "tools/client/tunnel/routing.h"
#include "tools/client/tunnel/tun.h"

namespace jvpn::client::tunnel {

class TunnelInterface {
 public:
  /// Creates the device, without addresses or routes. Endpoints: those that the tunnel's own
  /// packets go to.
  static Result<std::unique_ptr<TunnelInterface>> create(const std::string& name,
                                                         std::vector<Prefix> allowed_ips,
                                                         std::vector<Endpoint> endpoints);

  Tun& tun() { return *tun_; }
  /// Firewall mark that the tunnel's sockets must carry; nullopt when no route could catch them.
  std::optional<uint32_t> mark() const;
  uint16_t mtu() const { return mtu_; }
  std::span<const Prefix> addresses() const { return addresses_; }

  /// Brings the device up with exactly these addresses, and sets routes and rules if they are not
  /// set yet. Repeatable. On failure the host may be left half configured until the object goes.
  Result<void> configure(std::vector<Prefix> addresses, uint16_t mtu);
  Result<void> set_mtu(uint16_t mtu);

 private:
  TunnelInterface() = default;
  Result<void> replace_addresses(std::vector<Prefix> addresses);

  std::vector<Prefix> allowed_ips_;
  std::vector<Endpoint> endpoints_;
  std::optional<uint32_t> routing_slot_;
  std::vector<Prefix> addresses_;
  uint16_t mtu_ = 0;
  std::unique_ptr<netlink::Netlink> netlink_;
  std::unique_ptr<Tun> tun_;
  std::unique_ptr<Routing> routing_;  ///< before the others: taken back while the device is there
};

}  // namespace jvpn::client::tunnel
