// The inside networks as workers see them: connected prefixes, routes via neighbours, our own
// addresses, and one host route with a NextHop record for each resolved neighbour.
//
// A route via a neighbour points to the link (glean) until the neighbour is resolved, and again
// when it fails. Control thread only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "common/ip_header.h"
#include "common/port_info.h"
#include "common/result.h"
#include "common/route_table.h"
#include "common/session_table.h"
#include "control/neighbor/neighbors.h"
#include "control/publish/reclaimer.h"
#include "control/publish/slab.h"

namespace jvpn::neighbor {

class InsideRoutes {
 public:
  /// Everything passed outlives it, and no worker reads the tables any more when it goes.
  InsideRoutes(std::span<const PortInfo> ports, Neighbors& neighbors, RouteTable& routes,
               SessionTable& table, publish::Reclaimer& reclaimer);
  ~InsideRoutes();
  InsideRoutes(const InsideRoutes&) = delete;
  InsideRoutes& operator=(const InsideRoutes&) = delete;

  /// Adds what the ports are configured with, and begins to resolve the neighbours of their routes.
  Result<void> install(Millis now);
  /// The neighbour that an inside destination is reached by; nullopt when it is on no inside link
  /// and no inside route covers it.
  std::optional<NeighborKey> next_hop(const IpAddress& destination) const;
  /// Publishes, replaces or withdraws what goes by this neighbour.
  void neighbor_changed(const NeighborKey& key, const std::optional<EtherAddress>& mac);
  /// Once a second at most: publishes a resolved neighbour that there was no room for.
  void retry(Millis now, const NeighborKey& key, const EtherAddress& mac);

  /// Our inside address of a family, for the source of ICMP errors.
  std::optional<IpAddress> own_address(Family family) const;
  /// Whether the route to exactly this network leads inside: it is a port's own, its neighbour's or
  /// its configured one.
  bool owns(const Prefix& network) const;
  /// Whether workers can reach this neighbour.
  bool published(const NeighborKey& key) const { return hops_.contains(key); }

 private:
  struct Rule {
    Prefix to;
    uint16_t port = 0;
    std::optional<IpAddress> via;  ///< none: on the link itself
  };
  struct Hop {
    uint32_t number = 0;
    const NextHop* record = nullptr;
  };

  void add_rules(const PortInfo& port);
  std::optional<uint32_t> take_number();
  Result<void> publish(const NeighborKey& key, const EtherAddress& mac);
  void withdraw(const NeighborKey& key);
  Result<void> point(const NeighborKey& key, Target target);

  std::span<const PortInfo> ports_;
  Neighbors& neighbors_;
  RouteTable& routes_;
  SessionTable& table_;
  publish::Reclaimer& reclaimer_;
  publish::Slab slab_;
  std::vector<Rule> rules_;  ///< longest prefix first
  std::map<NeighborKey, Hop> hops_;
  std::vector<uint32_t> free_numbers_;
  Millis retry_at_;
  uint32_t next_number_ = 0;
};

}  // namespace jvpn::neighbor
