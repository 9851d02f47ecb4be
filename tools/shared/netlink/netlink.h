// The host's network configuration by rtnetlink (rtnetlink(7)): links, addresses, routes and rules.
// Each call is one request and its answer; errors carry the kernel's extended text.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/result.h"

struct mnl_socket;
struct nlmsghdr;

namespace jvpn::netlink {

// Of routes and rules (rtm_protocol); not assigned by iproute2. FRR takes 186 to 198 for its own.
inline constexpr uint8_t kOurProtocol = 190;     ///< jvpn-client's
inline constexpr uint8_t kCarriedProtocol = 74;  ///< jvpn routes'

/// A route through a device, or one that makes its prefix unreachable.
struct Route {
  Prefix to;
  int device = 0;        ///< interface index; 0: unreachable
  uint32_t table = 254;  ///< main
  uint32_t metric = 0;   ///< of several to one prefix the lowest counts; 0: the kernel's choice
  uint16_t mtu = 0;      ///< of packets that take it, and TCP's segments; 0: the device's
  auto operator<=>(const Route&) const = default;
};

/// A rule of policy routing (ip-rule(8)): matching packets are looked up in `table`.
struct Rule {
  Family family = Family::kIpv4;
  uint32_t priority = 0;
  uint32_t table = 254;
  std::optional<uint32_t> not_mark;       ///< packets without this firewall mark
  std::optional<uint8_t> suppress_up_to;  ///< routes of this prefix length or shorter don't count
  std::optional<Endpoint> udp_to;         ///< UDP to this address and port
  auto operator<=>(const Rule&) const = default;
};

/// The route of an RTM_NEWROUTE or RTM_DELROUTE that is not kOurProtocol's and leads anywhere;
/// nullopt: it is another.
std::optional<Route> other_route(const nlmsghdr* message);

struct CloseSocket {
  void operator()(mnl_socket* socket) const;
};

/// One rtnetlink socket. One thread; every call blocks for the kernel's answer alone. What is gone
/// already counts as removed.
class Netlink {
 public:
  /// `protocol` marks routes and rules as ours, and tells them from everybody else's.
  static Result<std::unique_ptr<Netlink>> open(uint8_t protocol = kOurProtocol);

  Result<void> set_link(int device, bool up, std::optional<uint16_t> mtu);
  /// Keeps the kernel from giving the device an IPv6 link-local address. Before it goes up.
  Result<void> no_generated_address(int device);
  /// Adds an address without a route to its prefix: routes are the caller's.
  Result<void> add_address(int device, const Prefix& address);
  Result<void> remove_address(int device, const Prefix& address);
  /// Fails when the table has a route to that very prefix with that metric.
  Result<void> add_route(const Route& route);
  /// The route to that prefix with that metric, whatever it was.
  Result<void> replace_route(const Route& route);
  Result<void> remove_route(const Route& route);
  /// Fails when no route leads by the device to an IPv4 endpoint, for UDP with a firewall mark.
  /// (Whoever only connects a bound socket isn't told: the kernel then takes any IPv4 address for
  /// a neighbour.)
  Result<void> find_route(int device, const Endpoint& to, std::optional<uint32_t> mark);
  Result<void> add_rule(const Rule& rule);
  Result<void> remove_rule(const Rule& rule);

  /// Those that carry our protocol number, whichever program run set them; routes of one table, or
  /// of all.
  Result<std::vector<Rule>> our_rules();
  Result<std::vector<Route>> our_routes(uint32_t table = 0) { return routes(true, table); }
  /// Those of everybody else that lead anywhere.
  Result<std::vector<Route>> other_routes() { return routes(false, 0); }
  /// Does a routing table hold any route, of either family?
  Result<bool> table_has_routes(uint32_t table);

 private:
  Netlink(mnl_socket* socket, uint8_t protocol) : socket_(socket), protocol_(protocol) {}
  Result<std::vector<Route>> routes(bool ours, uint32_t table);
  Result<void> send(nlmsghdr* message, int flags, const std::string& what);
  ssize_t receive(std::span<uint8_t> buffer);
  /// `fine`: error numbers that say that the wanted state is there already.
  Result<void> talk(nlmsghdr* message, const std::string& what,
                    std::initializer_list<int> fine = {});
  template <typename Visit>
  Result<void> dump(nlmsghdr* message, const char* what, Visit visit);

  std::unique_ptr<mnl_socket, CloseSocket> socket_;
  uint8_t protocol_;
  uint32_t sequence_ = 0;
};

}  // namespace jvpn::netlink
