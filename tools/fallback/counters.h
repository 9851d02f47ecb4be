// What jvpn-fallback has done since it started.
#pragma once

#include <cstdint>
#include <string>

#include <fmt/format.h>

namespace jvpn::fallback {

struct Counters {
  uint64_t accepted = 0;         ///< connections
  uint64_t refused_full = 0;     ///< by --connections
  uint64_t refused_network = 0;  ///< by --per-network
  uint64_t refused_rate = 0;     ///< too many in a second
  uint64_t failed = 0;           ///< closed before its time: no handshake, or no gateway answered
  uint64_t implausible = 0;      ///< closed because of what came: no JVP/1
  uint64_t idle = 0;             ///< closed without a datagram for --idle-s
  uint64_t to_gateway = 0;       ///< datagrams
  uint64_t to_client = 0;
  uint64_t lost_to_gateway = 0;  ///< refused by the kernel: no room, too big, or nobody listens
  uint64_t lost_to_client = 0;   ///< the connection was behind
  bool operator==(const Counters&) const = default;
};

inline std::string to_string(const Counters& c) {
  return fmt::format(
      "accepted {}, refused: full {}, network {}, rate {}; ended: no handshake {}, implausible {}, "
      "idle {}; "
      "to gateway {}, lost {}; to clients {}, lost {}",
      c.accepted, c.refused_full, c.refused_network, c.refused_rate, c.failed, c.implausible,
      c.idle, c.to_gateway, c.lost_to_gateway, c.to_client, c.lost_to_client);
}

}  // namespace jvpn::fallback
