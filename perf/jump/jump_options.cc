#include "perf/jump/jump_options.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "control/session/state_machine.h"
#include "perf/harness/options.h"

namespace jvpn::perf {
namespace {

constexpr double kMargin = 0.94;
constexpr std::pair<const char*, Fault> kFaults[] = {{"link-down", Fault::kLinkDown},
                                                     {"blackhole", Fault::kBlackhole},
                                                     {"planned", Fault::kPlanned},
                                                     {"nat-rebind", Fault::kNatRebind}};

bool waits_for_silence(Fault fault) {
  return fault == Fault::kBlackhole || fault == Fault::kNatRebind;
}

/// Fast repetition: as many switches as the state machine remembers, short cooldown, quick probing.
std::string default_policy(const JumpOptions& options) {
  const bool silence = waits_for_silence(options.fault);
  return fmt::format(
      "version: 1, "
      "volatility: {{heartbeat_interval_ms: {}, heartbeat_volatile_ms: {}, transport_dead_ms: {}, "
      "stability_window_ms: 200, max_flaps_per_min: 1000}}, "
      "switching: {{max_switches_per_min: 64, switch_cooldown_ms: 100, drain_ms: 100}}, "
      "transport: {{candidate_validation_ttl_ms: {}}}, security: {{reattach_rate_per_s: 100}}",
      silence ? 50 : 100, silence ? 150 : 1'000, silence ? 300 : 2'000, options.cold ? 0 : 1'000);
}

Result<YAML::Node> parse(const std::string& flow) {
  try {
    YAML::Node node = YAML::Load("{" + flow + "}");
    if (node.IsMap()) return node;
  } catch (const YAML::Exception& error) {
    return Error{fmt::format("--policy: {}", error.what())};
  }
  return Error{"--policy: expected a map, `switching: {drain_ms: 50}`"};
}

void lay_over(YAML::Node below, const YAML::Node& above) {
  for (const auto& entry : above) {
    const auto key = entry.first.as<std::string>();
    if (entry.second.IsMap() && below[key] && below[key].IsMap())
      lay_over(below[key], entry.second);
    else
      below[key] = entry.second;
  }
}

/// Without the outer braces.
std::string to_flow(const YAML::Node& node) {
  YAML::Emitter out;
  out.SetMapFormat(YAML::Flow);
  out.SetSeqFormat(YAML::Flow);
  out << node;
  const std::string text = out.c_str();
  return text.substr(1, text.size() - 2);
}

}  // namespace

const char* to_string(Fault fault) {
  const auto found = std::ranges::find(kFaults, fault, &std::pair<const char*, Fault>::second);
  return found == std::end(kFaults) ? "unknown" : found->first;
}

void add_jump_options(CLI::App& parser, JumpOptions& options) {
  add_choice<Fault>(parser, "--fault", options.fault, {std::begin(kFaults), std::end(kFaults)},
                    "link-down|blackhole|planned|nat-rebind", "what makes it jump")
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

Result<std::string> lab_policy(const JumpOptions& options) {
  auto policy = parse(default_policy(options));
  if (!policy) return policy.error();
  const auto extra = parse(options.policy);
  if (!extra) return extra.error();
  try {
    lay_over(*policy, *extra);
    return to_flow(*policy);
  } catch (const YAML::Exception& error) {
    return Error{fmt::format("--policy: {}", error.what())};
  }
}

Result<PolicyFacts> policy_facts(const std::string& policy, Fault fault) {
  const auto node = parse(policy);
  if (!node) return node.error();
  try {
    const YAML::Node& root = *node;
    const auto switching = root["switching"];
    PolicyFacts facts;
    facts.transport_dead_ms = root["volatility"]["transport_dead_ms"].as<double>();
    facts.switch_cooldown_ms = switching["switch_cooldown_ms"].as<double>();
    const double switches = std::min<double>(switching["max_switches_per_min"].as<double>(),
                                             session::kMaxSwitchesPerMin);
    // Silence leads through VOLATILE, and too many such flaps a minute would mean DEGRADED.
    const double flaps = waits_for_silence(fault) ? double{session::kMaxFlapsPerMin} : switches;
    facts.jumps_per_min = kMargin * std::min(switches, flaps);
    return facts;
  } catch (const YAML::Exception& error) {
    return Error{fmt::format("--policy: {}", error.what())};
  }
}

JumpBound bound_of(const JumpOptions& options, double rtt_ms, double transport_dead_ms) {
  const double probe_interval_ms = 1'000.0 / options.rate;
  switch (options.fault) {
    case Fault::kLinkDown:
      if (options.cold) return {2 * rtt_ms + 20, "2 RTT + 20 ms"};
      return {rtt_ms + 20, "1 RTT + 20 ms"};
    case Fault::kBlackhole:
      return {transport_dead_ms + rtt_ms + 50, "transport_dead_ms + 1 RTT + 50 ms"};
    case Fault::kPlanned:
      return {0, "no packet lost"};
    case Fault::kNatRebind:
      return {2 * rtt_ms + 50 + probe_interval_ms, "2 RTT + 50 ms + one probe interval"};
  }
  return {};
}

}  // namespace jvpn::perf
