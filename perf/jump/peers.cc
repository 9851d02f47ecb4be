// jvpn-perf peers: the rounds, in the lab.
#include "perf/jump/peers.h"

#include <algorithm>

#include <fmt/format.h>

#include "perf/harness/interrupt.h"
#include "perf/harness/options.h"
#include "perf/harness/progress.h"
#include "perf/jump/lab_driver.h"

namespace jvpn::perf {
namespace {

constexpr std::pair<const char*, const char*> kOthers[] = {
    {"wireguard-go", "jvpn_over_wireguard_go"}, {"openvpn", "jvpn_over_openvpn"}};

void add_peers_options(CLI::App& parser, PeersOptions& options) {
  add_number(parser, "--seconds", options.seconds, 1, 60, "of a stream");
  add_number(parser, "--rounds", options.rounds, 1, 50, "in each of which every VPN has its turn");
  parser.add_option("--peers", options.peers, "jvpn, wireguard-go, openvpn")
      ->check(CLI::IsMember({"jvpn", "wireguard-go", "openvpn"}))
      ->delimiter(',')
      ->capture_default_str();
  add_json(parser, options.json);
}

std::vector<double> rates_of(const std::vector<PeerResult>& peers, const std::string& name) {
  const auto found = std::ranges::find(peers, name, &PeerResult::peer);
  return found == peers.end() ? std::vector<double>() : found->gbps;
}

Json peer_json(const PeerResult& peer) {
  const char* status = !peer.missing.empty() ? "not installed"
                       : peer.gbps.empty()   ? "not measured"
                                             : "measured";
  Json json{{"peer", peer.peer}, {"status", status}};
  if (!peer.missing.empty()) json["missing_packages"] = peer.missing;
  if (peer.gbps.empty()) return json;
  put_spread(json, "gbps", spread(peer.gbps));
  json["cpu_s"] = median(peer.cpu_s);
  json["streams"] = peer.gbps.size();
  return json;
}

/// The tunnel comes up, carries one stream and goes down again.
Result<void> take_turn(LabDriver& lab, unsigned length_s, PeerResult& peer) {
  if (auto up = lab.tunnel(peer.peer); !up) return up;
  const auto stream = lab.stream(peer.peer, length_s);
  if (!stream) return stream.error();
  peer.gbps.push_back(stream->gbps);
  peer.cpu_s.push_back(stream->cpu_s);
  return lab.end_tunnel(peer.peer);
}

Result<void> run_rounds(const PeersOptions& options, std::vector<PeerResult>& peers) {
  auto lab = LabDriver::start();
  if (!lab) return lab.error();
  for (const std::string& peer : options.peers) {
    auto missing = (*lab)->missing_packages(peer);
    if (!missing) return missing.error();
    peers.push_back({peer, *std::move(missing), {}, {}});
  }
  if (auto ready = (*lab)->prepare(); !ready) return ready;
  ProgressLine line;
  const size_t turns = options.rounds * peers.size();
  for (size_t turn = 0; turn < turns && !interrupted(); ++turn) {
    PeerResult& peer = peers[turn % peers.size()];
    line.show(turn, turns, peer.peer);
    if (!peer.missing.empty()) continue;
    if (auto done = take_turn(**lab, options.seconds, peer); !done) return done;
  }
  return {};
}

Result<Measured> measure_peers(const PeersOptions& options) {
  std::vector<PeerResult> peers;
  const auto done = run_rounds(options, peers);
  Json json = peers_json(options, peers);
  json["failure"] = nullptr;
  if (!done && !interrupted()) json["failure"] = done.error().message;
  return Measured{json, peers_table(json)};
}

}  // namespace

std::optional<double> jvpn_over(const std::vector<PeerResult>& peers, const std::string& other) {
  const std::vector<double> ours = rates_of(peers, "jvpn");
  const std::vector<double> theirs = rates_of(peers, other);
  std::vector<double> ratios;
  for (size_t round = 0; round < std::min(ours.size(), theirs.size()); ++round)
    if (theirs[round] > 0) ratios.push_back(ours[round] / theirs[round]);
  if (ratios.empty()) return std::nullopt;
  return median(ratios);
}

Json peers_json(const PeersOptions& options, const std::vector<PeerResult>& peers) {
  Json json{{"seconds", options.seconds}, {"rounds", options.rounds}, {"peers", Json::array()}};
  for (const PeerResult& peer : peers) json["peers"].push_back(peer_json(peer));
  for (const auto& [other, key] : kOthers)
    if (const auto ratio = jvpn_over(peers, other)) json[key] = *ratio;
  return json;
}

std::string peers_table(const Json& json) {
  std::string text = render(
      "one TCP stream of {seconds} s, client to server, {rounds} rounds\n\n"
      "Gbit/s            median     min     max    CPU s\n",
      json);
  for (const Json& peer : json["peers"])
    text +=
        peer.contains("gbps")
            ? render("{peer:<14}{gbps:>10.3f}{gbps_min:>8.3f}{gbps_max:>8.3f}{cpu_s:>9.2f}\n", peer)
            : fmt::format("{:<14}  {} {}\n", peer.value("peer", ""), peer.value("status", ""),
                          peer.value("missing_packages", ""));
  for (const auto& [other, key] : kOthers)
    if (json.contains(key))
      text += fmt::format("\njvpn / {} {:.2f}", other, json[key].get<double>());
  return text + "\n\n";
}

Command add_peers(CLI::App& app) {
  return make_command(app, "peers",
                      "One TCP stream through jvpn, wireguard-go and OpenVPN in the lab, in turns",
                      {.root = true, .why = "root, for network namespaces and hugepages"},
                      add_peers_options, measure_peers);
}

}  // namespace jvpn::perf
