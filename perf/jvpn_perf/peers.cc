#include "perf/jvpn_perf/peers.h"

#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace jvpn::perf {
namespace {

const PeerResult* result_of(const PeersResults& results, const std::string& peer) {
  const auto found = std::ranges::find(results.peers, peer, &PeerResult::peer);
  return found == results.peers.end() ? nullptr : &*found;
}

std::string status_of(const PeerResult& peer) {
  if (!peer.missing.empty()) return "not installed";
  return peer.gbps.empty() ? "not measured" : "measured";
}

nlohmann::ordered_json peer_json(const PeerResult& peer) {
  nlohmann::ordered_json json{{"peer", peer.peer}, {"status", status_of(peer)}};
  if (!peer.missing.empty()) json["missing_packages"] = peer.missing;
  if (peer.gbps.empty()) return json;
  const Spread rate = spread(peer.gbps);
  json["gbps"] = rate.median;
  json["gbps_min"] = rate.min;
  json["gbps_max"] = rate.max;
  json["cpu_s"] = median(peer.cpu_s);
  json["streams"] = peer.gbps.size();
  return json;
}

}  // namespace

void add_peers_options(CLI::App& parser, PeersOptions& options) {
  parser.add_option("--seconds", options.seconds, "of a stream")
      ->check(CLI::Range(1U, 60U))
      ->capture_default_str();
  parser.add_option("--rounds", options.rounds, "in each of which every VPN has its turn")
      ->check(CLI::Range(1U, 50U))
      ->capture_default_str();
  parser.add_option("--peers", options.peers, "jvpn, wireguard-go, openvpn")
      ->check(CLI::IsMember({"jvpn", "wireguard-go", "openvpn"}))
      ->delimiter(',')
      ->capture_default_str();
  parser.add_flag("--json", options.json, "one JSON object on stdout");
}

std::optional<double> jvpn_over(const PeersResults& results, const std::string& other) {
  const PeerResult* ours = result_of(results, "jvpn");
  const PeerResult* theirs = result_of(results, other);
  if (ours == nullptr || theirs == nullptr) return std::nullopt;
  std::vector<double> ratios;
  for (size_t round = 0; round < std::min(ours->gbps.size(), theirs->gbps.size()); ++round)
    if (theirs->gbps[round] > 0) ratios.push_back(ours->gbps[round] / theirs->gbps[round]);
  if (ratios.empty()) return std::nullopt;
  return median(ratios);
}

nlohmann::ordered_json peers_json(const PeersOptions& options, const PeersResults& results,
                                  const nlohmann::ordered_json& environment) {
  nlohmann::ordered_json json{{"command", "peers"},
                              {"seconds", options.seconds},
                              {"rounds", options.rounds},
                              {"peers", nlohmann::ordered_json::array()}};
  for (const PeerResult& peer : results.peers) json["peers"].push_back(peer_json(peer));
  for (const auto& [key, other] : {std::pair{"jvpn_over_wireguard_go", "wireguard-go"},
                                   std::pair{"jvpn_over_openvpn", "openvpn"}})
    if (const auto ratio = jvpn_over(results, other)) json[key] = *ratio;
  json["interrupted"] = results.interrupted;
  json["failure"] = results.failure ? nlohmann::ordered_json(*results.failure) : nullptr;
  json["environment"] = environment;
  return json;
}

std::string peers_table(const PeersOptions& options, const PeersResults& results,
                        const Environment& environment) {
  std::string text = fmt::format(
      "one TCP stream of {} s, client to server, {} rounds\n\n{:<14}{:>10}{:>8}{:>8}{:>9}\n",
      options.seconds, options.rounds, "Gbit/s", "median", "min", "max", "CPU s");
  for (const PeerResult& peer : results.peers) {
    const Spread rate = spread(peer.gbps);
    text += peer.gbps.empty()
                ? fmt::format("{:<14}  {} {}\n", peer.peer, status_of(peer), peer.missing)
                : fmt::format("{:<14}{:>10.3f}{:>8.3f}{:>8.3f}{:>9.2f}\n", peer.peer, rate.median,
                              rate.min, rate.max, median(peer.cpu_s));
  }
  for (const char* other : {"wireguard-go", "openvpn"})
    if (const auto ratio = jvpn_over(results, other))
      text += fmt::format("\njvpn / {} {:.2f}", other, *ratio);
  return text + fmt::format("\n\nmachine       {}, {} CPUs, load {:.1f} before the run\n",
                            environment.cpu, environment.cpus, environment.load);
}

}  // namespace jvpn::perf
