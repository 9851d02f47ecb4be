// The paths of a storm: each peer has an address in each of several networks, the gateway an
// interface.
#pragma once

#include <cstdint>

#include "common/path.h"
#include "common/wire.h"

namespace jvpn::perf {

inline constexpr uint16_t kStormNetworks = 3;

/// As the peer sees it. Up to 2^24 peers.
inline Path storm_path(uint32_t peer, uint16_t network) {
  const auto net = static_cast<uint8_t>(network);
  const auto byte = [&](unsigned shift) { return static_cast<uint8_t>(peer >> shift); };
  return {network,
          {IpAddress::v4({static_cast<uint8_t>(10 + net), byte(16), byte(8), byte(0)}), 40'000},
          {IpAddress::v4({192, 0, net, 1}), wire::kDefaultPort}};
}
/// Whose it is, as the gateway sees it.
inline uint32_t peer_on(const Path& path) {
  const auto& bytes = path.remote.address.bytes;
  return uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

}  // namespace jvpn::perf
