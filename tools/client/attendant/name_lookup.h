// Looks host names up, past the tunnel: its own packets' way is the host's, as the gateway's name
// must be known before there is a tunnel, and again when its address has changed.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/profile.h"

namespace jvpn::client::attendant {

/// Of all names together.
inline constexpr std::chrono::milliseconds kLookupPatience{8'000};

/// What is known of one name.
struct Lookup {
  std::vector<IpAddress> addresses;  ///< sorted, so that one answer looks like the next
  std::string why{};                 ///< there are none
};

/// Asks /etc/hosts, then the servers that `servers_file` (resolv.conf(5)) names, for all names at
/// once; one Lookup each. `mark`: the firewall mark of what is sent. Ends early when `hung_up`, a
/// socket, has lost its other end.
std::vector<Lookup> look_up(std::span<const NamedEndpoint> names, std::optional<uint32_t> mark,
                            const std::string& servers_file, int hung_up);

}  // namespace jvpn::client::attendant
