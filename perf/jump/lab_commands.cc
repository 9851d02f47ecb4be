// jvpn-perf jump, peers and flood, which Python measures in the lab (perf/jump/jump.py, peers.py,
// perf/flood/flood.py), upon lab/jvpn_lab; what those have to know of the product. Any thread.
#include "common/wire.h"
#include "control/session/state_machine.h"
#include "perf/harness/script.h"

namespace jvpn::perf {
namespace {

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

Json jump_facts() {
  return {{"max_switches_per_min", session::kMaxSwitchesPerMin},
          {"max_flaps_per_min", session::kMaxFlapsPerMin},
          {"messages", message_kinds()},
          {"longest_message", wire::kMaxControlPlaintext + wire::kTransportOverhead}};
}

}  // namespace

Command add_jump(CLI::App& app) {
  return add_script(
      app, "jump",
      "How long traffic stands still while a session jumps, on real packets in the lab",
      "perf/jump/jump.py", jump_facts);
}

Command add_peers(CLI::App& app) {
  return add_script(app, "peers",
                    "One TCP stream through jvpn, wireguard-go and OpenVPN in the lab, in turns",
                    "perf/jump/peers.py", [] { return Json::object(); });
}

Command add_flood(CLI::App& app) {
  return add_script(
      app, "flood",
      "A session's goodput, and new clients, while the gateway is flooded, in the lab",
      "perf/flood/flood.py", [] { return Json::object(); });
}

}  // namespace jvpn::perf
