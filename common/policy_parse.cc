// The `policy` section: ranges of each bound, and the orders between bounds without which a row of
// the state machine could never apply.
#include <array>
#include <map>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "common/limits.h"
#include "common/profile_parts.h"
#include "common/wire.h"

namespace jvpn {
namespace {

constexpr uint64_t kMinuteMs = 60'000;
constexpr uint64_t kHourMs = 60 * kMinuteMs;
constexpr uint64_t kDay = 24 * kHourMs;
constexpr uint64_t kMostHoldBytes = uint64_t{256} << 20;

/// One side of an order: its key below `policy` and its value, read or default.
struct Bound {
  std::string_view key;
  Millis value;
};

class PolicyReader {
 public:
  PolicyReader(ProfileRole role, Policy& policy) : policy_(policy) {
    policy_.switching.hold_bytes = kHoldBytes;
    if (role == ProfileRole::kClient) policy_.switching.hold = kClientHold;
  }

  void read(YamlMap& map) {
    map.required("version", integer(1, UINT32_MAX), policy_.version);
    map.section("session", Need::kOptional, [&](YamlMap& m) { session(m); });
    map.section("volatility", Need::kOptional, [&](YamlMap& m) { volatility(m); });
    map.section("switching", Need::kOptional, [&](YamlMap& m) { switching(m); });
    map.section("transport", Need::kOptional, [&](YamlMap& m) { transport(m); });
    map.section("security", Need::kOptional, [&](YamlMap& m) { security(m); });
    map.section("observability", Need::kOptional, [&](YamlMap& m) { observability(m); });
    orders(map.findings());
  }

  /// Of the key, if it was written.
  Place place_of(const std::string& key) const {
    const auto found = written_.find(key);
    return found == written_.end() ? Place{} : found->second;
  }

 private:
  /// A number, mostly a span in milliseconds; its place is kept for the orders.
  template <typename Out>
  void span(YamlMap& map, std::string_view name, uint64_t min, uint64_t max, Out& out) {
    if (map.optional(name, integer(min, max), out)) written_[map.key(name)] = map.place(name);
  }

