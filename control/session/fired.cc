#include "control/session/fired.h"

#include <algorithm>

#include "common/limits.h"
#include "control/session/finding.h"
#include "control/session/path_quality.h"

namespace jvpn::session {
namespace {

Fired span(const char* limit, Millis threshold, Millis observed) {
  return {limit, threshold.value, observed.value};
}

/// How many lie within the minute before `now`.
template <size_t N>
uint64_t within_a_minute(const RecentTimes<N>& times, Millis born, Millis now) {
  uint64_t count = 0;
  while (count < times.count() && *times.at(count, born) + kMinute > now) ++count;
  return count;
}

Millis silence(const SessionRecord& record, Millis now) {
  return now - record.last_authentic;
}

Fired fired_quality(Detail measured, uint64_t observed, const Policy& policy) {
  const auto& bounds = policy.volatility;
  const auto in_ms = [&](const char* limit, const std::optional<Millis>& most) {
    return span(limit, most.value_or(Millis{}), Millis{observed / 1'000});
  };
  switch (measured) {
    case Detail::kLoss:
      return {"loss_volatile_threshold", ppm(bounds.loss_volatile_threshold), observed, true};
    case Detail::kLatency:
      return in_ms("latency_volatile_ms", bounds.latency_volatile);
    case Detail::kJitter:
      return in_ms("jitter_volatile_ms", bounds.jitter_volatile);
    default:
      return {};
  }
}

Fired fired_loss_of_transport(const SessionRecord& before, const Policy& policy, Millis now) {
  const Millis ttl = policy.session.transport_loss_ttl;
  if (before.has_transport)
    return span("transport_loss_ttl_ms", scaled_by_idle(ttl, before, policy), silence(before, now));
  return span("transport_loss_ttl_ms", ttl, now - before.transport_lost);
}

Fired fired_recovery(const SessionRecord& before, const AppliedRow& row, const SessionEvent& event,
                     const Policy& policy, Millis now) {
  if (event.trigger == Trigger::kTransportDead && row.detail == Detail::kUnanswered)
    return {"detection", event.threshold, event.observed};
  const bool told = event.trigger == Trigger::kTransportDead ||
                    event.trigger == Trigger::kReattachCommitted ||
                    event.trigger == Trigger::kSwitchRequested;
  if (told) return {};
  if (now >= silence_is_death(before, policy))
    return span("transport_dead_ms",
                scaled_by_idle(policy.volatility.transport_dead, before, policy),
                silence(before, now));
  if (row.from != State::kVolatile) return {};
  return span("volatile_to_recovering_ms", policy.volatility.volatile_to_recovering,
              now - before.entered);
}

Fired fired_degraded(const SessionRecord& before, const Policy& policy, Millis now) {
  const uint64_t flaps = within_a_minute(before.flaps, before.born, now);
  const uint64_t most = policy.volatility.max_flaps_per_min;
  if (flaps > most) return {"max_flaps_per_min", most, flaps};
  return span("volatile_to_degraded_ms", policy.volatility.volatile_to_degraded,
              now - before.entered);
}

Fired fired_bounds(const SessionRecord& before, const AppliedRow& row, const Policy& policy,
                   Millis now) {
  if (row.to == State::kTerminated)
    return span("max_recovery_window_ms", policy.switching.max_recovery_window,
                now - before.entered);
  return {"max_recovery_attempts", policy.switching.max_recovery_attempts,
          recovery_attempts(before, policy, now)};
}

Fired fired_switch_rate(const SessionRecord& record, SwitchKind kind, const Policy& policy,
                        Millis now) {
  const auto& those = kind == SwitchKind::kRecovery ? record.recoveries : record.switches;
  return {"max_switches_per_min", policy.switching.max_switches_per_min,
          within_a_minute(those, record.born, now) + 1};
}

Finding cooling(const char* check, Fired fired) {
  const uint64_t left = fired.threshold - fired.observed;
  return {Reason::kPolicyDeny, Detail::kCooldown, check,
          static_cast<uint32_t>(std::min<uint64_t>(left, UINT32_MAX)), fired};
}

}  // namespace

Finding judge_switch(const SessionRecord& record, SwitchKind kind, const Policy& policy,
                     Millis now) {
  const Millis cooldown = policy.switching.switch_cooldown;
  if (kind == SwitchKind::kWished && cooling_down(record, policy, now)) {
    const Millis since = cooldown_ends(record, policy) - cooldown;
    return cooling("cooldown", span("switch_cooldown_ms", cooldown, now - since));
  }
  if (record.state == State::kDegraded && !may_retry(record, policy, now))
    return cooling("cooldown", span("switch_cooldown_ms", cooldown, now - record.entered));
  const Millis allowed = switch_rate_allows(record, policy, kind);
  if (now >= allowed) return {};
  if (kind == SwitchKind::kRebind) {
    const Millis latest = record.rebinds.at(0, record.born).value_or(now);
    return cooling("rebind", span("rebind_wait_ms", allowed - latest, now - latest));
  }
  return {Reason::kPolicyDeny, Detail::kSwitchRate, "switch_rate", 0,
          fired_switch_rate(record, kind, policy, now)};
}

Fired fired_by(const SessionRecord& before, const AppliedRow& row, const SessionEvent& event,
               const Policy& policy, Millis now) {
  if (row.detail == Detail::kSwitchRate)
    return fired_switch_rate(before, switch_kind(before, policy, now, false), policy, now);
  switch (row.reason) {
    case Reason::kHandshakeFail:
      if (row.detail != Detail::kTimeout) return {};
      return span("handshake_timeout_ms", Millis{kHandshakeTimeoutMs}, now - before.born);
    case Reason::kVolatilitySignal:
      if (row.detail != Detail::kNone) return fired_quality(row.detail, event.observed, policy);
      return span("heartbeat_volatile_ms",
                  scaled_by_idle(policy.volatility.heartbeat_volatile, before, policy),
                  silence(before, now));
    case Reason::kQualityFloorViolation:
      return {"quality_floor", ppm(policy.volatility.quality_floor.value_or(0)),
              kWhole - event.observed, true};
    case Reason::kHealthRecovered:
    case Reason::kExitDegradedMode:
      return span("stability_window_ms", policy.volatility.stability_window,
                  now - before.healthy_since.value_or(now));
    case Reason::kRecoveryStart:
    case Reason::kRecoveryRetry:
      return fired_recovery(before, row, event, policy, now);
    case Reason::kRecoveryBoundsExceeded:
      return fired_bounds(before, row, policy, now);
    case Reason::kEnterDegradedMode:
      return fired_degraded(before, policy, now);
    case Reason::kTtlSessionExpired:
      return span("max_lifetime_ms", policy.session.max_lifetime, age_of(before, now));
    case Reason::kTtlTransportLossExpired:
      return fired_loss_of_transport(before, policy, now);
    case Reason::kKeyLifetimeExceeded: {
      const Millis life{kKeyRefuseAfterMs};
      return span("key_lifetime_ms", life, now - (before.keys_expire - life));
    }
    default:
      return {};
  }
}

}  // namespace jvpn::session
