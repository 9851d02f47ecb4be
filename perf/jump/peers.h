// What `jvpn-perf peers` measures and how it tells it: the same TCP stream through jvpn and other
// VPNs, in turns. Pure, any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "perf/harness/command.h"

namespace jvpn::perf {

struct PeersOptions {
  unsigned seconds = 5;  ///< of a stream
  unsigned rounds = 3;   ///< in each, every VPN once
  std::vector<std::string> peers{"jvpn", "wireguard-go", "openvpn"};
  bool json = false;
};

/// One VPN's streams so far.
struct PeerResult {
  std::string peer;
  std::string missing;  ///< packages; then nothing was measured
  std::vector<double> gbps;
  std::vector<double> cpu_s;
};

/// Median over the rounds of jvpn's rate ÷ the other's in the same round; nullopt without both.
std::optional<double> jvpn_over(const std::vector<PeerResult>& peers, const std::string& other);

Json peers_json(const PeersOptions& options, const std::vector<PeerResult>& peers);
std::string peers_table(const Json& json);

}  // namespace jvpn::perf
