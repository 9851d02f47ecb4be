// What `jvpn-perf peers` measures and how it tells it: the same TCP stream through jvpn and other
// VPNs, in turns. Pure, any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "perf/jvpn_perf/environment.h"
#include "perf/jvpn_perf/statistics.h"

namespace CLI {
class App;
}

namespace jvpn::perf {

struct PeersOptions {
  unsigned seconds = 5;  ///< of a stream
  unsigned rounds = 3;   ///< in each, every VPN once
  std::vector<std::string> peers{"jvpn", "wireguard-go", "openvpn"};
  bool json = false;
};
void add_peers_options(CLI::App& parser, PeersOptions& options);

/// One VPN's streams so far.
struct PeerResult {
  std::string peer;
  std::string missing;  ///< packages; then nothing was measured
  std::vector<double> gbps;
  std::vector<double> cpu_s;
};

struct PeersResults {
  std::vector<PeerResult> peers;
  std::optional<std::string> failure;
  bool interrupted = false;
};

/// Median over the rounds of jvpn's rate ÷ the other's in the same round; nullopt without both.
std::optional<double> jvpn_over(const PeersResults& results, const std::string& other);

nlohmann::ordered_json peers_json(const PeersOptions& options, const PeersResults& results,
                                  const nlohmann::ordered_json& environment);
std::string peers_table(const PeersOptions& options, const PeersResults& results,
                        const Environment& environment);

}  // namespace jvpn::perf
