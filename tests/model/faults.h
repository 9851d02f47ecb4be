// Deliberate faults, put between the transition function and the walk: each must be caught.
#pragma once

#include <cstdint>
#include <vector>

#include "control/session/state_machine.h"
#include "tests/model/ages.h"
#include "tests/model/checks.h"
#include "tests/support/rooms.h"

namespace jvpn::model {

/// The real function under another policy than the one that is checked.
template <typename Change>
inline Transition under(Change change) {
  return [change](const SessionRecord& record, const SessionEvent& event, const Policy& policy) {
    Policy other = policy;
    change(other);
    return step(record, event, other, kNow);
  };
}

/// The real function, its result altered.
template <typename Change>
inline Transition altered(Change change) {
  return [change](const SessionRecord& record, const SessionEvent& event, const Policy& policy) {
    Step taken = step(record, event, policy, kNow);
    change(taken, record, event);
    return taken;
  };
}

struct Fault {
  const char* name;
  Transition transition;
};

inline void end_quietly(Step& taken, const SessionRecord& before) {
  taken = Step(before);
}

inline std::vector<Fault> faulty_rows() {
  using Before = const SessionRecord&;
  using Event = const SessionEvent&;
  return {
      {"a row skips a version", altered([](Step& taken, Before, Event) {
         if (taken.reason == Reason::kRecoveryRetry) --taken.record.version.value;
       })},
      {"a planned commit counts once", altered([](Step& taken, Before, Event) {
         if (taken.row_count == 2) --taken.record.version.value;
       })},
      {"a planned commit tells one row", altered([](Step& taken, Before, Event) {
         if (taken.row_count == 2) taken.row_count = 1;
       })},
      {"death keeps the binding", altered([](Step& taken, Before before, Event) {
         if (taken.record.state == State::kRecovering) {
           taken.record.has_transport = before.has_transport;
         }
       })},
      {"a commit binds nothing", altered([](Step& taken, Before, Event) {
         if (taken.reason == Reason::kTransportSwitchOk) taken.record.has_transport = false;
       })},
      {"the end keeps the binding", altered([](Step& taken, Before before, Event) {
         if (taken.reason == Reason::kKeyLifetimeExceeded) {
           taken.record.has_transport = before.has_transport;
         }
       })},
      {"TERMINATED is revived", altered([](Step& taken, Before before, Event event) {
         if (before.state != State::kTerminated || event.trigger != Trigger::kKeyConfirmed) return;
         taken.record.state = State::kAttached;
       })},
      {"a row without a reason", altered([](Step& taken, Before, Event) {
         if (taken.reason != Reason::kExitDegradedMode) return;
         taken.reason = taken.all_rows[0].reason = Reason::kNone;
       })},
      {"a row with another's reason", altered([](Step& taken, Before, Event) {
         if (taken.reason != Reason::kHealthRecovered) return;
         taken.reason = taken.all_rows[0].reason = Reason::kTransportSwitchOk;
       })},
      {"a row goes elsewhere", altered([](Step& taken, Before, Event) {
         if (taken.reason != Reason::kRecoveryRetry || taken.row_count != 1) return;
         taken.record.state = taken.all_rows[0].to = State::kVolatile;
       })},
      {"a row is missing", altered([](Step& taken, Before before, Event) {
         if (taken.reason == Reason::kQualityFloorViolation) end_quietly(taken, before);
       })},
      {"what isn't authentic counts", altered([](Step& taken, Before, Event event) {
         if (event.trigger > Trigger::kSwitchRequested) ++taken.record.denied;
       })},
      {"a refusal moves a clock", altered([](Step& taken, Before, Event) {
         if (taken.refused) taken.record.last_authentic = kNow + units(1);
       })},
      {"the loss TTL starts anew", altered([](Step& taken, Before, Event) {
         if (taken.reason == Reason::kRecoveryRetry && !taken.record.has_transport) {
           taken.record.transport_lost = kNow;
         }
       })},
      {"binding_version lags", altered([](Step& taken, Before, Event) {
         if (taken.row_count == 2) --taken.record.binding_version.value;
       })},
      {"an older binding is taken",
       [](Before record, Event event, const Policy& policy) {
         SessionRecord before = record;
         if (event.binding_version == BindingVersion{9}) before.binding_version.value = 1;
         Step taken = step(before, event, policy, kNow);
         if (taken.reason != Reason::kTransportSwitchOk && taken.reason != Reason::kHandshakeOk) {
           taken.record.binding_version = record.binding_version;
         }
         return taken;
       }},
      {"a commit beside a living binding",
       [](Before record, Event event, const Policy& policy) {
         SessionEvent planned = event;
         planned.planned = true;
         return step(record, planned, policy, kNow);
       }},
      {"a coin decides",
       [coin = false](Before record, Event event, const Policy& policy) mutable {
         coin = !coin;
         Step taken = step(record, event, policy, kNow);
         if (coin && taken.reason == Reason::kEnterDegradedMode) end_quietly(taken, record);
         return taken;
       }},
  };
}

inline std::vector<Fault> faulty_bounds() {
  constexpr Millis kForever{UINT64_MAX};
  return {
      {"no session TTL", under([=](Policy& p) { p.session.max_lifetime = kForever; })},
      {"no transport-loss TTL", under([=](Policy& p) { p.session.transport_loss_ttl = kForever; })},
      {"no recovery window", under([=](Policy& p) { p.switching.max_recovery_window = kForever; })},
      {"no end of attempts", under([=](Policy& p) { p.switching.recovery_attempt = kForever; })},
      {"one attempt too many", under([](Policy& p) { ++p.switching.max_recovery_attempts; })},
      {"one switch too many", under([](Policy& p) { ++p.switching.max_switches_per_min; })},
      {"flaps not counted", under([](Policy& p) { p.volatility.max_flaps_per_min = 9; })},
      {"no volatile_to_degraded",
       under([=](Policy& p) { p.volatility.volatile_to_degraded = kForever; })},
      {"silence isn't death", under([=](Policy& p) { p.volatility.transport_dead = kForever; })},
      {"silence isn't volatile",
       under([=](Policy& p) { p.volatility.heartbeat_volatile = kForever; })},
      {"stable too early", under([](Policy& p) { p.volatility.stability_window = Millis{0}; })},
      {"idleness without bound",
       [](const SessionRecord& record, const SessionEvent& event, const Policy& policy) {
         Policy other = policy;
         other.session.idle_max = units(3);
         SessionRecord before = record;
         if (record.idle_interval != Millis{0}) before.idle_interval = units(3);
         Step taken = step(before, event, other, kNow);
         if (taken.record.idle_interval != Millis{0}) taken.record.idle_interval = units(2);
         return taken;
       }},
      {"keys without end",
       [](const SessionRecord& record, const SessionEvent& event, const Policy& policy) {
         SessionRecord before = record;
         before.keys_expire = Millis{0};
         Step taken = step(before, event, policy, kNow);
         taken.record.keys_expire = record.keys_expire;
         return taken;
       }},
  };
}

}  // namespace jvpn::model
