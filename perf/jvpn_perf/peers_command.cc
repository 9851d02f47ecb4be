// jvpn-perf peers: the rounds, in the lab.
#include <cstdio>
#include <memory>

#include <fmt/format.h>
#include <unistd.h>

#include "perf/jvpn_perf/command.h"
#include "perf/jvpn_perf/interrupt.h"
#include "perf/jvpn_perf/lab_driver.h"
#include "perf/jvpn_perf/peers.h"
#include "perf/jvpn_perf/progress.h"

namespace jvpn::perf {
namespace {

Result<void> find_installed(LabDriver& lab, const PeersOptions& options, PeersResults& results) {
  for (const std::string& peer : options.peers) {
    auto missing = lab.missing_packages(peer);
    if (!missing) return missing.error();
    results.peers.push_back({peer, *std::move(missing), {}, {}});
  }
  return {};
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

Result<void> run_rounds(const PeersOptions& options, PeersResults& results) {
  auto lab = LabDriver::start();
  if (!lab) return lab.error();
  if (auto found = find_installed(**lab, options, results); !found) return found;
  if (auto ready = (*lab)->prepare(); !ready) return ready;
  ProgressLine line;
  const size_t turns = options.rounds * results.peers.size();
  for (size_t turn = 0; turn < turns && !interrupted(); ++turn) {
    PeerResult& peer = results.peers[turn % results.peers.size()];
    line.show(turn, turns, peer.peer);
    if (!peer.missing.empty()) continue;
    if (auto done = take_turn(**lab, options.seconds, peer); !done) return done;
  }
  return {};
}

int run_peers(const PeersOptions& options) {
  if (geteuid() != 0) {
    std::fputs("jvpn-perf peers: needs root, for network namespaces and hugepages\n", stderr);
    return kExitUsage;
  }
  catch_interrupts();
  const Environment environment = describe_environment();
  PeersResults results;
  const auto done = run_rounds(options, results);
  results.interrupted = interrupted();
  if (!done && !results.interrupted) results.failure = done.error().message;
  if (options.json)
    std::puts(peers_json(options, results, to_json(environment)).dump(2).c_str());
  else
    std::fputs(peers_table(options, results, environment).c_str(), stdout);
  if (results.failure) std::fprintf(stderr, "jvpn-perf peers: %s\n", results.failure->c_str());
  return results.failure ? kExitFailed : results.interrupted ? kExitInterrupted : 0;
}

}  // namespace

Command add_peers(CLI::App& app) {
  auto options = std::make_shared<PeersOptions>();
  CLI::App* parser = app.add_subcommand(
      "peers", "One TCP stream through jvpn, wireguard-go and OpenVPN in the lab, in turns");
  add_peers_options(*parser, *options);
  return {parser, [options] { return run_peers(*options); }};
}

}  // namespace jvpn::perf
