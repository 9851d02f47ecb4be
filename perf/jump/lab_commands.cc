#include "perf/jump/lab_commands.h"

#include "common/wire.h"
#include "control/session/state_machine.h"
#include "perf/harness/command.h"
#include "perf/harness/options.h"
#include "perf/harness/script.h"

namespace jvpn::perf {
namespace {

constexpr Needs kLabNeeds{.root = true, .why = "root, for network namespaces and hugepages"};

/// Has it measured by one of the scripts.
Result<Measured> measure_in_lab(const char* script, const Json& options) {
  const auto started = Script::start(script, options);
  if (!started) return started.error();
  const auto said = (*started)->answer();
  if (!said) return said.error();
  return Measured{*said, said->at("environment")};
}

/// Bytes of sealed control messages, which way from the client's view they go, and what they are;
/// 0: padded to more than any other.
Json message_kinds() {
  const auto kind = [](size_t plaintext, const char* ways, const char* name) {
    return Json{plaintext + wire::kTransportOverhead, ways, name};
  };
  return {kind(sizeof(wire::Heartbeat), "in out", "HEARTBEAT"),
          kind(sizeof(wire::HeartbeatAck), "in out", "HEARTBEAT_ACK"),
          kind(sizeof(wire::TransportDead), "in out", "TRANSPORT_DEAD"),
          kind(sizeof(wire::QualityReport), "in out", "QUALITY_REPORT"),
          kind(sizeof(wire::NewIndices), "in out", "NEW_INDICES"),
          kind(sizeof(wire::ReattachRequest), "out", "REATTACH_REQUEST"),
          kind(sizeof(wire::ReattachResponse), "out", "REATTACH_RESPONSE"),
          kind(sizeof(wire::ReattachChallenge), "in", "REATTACH_CHALLENGE"),
          kind(sizeof(wire::ReattachAck), "in", "REATTACH_ACK"),
          kind(sizeof(wire::ReattachReject), "in", "REATTACH_REJECT"),
          kind(sizeof(wire::PolicyHint), "in", "POLICY_HINT"),
          Json{0, "out", "PATH_PROBE"},
          Json{0, "out", "PATH_RESPONSE"},
          Json{0, "in", "PATH_CHALLENGE"}};
}

Result<Measured> measure_jumps(const JumpOptions& options) {
  return measure_in_lab("perf/jump/jump.py", {{"fault", options.fault},
                                              {"count", options.count},
                                              {"cold", options.cold},
                                              {"rtt", options.rtt_ms},
                                              {"rate", options.rate},
                                              {"bytes", options.bytes},
                                              {"policy", options.policy},
                                              {"timelines", options.timelines},
                                              {"keep_logs", options.keep_logs},
                                              {"max_switches_per_min", session::kMaxSwitchesPerMin},
                                              {"max_flaps_per_min", session::kMaxFlapsPerMin},
                                              {"messages", message_kinds()},
                                              {"longest_message", wire::kMaxControlPlaintext +
                                                                      wire::kTransportOverhead}});
}

Result<Measured> measure_peers(const PeersOptions& options) {
  return measure_in_lab(
      "perf/jump/peers.py",
      {{"seconds", options.seconds}, {"rounds", options.rounds}, {"peers", options.peers}});
}

}  // namespace

void add_jump_options(CLI::App& parser, JumpOptions& options) {
  parser.add_option("--fault", options.fault, "what makes it jump")
      ->check(CLI::IsMember({"link-down", "blackhole", "planned", "nat-rebind"})
                  .description("link-down|blackhole|planned|nat-rebind"))
      ->type_name("ENUM")
      ->required();
  add_number(parser, "--count", options.count, 1, 100'000, "jumps");
  parser.add_flag("--cold", options.cold, "candidates aren't validated in advance");
  add_number(parser, "--rtt", options.rtt_ms, 0, 2'000,
             "round trip of every link, in ms; 0: plain links");
  add_number(parser, "--rate", options.rate, 10, 20'000, "probe packets per second, each way");
  add_number(parser, "--bytes", options.bytes, 8, 1'200, "of a probe's payload");
  parser.add_option("--policy", options.policy,
                    "YAML laid over the run's policy, `switching: {drain_ms: 50}`");
  parser.add_option("--timelines", options.timelines, "print the course of so many worst jumps");
  parser.add_option("--keep-logs", options.keep_logs, "folder for the programs' logs");
  add_json(parser, options.json);
}

void add_peers_options(CLI::App& parser, PeersOptions& options) {
  add_number(parser, "--seconds", options.seconds, 1, 60, "of a stream");
  add_number(parser, "--rounds", options.rounds, 1, 50, "in each of which every VPN has its turn");
  parser.add_option("--peers", options.peers, "jvpn, wireguard-go, openvpn")
      ->check(CLI::IsMember({"jvpn", "wireguard-go", "openvpn"}))
      ->delimiter(',')
      ->capture_default_str();
  add_json(parser, options.json);
}

Command add_jump(CLI::App& app) {
  return make_command(
      app, "jump",
      "How long traffic stands still while a session jumps, on real packets in the lab", kLabNeeds,
      add_jump_options, measure_jumps);
}

Command add_peers(CLI::App& app) {
  return make_command(app, "peers",
                      "One TCP stream through jvpn, wireguard-go and OpenVPN in the lab, in turns",
                      kLabNeeds, add_peers_options, measure_peers);
}

}  // namespace jvpn::perf
