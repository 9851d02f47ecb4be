// What `jvpn-perf jump` and `peers` are asked for. They are measured in the lab by Python
// (perf/jump/jump.py, peers.py), upon lab/jvpn_lab. Any thread.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace jvpn::perf {

struct JumpOptions {
  std::string fault;  ///< link-down, blackhole, planned, nat-rebind
  unsigned count = 20;
  bool cold = false;       ///< the candidates aren't validated in advance
  double rtt_ms = 0;       ///< emulated on every link; 0: plain links
  unsigned rate = 1'000;   ///< probe packets per second, each way
  unsigned bytes = 128;    ///< of a probe's UDP payload
  std::string policy;      ///< YAML in flow style, laid over the default policy
  unsigned timelines = 0;  ///< worst jumps to print the course of
  std::string keep_logs;   ///< folder for the programs' logs; empty: none
  bool json = false;
};
void add_jump_options(CLI::App& parser, JumpOptions& options);

struct PeersOptions {
  unsigned seconds = 5;  ///< of a stream
  unsigned rounds = 3;   ///< in each, every VPN once
  std::vector<std::string> peers{"jvpn", "wireguard-go", "openvpn"};
  bool json = false;
};
void add_peers_options(CLI::App& parser, PeersOptions& options);

}  // namespace jvpn::perf
