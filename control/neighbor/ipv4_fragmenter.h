// Cuts an IPv4 packet without DF into fragments for a smaller link (RFC 791 §3.2).
#pragma once

#include <cstdint>
#include <span>

#include "control/neighbor/icmp.h"

namespace jvpn::neighbor {

/// Use: while next_bytes() isn't 0, write() into that much room.
class Ipv4Fragmenter {
 public:
  /// `packet` and `view` (of it) outlive the fragmenter. An MTU that holds no 8 payload bytes
  /// yields nothing.
  Ipv4Fragmenter(std::span<const uint8_t> packet, const IpView& view, uint16_t mtu);

  /// Size of the next fragment; 0 when all are written.
  size_t next_bytes() const;
  void write(std::span<uint8_t> out);

 private:
  std::span<const uint8_t> packet_;
  const IpView& view_;
  size_t step_;        ///< payload bytes of each fragment but the last; a multiple of 8
  size_t offset_ = 0;  ///< payload bytes written
};

}  // namespace jvpn::neighbor
