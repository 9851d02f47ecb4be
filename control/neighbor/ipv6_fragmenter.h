// Cuts IPv6 packets that we send ourselves into fragments (RFC 8200, §4.5). Control thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace jvpn::neighbor {

/// Use: while next_bytes() isn't 0, write() into that much room.
class Ipv6Fragmenter {
 public:
  /// `packet`, without extension headers, outlives the fragmenter. `id` tells its fragments from
  /// others' between these addresses. An MTU that holds no 8 payload bytes yields nothing.
  Ipv6Fragmenter(std::span<const uint8_t> packet, uint32_t id, uint16_t mtu);

  /// Size of the next fragment; 0 when all are written.
  size_t next_bytes() const;
  void write(std::span<uint8_t> out);

 private:
  std::span<const uint8_t> packet_;
  uint32_t id_;
  size_t step_;        ///< payload bytes of each fragment but the last; a multiple of 8
  size_t offset_ = 0;  ///< payload bytes written
};

}  // namespace jvpn::neighbor
