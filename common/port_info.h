// What is known of an opened port. Written once at start; read by every core.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/ip_header.h"
#include "common/profile.h"

namespace jvpn {

struct PortInfo {
  uint16_t number =
      0;  ///< index among our ports, in profile order; Path::interface, TxRecord::port
  uint16_t dpdk_id = 0;  ///< DPDK's port id; mbuf->port
  std::string name;
  PortRole role = PortRole::kOutside;
  EtherAddress mac{};
  uint16_t mtu = 1500;
  std::vector<Prefix> addresses;
  std::vector<IpAddress> gateways;
  std::vector<PortRoute> routes;
  std::vector<PortNeighbor> neighbors;
  bool answers_for_peers = false;  ///< ARP and ND for peers whose sessions we carry; inside
  uint16_t rx_queues = 0;
  uint16_t tx_queues = 0;         ///< one per worker
  bool tx_ipv4_checksum = false;  ///< the port fills IPv4 header checksums
  bool tx_udp_checksum = false;   ///< the port fills UDP checksums
  bool rx_ipv4_checksum = false;  ///< the port judges IPv4 header checksums
  bool from_kernel = false;       ///< packets come as the kernel has them, checksums unfinished
  std::string interface;          ///< the kernel's name of such a port
  std::string warning;            ///< what will go wrong there, and the mend; may be empty

  /// Is that one of its own addresses?
  bool owns(const IpAddress& address) const {
    return std::ranges::any_of(addresses,
                               [&](const Prefix& own) { return own.address == address; });
  }
};

}  // namespace jvpn
