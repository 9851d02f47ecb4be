// What the tests of the session's state machine share: a record in each state, and a policy under
// which nothing is due.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "common/limits.h"
#include "control/session/state_machine.h"
#include "tests/support/rooms.h"

namespace jvpn::fsm_test {

inline constexpr std::array kStates = {State::kBirth,      State::kAttached, State::kVolatile,
                                       State::kRecovering, State::kDegraded, State::kTerminated};
inline constexpr std::array kTriggers = {
    Trigger::kKeyConfirmed,       Trigger::kHandshakeFailed,   Trigger::kTick,
    Trigger::kTerminate,          Trigger::kProtocolViolation, Trigger::kQuality,
    Trigger::kTransportDead,      Trigger::kReattachCommitted, Trigger::kRequestDenied,
    Trigger::kSwitchRateExceeded, Trigger::kSwitchRequested};
inline constexpr Millis kBorn{10'000};
inline constexpr Millis kNow{10'100};
inline constexpr Millis kForever{UINT64_MAX};

// In RECOVERING by death, elsewhere over a living transport.
inline SessionRecord record_in(State state) {
  SessionRecord record;
  record.state = state;
  record.version = StateVersion{state == State::kBirth ? 0U : 7U};
  record.binding_version = BindingVersion{state == State::kBirth ? 0U : 5U};
  record.has_transport =
      state == State::kAttached || state == State::kVolatile || state == State::kDegraded;
  record.born = record.entered = record.last_authentic = kBorn;
  if (state == State::kRecovering) record.transport_lost = kBorn;
  record.keys_expire = kBorn + Millis{kKeyRefuseAfterMs};
  return record;
}

// Nothing is ever due but HANDSHAKE_FAIL; a case sets the bound that it is about.
inline Policy patient_policy() {
  Policy policy;
  policy.session.max_lifetime = policy.session.transport_loss_ttl = kForever;
  auto& v = policy.volatility;
  v.heartbeat_volatile = v.transport_dead = v.stability_window = kForever;
  v.volatile_to_recovering = v.volatile_to_degraded = kForever;
  policy.switching.max_recovery_window = policy.switching.recovery_attempt = kForever;
  return policy;
}

inline void switch_n_times(SessionRecord& record, uint32_t n, Millis time = kBorn) {
  for (uint32_t i = 0; i < n; ++i) record.switches.add(time, record.born);
}
inline void recover_n_times(SessionRecord& record, uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) record.recoveries.add(kBorn, record.born);
}
inline void flap_n_times(SessionRecord& record, uint32_t n, Millis time = kBorn) {
  for (uint32_t i = 0; i < n; ++i) record.flaps.add(time, record.born);
}

inline const std::vector<State> kOnceAttached = {State::kAttached, State::kVolatile,
                                                 State::kRecovering, State::kDegraded};

}  // namespace jvpn::fsm_test
