#include "control/protocol/policy_snapshot.h"

#include <algorithm>

namespace jvpn::protocol {
namespace {

constexpr Millis kShortestHeartbeat{10};  // as the profile's

uint32_t told_ms(Millis span) {
  return static_cast<uint32_t>(std::min<uint64_t>(span.value, UINT32_MAX));
}

void lower(Millis& own, uint32_t told) {
  if (told != 0) own = std::min(own, Millis{told});
}
void lower(uint32_t& own, uint32_t told) {
  if (told != 0) own = std::min(own, told);
}
void raise(Millis& own, uint32_t told) {
  own = std::max(own, Millis{told});
}

}  // namespace

wire::PolicySnapshot snapshot_of(const Policy& policy) {
  wire::PolicySnapshot told{};
  told.version = policy.version;
  told.max_lifetime = told_ms(policy.session.max_lifetime);
  told.transport_loss_ttl = told_ms(policy.session.transport_loss_ttl);
  told.idle_max = told_ms(policy.session.idle_max);
  told.heartbeat_interval = told_ms(policy.volatility.heartbeat_interval);
  told.heartbeat_volatile = told_ms(policy.volatility.heartbeat_volatile);
  told.transport_dead = told_ms(policy.volatility.transport_dead);
  told.stability_window = told_ms(policy.volatility.stability_window);
  told.max_switches_per_min = policy.switching.max_switches_per_min;
  told.switch_cooldown = told_ms(policy.switching.switch_cooldown);
  told.max_recovery_window = told_ms(policy.switching.max_recovery_window);
  told.max_recovery_attempts = policy.switching.max_recovery_attempts;
  told.recovery_attempt = told_ms(policy.switching.recovery_attempt);
  told.drain = told_ms(policy.switching.drain);
  told.max_candidate_count = policy.transport.max_candidate_count;
  told.candidate_validation_ttl = told_ms(policy.transport.candidate_validation_ttl);
  return told;
}

Policy tightened(const Policy& own, const wire::PolicySnapshot& told) {
  Policy policy = own;
  lower(policy.session.max_lifetime, told.max_lifetime);
  lower(policy.session.transport_loss_ttl, told.transport_loss_ttl);
  lower(policy.volatility.heartbeat_interval, told.heartbeat_interval);
  policy.volatility.heartbeat_interval =
      std::max(policy.volatility.heartbeat_interval, kShortestHeartbeat);
  lower(policy.volatility.heartbeat_volatile, told.heartbeat_volatile);
  lower(policy.volatility.transport_dead, told.transport_dead);
  raise(policy.volatility.stability_window, told.stability_window);
  // Or else VOLATILE would never lead back to ATTACHED.
  const Millis longer{2 * policy.volatility.stability_window.value};
  if (policy.volatility.volatile_to_degraded <= policy.volatility.stability_window) {
    policy.volatility.volatile_to_degraded = longer;
  }
  lower(policy.switching.max_switches_per_min, told.max_switches_per_min);
  raise(policy.switching.switch_cooldown, told.switch_cooldown);
  lower(policy.switching.max_recovery_window, told.max_recovery_window);
  lower(policy.switching.max_recovery_attempts, told.max_recovery_attempts);
  lower(policy.switching.recovery_attempt, told.recovery_attempt);
  lower(policy.switching.drain, told.drain);
  lower(policy.transport.max_candidate_count, told.max_candidate_count);
  lower(policy.transport.candidate_validation_ttl, told.candidate_validation_ttl);
  return policy;
}

}  // namespace jvpn::protocol
