// What a worker reads of a port per packet, packed from PortInfo once at start.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "common/port_info.h"

namespace jvpn {

struct PortView {
  uint64_t mac = 0;            ///< its 6 bytes as they lie in a frame, in the low 48 bits
  std::vector<uint32_t> ipv4;  ///< network byte order
  std::vector<std::array<uint8_t, 16>> ipv6;  ///< with the link-local address made from the MAC
  uint16_t number = 0;
  uint16_t dpdk_id = 0;
  PortRole role = PortRole::kOutside;
  bool rx_ipv4_checksum = false;
  bool tx_udp_checksum = false;

  explicit PortView(const PortInfo& port);

  bool owns_ipv4(const uint8_t* address) const {
    uint32_t word;
    __builtin_memcpy(&word, address, sizeof word);
    for (const uint32_t own : ipv4) {
      if (own == word) return true;
    }
    return false;
  }
  bool owns_ipv6(const uint8_t* address) const {
    for (const auto& own : ipv6) {
      if (__builtin_memcmp(own.data(), address, own.size()) == 0) return true;
    }
    return false;
  }
};

/// fe80::/64 with the modified EUI-64 of an Ethernet address (RFC 4291, appendix A).
std::array<uint8_t, 16> link_local_of(const std::array<uint8_t, 6>& mac);

}  // namespace jvpn
