// What a worker reads of a port per packet, packed from PortInfo once at start.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <smmintrin.h>

#include "common/port_info.h"

namespace jvpn {

/// 16 bytes of a frame: which bits count, and what they are to be.
struct BytePattern {
  __m128i value;
  __m128i mask;

  /// 0 where they are so.
  __m128i differences(const uint8_t* at) const {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    return _mm_and_si128(_mm_xor_si128(bytes, value), mask);
  }
};

/// Where PortView::plain_udp stand in a frame.
inline constexpr size_t kPlainUdp[2]{16, 30};

struct PortView {
  static constexpr uint32_t kNoFrame = UINT32_MAX;

  /// IPv4 without options to this Ethernet address.
  BytePattern plain_ipv4;
  /// The rest of a data message to the first own address, at kPlainUdp: no fragment, UDP, address,
  /// port, preamble.
  BytePattern plain_udp[2];
  uint32_t least_data = kNoFrame;  ///< shortest such frame; kNoFrame without an IPv4 address
  /// Shortest plain frame from inside; kNoFrame: none is plain, for the kernel leaves checksums
  /// unfinished.
  uint32_t least_inner = kNoFrame;
  uint64_t mac = 0;            ///< its 6 bytes as they lie in a frame, in the low 48 bits
  std::vector<uint32_t> ipv4;  ///< network byte order
  std::vector<std::array<uint8_t, 16>> ipv6;  ///< with the link-local address made from the MAC
  uint16_t number = 0;
  uint16_t listen_port = 0;
  uint16_t dpdk_id = 0;
  PortRole role = PortRole::kOutside;
  bool rx_ipv4_checksum = false;
  bool tx_udp_checksum = false;
  bool from_kernel = false;
  uint16_t mtu = 0;

  PortView(const PortInfo& port, uint16_t udp_port);

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