  void session(YamlMap& map) {
    span(map, "max_lifetime_ms", 1'000, 30 * kDay, policy_.session.max_lifetime);
    span(map, "transport_loss_ttl_ms", 100, kDay, policy_.session.transport_loss_ttl);
    span(map, "idle_max_ms", 0, kDay, policy_.session.idle_max);
  }

  void volatility(YamlMap& map) {
    auto& v = policy_.volatility;
    span(map, "heartbeat_interval_ms", 10, kMinuteMs, v.heartbeat_interval);
    span(map, "heartbeat_volatile_ms", 20, 2 * kMinuteMs, v.heartbeat_volatile);
    span(map, "transport_dead_ms", 50, 10 * kMinuteMs, v.transport_dead);
    map.optional(
        "detection",
        one_of<Detection>({{"adaptive", Detection::kAdaptive}, {"fixed", Detection::kFixed}}),
        v.detection);
    span(map, "detection_floor_ms", 1, kMinuteMs, v.detection_floor);
    span(map, "loss_window_ms", 100, kMinuteMs, v.loss_window);
    map.optional("loss_min_samples", integer(1, 1'000'000), v.loss_min_samples);
    map.optional("loss_volatile_threshold", decimal(0.0001, 1), v.loss_volatile_threshold);
    span(map, "jitter_volatile_ms", 1, kMinuteMs, v.jitter_volatile);
    span(map, "latency_volatile_ms", 1, kMinuteMs, v.latency_volatile);
    map.optional("quality_floor", decimal(0.0001, 1), v.quality_floor);
    span(map, "stability_window_ms", 100, 10 * kMinuteMs, v.stability_window);
    span(map, "volatile_to_recovering_ms", 50, 10 * kMinuteMs, v.volatile_to_recovering);
    span(map, "volatile_to_degraded_ms", 50, kHourMs, v.volatile_to_degraded);
    map.optional("max_flaps_per_min", integer(1, kMaxFlapsPerMin), v.max_flaps_per_min);
  }

  void switching(YamlMap& map) {
    auto& s = policy_.switching;
    map.optional("max_switches_per_min", integer(1, kMaxSwitchesPerMin), s.max_switches_per_min);
    map.optional("on_rate_exceeded",
                 one_of<OnRateExceeded>({{"degrade", OnRateExceeded::kDegrade},
                                         {"terminate", OnRateExceeded::kTerminate}}),
                 s.on_rate_exceeded);
    span(map, "switch_cooldown_ms", 0, 10 * kMinuteMs, s.switch_cooldown);
    span(map, "max_recovery_window_ms", 100, kHourMs, s.max_recovery_window);
    map.optional("max_recovery_attempts", integer(1, 1'000), s.max_recovery_attempts);
    span(map, "recovery_attempt_ms", 50, 10 * kMinuteMs, s.recovery_attempt);
    map.optional("switch_improvement_factor", decimal(1, 100), s.switch_improvement_factor);
    span(map, "drain_ms", 0, kMinuteMs, s.drain);
    hold(map);
    failback(map);
  }

  void hold(YamlMap& map) {
    auto& s = policy_.switching;
    span(map, "hold_ms", 0, kMinuteMs, s.hold);
    span(map, "hold_bytes", 0, kMostHoldBytes, s.hold_bytes);
  }

  void failback(YamlMap& map) {
    constexpr std::string_view expected = "never or {when_stable_ms: MILLISECONDS}";
    const auto value = map.take("failback", Need::kOptional, expected);
    if (!value || (value->node.IsScalar() && value->node.Scalar() == "never")) return;
    if (!value->node.IsMap()) {
      map.findings().add(value->place, value->key, expected, describe(value->node));
      return;
    }
    YamlMap::read_map(*value, map.findings(), [&](YamlMap& m) {
      m.required("when_stable_ms", integer(100, kDay), policy_.switching.failback_when_stable);
    });
  }

  void transport(YamlMap& map) {
    protocols(map);
    // Every candidate takes a spare binding, and one is for a path that turns up.
    map.optional("max_candidate_count", integer(0, wire::kSpareIndices - 1),
                 policy_.transport.max_candidate_count);
    span(map, "candidate_validation_ttl_ms", 0, 10 * kMinuteMs,
         policy_.transport.candidate_validation_ttl);
  }

  /// UDP is always one of them: TCP is for networks that let none pass.
  void protocols(YamlMap& map) {
    constexpr std::string_view kKey = "allowed_protocols";
    const auto protocol = one_of<bool>({{"udp", false}, {"tcp", true}});
    UniqueValues seen(map.findings(), "each protocol once");
    bool udp = !map.has(kKey);
    for (const auto& item : map.list(kKey, protocol, Need::kOptional, {1, 2})) {
      seen.check(item.value ? "tcp" : "udp", item.place, item.key);
      (item.value ? policy_.transport.tcp : udp) = true;
    }
    written_[map.key(kKey)] = map.place(kKey);
    if (!udp && map.findings().clean(map.key(kKey)))
      map.findings().add(map.place(kKey), map.key(kKey),
                         "udp among them: tcp is tried where udp fails", "[tcp]");
  }

  void security(YamlMap& map) {
    auto& s = policy_.security;
    span(map, "reattach_proof_max_age_ms", 100, kMinuteMs, s.reattach_proof_max_age);
    map.refuse("replay_window",
               fmt::format("no such key: each lane's window is {} packets, delete the line",
                           kReplayWindowBits));
    map.refuse("path_validation", "no such key: paths are always validated, delete the line");
    map.optional("reattach_rate_per_s", integer(1, 10'000), s.reattach_rate_per_s);
  }

  void observability(YamlMap& map) {
    auto& o = policy_.observability;
    map.optional("event_ring", power_of_two(64, 1 << 20), o.event_ring);
    map.optional("security_events_per_s", integer(1, 100'000), o.security_events_per_s);
  }

  void orders(Findings& findings) const {
    const Bound idle{"session.idle_max_ms", policy_.session.idle_max};
    const Bound loss_ttl{"session.transport_loss_ttl_ms", policy_.session.transport_loss_ttl};
    const auto& v = policy_.volatility;
    const Bound heartbeat{"volatility.heartbeat_interval_ms", v.heartbeat_interval};
    const Bound silent{"volatility.heartbeat_volatile_ms", v.heartbeat_volatile};
    const Bound dead{"volatility.transport_dead_ms", v.transport_dead};
    const Bound floor{"volatility.detection_floor_ms", v.detection_floor};
    const Bound stable{"volatility.stability_window_ms", v.stability_window};
    const Bound to_recovering{"volatility.volatile_to_recovering_ms", v.volatile_to_recovering};
    const Bound to_degraded{"volatility.volatile_to_degraded_ms", v.volatile_to_degraded};
    const auto& s = policy_.switching;
    const Bound cooldown{"switching.switch_cooldown_ms", s.switch_cooldown};
    const Bound window{"switching.max_recovery_window_ms", s.max_recovery_window};
    const Bound attempt{"switching.recovery_attempt_ms", s.recovery_attempt};
    const Bound drain{"switching.drain_ms", s.drain};

    below(findings, heartbeat, silent);           // else every gap between heartbeats is volatile
    below(findings, silent, dead);                // else silence never makes a session VOLATILE
    below(findings, floor, dead);                 // else no probe is ever judged
    below(findings, dead, loss_ttl);              // else it ends before it can recover
    below(findings, stable, to_degraded);         // else VOLATILE never leads back to ATTACHED
    below(findings, to_recovering, to_degraded);  // else quality never starts a recovery
    at_most(findings, attempt, window);           // else no attempt ever ends
    at_most(findings, drain, cooldown);           // else two old paths drain at once
    if (idle.value.value != 0) at_most(findings, heartbeat, idle);  // else idling is busier
  }

  void below(Findings& findings, const Bound& low, const Bound& high) const {
    if (low.value >= high.value) report(findings, low, "less than", high, "more than");
  }
  void at_most(Findings& findings, const Bound& low, const Bound& high) const {
    if (low.value > high.value) report(findings, low, "at most", high, "at least");
  }

  /// Blames the side that the profile wrote; silent when one of the two is wrong in itself.
  void report(Findings& findings, const Bound& low, std::string_view low_must_be, const Bound& high,
              std::string_view high_must_be) const {
    const std::string low_key = fmt::format("policy.{}", low.key);
    const std::string high_key = fmt::format("policy.{}", high.key);
    if (!findings.clean(low_key) || !findings.clean(high_key)) return;

    if (const auto place = written_.find(low_key); place != written_.end()) {
      findings.add(place->second, low_key,
                   fmt::format("{} {} ({})", low_must_be, high_key, high.value.value),
                   fmt::format("{}", low.value.value));
    } else if (const auto other = written_.find(high_key); other != written_.end()) {
      findings.add(other->second, high_key,
                   fmt::format("{} {} ({})", high_must_be, low_key, low.value.value),
                   fmt::format("{}", high.value.value));
    }
  }

  Policy& policy_;
  std::map<std::string, Place> written_;
};

}  // namespace

PolicyPlaces read_policy(YamlMap& root, ProfileRole role, Policy& policy) {
  PolicyPlaces places;
  root.section("policy", Need::kRequired, [&](YamlMap& map) {
    PolicyReader reader(role, policy);
    reader.read(map);
    places = {map.place("version"), reader.place_of("policy.switching.hold_ms"),
              reader.place_of("policy.switching.hold_bytes"),
              reader.place_of("policy.transport.allowed_protocols")};
  });
  return places;
}

}  // namespace jvpn
