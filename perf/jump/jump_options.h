// What `jvpn-perf jump` was asked for, the policy it runs under and the bounds it reports against.
// Pure, any thread.
#pragma once

#include <cstdint>
#include <string>

#include "common/result.h"

namespace CLI {
class App;
}

namespace jvpn::perf {

enum class Fault : uint8_t { kLinkDown, kBlackhole, kPlanned, kNatRebind };
const char* to_string(Fault fault);

struct JumpOptions {
  Fault fault = Fault::kLinkDown;
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

/// Adds them to a parser, which writes to `options` and refuses what makes no sense.
void add_jump_options(CLI::App& parser, JumpOptions& options);

/// The lab's policy for a run: what the fault needs, `options.policy` laid over it. YAML in flow
/// style without the outer braces, as LAB_POLICY takes it.
Result<std::string> lab_policy(const JumpOptions& options);

/// What a run has to know of that policy.
struct PolicyFacts {
  double transport_dead_ms = 0;
  double switch_cooldown_ms = 0;
  double jumps_per_min = 0;  ///< that it and the state machine's memory allow, less a margin
};
Result<PolicyFacts> policy_facts(const std::string& policy, Fault fault);

/// How long a jump may block traffic (docs/DESIGN.md, performance), given the measured round trip.
struct JumpBound {
  double ms = 0;
  std::string formula;  ///< `1 RTT + 20 ms`
};
JumpBound bound_of(const JumpOptions& options, double rtt_ms, double transport_dead_ms);

}  // namespace jvpn::perf
