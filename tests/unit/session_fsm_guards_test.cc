// Triggered rows with guards, the refusals beside them, and which of two simultaneous triggers
// wins.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "control/session/state_machine.h"
#include "tests/support/rooms.h"
#include "tests/unit/session_fsm_rig.h"

namespace jvpn::fsm_test {
namespace {

// ---- Triggered rows with guards, and the refusals beside them.

using Prepare = void (*)(SessionRecord&, Policy&, SessionEvent&);

struct Guarded {
  const char* name;
  State state;
  Trigger trigger;
  Prepare prepare;
  std::vector<TableRow> rows;  // none: refused or noted
};

void planned(SessionRecord&, Policy&, SessionEvent& event) {
  event.planned = true;
}
void just_as_it_is(SessionRecord&, Policy&, SessionEvent&) {}
void full_rate(SessionRecord& record, Policy& policy, SessionEvent& event) {
  switch_n_times(record, policy.switching.max_switches_per_min);
  policy.switching.switch_cooldown = Millis{0};
  event.planned = true;
}
void full_rate_of_recoveries(SessionRecord& record, Policy& policy, SessionEvent& event) {
  recover_n_times(record, policy.switching.max_switches_per_min);
  policy.switching.switch_cooldown = Millis{0};
  event.planned = true;
}
void full_rate_of_both(SessionRecord& record, Policy& policy, SessionEvent& event) {
  full_rate(record, policy, event);
  full_rate_of_recoveries(record, policy, event);
}
void rebind_in_haste(SessionRecord& record, Policy& policy, SessionEvent& event) {
  full_rate_of_both(record, policy, event);
  policy.switching.switch_cooldown = kForever - kBorn;
  event.rebind = true;
}
void rebind_again(SessionRecord& record, Policy&, SessionEvent& event) {
  record.rebinds.add(kNow, record.born);
  event.planned = event.rebind = true;
}
void full_rate_ends(SessionRecord& record, Policy& policy, SessionEvent& event) {
  full_rate_of_both(record, policy, event);
  policy.switching.on_rate_exceeded = OnRateExceeded::kTerminate;
}
void cooled_down(SessionRecord&, Policy& policy, SessionEvent& event) {
  policy.switching.switch_cooldown = kNow - kBorn;
  event.planned = true;
}
void told_new(SessionRecord&, Policy&, SessionEvent& event) {
  event.binding_version = BindingVersion{6};
}
void told_again(SessionRecord&, Policy&, SessionEvent& event) {
  event.binding_version = BindingVersion{5};
}
void told_over_rate(SessionRecord& record, Policy& policy, SessionEvent& event) {
  full_rate(record, policy, event);
  event.binding_version = BindingVersion{6};
}
void without_transport(SessionRecord& record, Policy& policy, SessionEvent&) {
  policy.switching.switch_cooldown = kNow - kBorn;
  record.has_transport = false;
  record.transport_lost = kBorn;
}
void with_transport(SessionRecord& record, Policy&, SessionEvent&) {
  record.has_transport = true;
}
void silently_dead(SessionRecord&, Policy& policy, SessionEvent&) {
  policy.volatility.transport_dead = kNow - kBorn;
}
void recently_switched(SessionRecord& record, Policy&, SessionEvent& event) {
  switch_n_times(record, 1);
  event.planned = true;
}
void over_threshold(SessionRecord&, Policy&, SessionEvent& event) {
  event.verdict = QualityVerdict::kVolatile;
}
void under_floor(SessionRecord&, Policy&, SessionEvent& event) {
  event.verdict = QualityVerdict::kUnderFloor;
}

using enum State;
const TableRow kStartFromAttached{kAttached, kRecovering, Reason::kRecoveryStart};
const TableRow kStartFromVolatile{kVolatile, kRecovering, Reason::kRecoveryStart};
const TableRow kRetry{kDegraded, kRecovering, Reason::kRecoveryRetry};
const TableRow kSwitched{kRecovering, kAttached, Reason::kTransportSwitchOk};

const Guarded kGuarded[] = {
    {"volatile",
     kAttached,
     Trigger::kQuality,
     over_threshold,
     {{kAttached, kVolatile, Reason::kVolatilitySignal}}},
    {"under floor",
     kAttached,
     Trigger::kQuality,
     under_floor,
     {{kAttached, kVolatile, Reason::kQualityFloorViolation}}},
    {"still volatile", kVolatile, Trigger::kQuality, under_floor, {}},
    {"volatile when degraded", kDegraded, Trigger::kQuality, over_threshold, {}},

    {"planned", kAttached, Trigger::kReattachCommitted, planned, {kStartFromAttached, kSwitched}},
    {"planned", kVolatile, Trigger::kReattachCommitted, planned, {kStartFromVolatile, kSwitched}},
    {"planned, just degraded", kDegraded, Trigger::kReattachCommitted, planned, {}},
    {"planned, cooled down",
     kDegraded,
     Trigger::kReattachCommitted,
     cooled_down,
     {kRetry, kSwitched}},
    {"planned in haste", kAttached, Trigger::kReattachCommitted, recently_switched, {}},
    {"planned over the rate", kAttached, Trigger::kReattachCommitted, full_rate, {}},
    {"planned while recovering", kRecovering, Trigger::kReattachCommitted, planned, {kSwitched}},
    {"recovering in haste",
     kRecovering,
     Trigger::kReattachCommitted,
     recently_switched,
     {kSwitched}},
    {"recovering over the rate of planned switches",
     kRecovering,
     Trigger::kReattachCommitted,
     full_rate,
     {kSwitched}},
    {"recovering over its own rate",
     kRecovering,
     Trigger::kReattachCommitted,
     full_rate_of_recoveries,
     {}},
    {"planned, over the rate of recoveries",
     kAttached,
     Trigger::kReattachCommitted,
     full_rate_of_recoveries,
     {kStartFromAttached, kSwitched}},
    {"rebind over both rates, in haste",
     kAttached,
     Trigger::kReattachCommitted,
     rebind_in_haste,
     {kStartFromAttached, kSwitched}},
    {"rebind at once after another", kAttached, Trigger::kReattachCommitted, rebind_again, {}},
    {"recovering beside a living binding",
     kRecovering,
     Trigger::kReattachCommitted,
     with_transport,
     {}},
    {"unplanned, nothing bound",
     kDegraded,
     Trigger::kReattachCommitted,
     without_transport,
     {kRetry, kSwitched}},
    {"told", kRecovering, Trigger::kReattachCommitted, told_new, {kSwitched}},
    {"told", kAttached, Trigger::kReattachCommitted, told_new, {kStartFromAttached, kSwitched}},
    {"told", kDegraded, Trigger::kReattachCommitted, told_new, {kRetry, kSwitched}},
    {"told over this end's rate",
     kRecovering,
     Trigger::kReattachCommitted,
     told_over_rate,
     {kSwitched}},
    {"told again", kRecovering, Trigger::kReattachCommitted, told_again, {}},
    {"told again", kAttached, Trigger::kReattachCommitted, told_again, {}},
    {"told before birth", kBirth, Trigger::kReattachCommitted, told_new, {}},

    {"no binding to lose", kDegraded, Trigger::kTransportDead, without_transport, {}},
    {"unplanned, silently dead",
     kVolatile,
     Trigger::kReattachCommitted,
     silently_dead,
     {kStartFromVolatile, kSwitched}},

    {"rate",
     kAttached,
     Trigger::kSwitchRateExceeded,
     full_rate,
     {{kAttached, kDegraded, Reason::kEnterDegradedMode}}},
    {"rate",
     kVolatile,
     Trigger::kSwitchRateExceeded,
     full_rate,
     {{kVolatile, kDegraded, Reason::kEnterDegradedMode}}},
    {"rate",
     kRecovering,
     Trigger::kSwitchRateExceeded,
     full_rate_of_both,
     {{kRecovering, kDegraded, Reason::kEnterDegradedMode}}},
    {"rate ends",
     kAttached,
     Trigger::kSwitchRateExceeded,
     full_rate_ends,
     {{kAttached, kTerminated, Reason::kPolicyTermination}}},
    {"rate ends",
     kVolatile,
     Trigger::kSwitchRateExceeded,
     full_rate_ends,
     {{kVolatile, kTerminated, Reason::kPolicyTermination}}},
    {"rate ends",
     kRecovering,
     Trigger::kSwitchRateExceeded,
     full_rate_ends,
     {{kRecovering, kTerminated, Reason::kPolicyTermination}}},
    {"rate when degraded", kDegraded, Trigger::kSwitchRateExceeded, full_rate_ends, {}},
    {"rate not exceeded", kAttached, Trigger::kSwitchRateExceeded, just_as_it_is, {}},

    {"retry", kDegraded, Trigger::kSwitchRequested, cooled_down, {kRetry}},
    {"retry too early", kDegraded, Trigger::kSwitchRequested, just_as_it_is, {}},
    {"request elsewhere", kAttached, Trigger::kSwitchRequested, cooled_down, {}},
};

TEST(SessionFsm, GuardedRowsAndRefusals) {
  for (const Guarded& each : kGuarded) {
    SCOPED_TRACE(std::string(to_string(each.state)) + " " + to_string(each.trigger) + ": " +
                 each.name);
    SessionRecord record = record_in(each.state);
    Policy policy;
    SessionEvent event{each.trigger};
    each.prepare(record, policy, event);
    const Step taken = step(record, event, policy, kNow);
    ASSERT_EQ(taken.row_count, each.rows.size());
    EXPECT_EQ(taken.refused, each.rows.empty() && each.trigger != Trigger::kQuality);
    EXPECT_EQ(taken.record.version.value, record.version.value + each.rows.size());
    if (taken.refused) {
      EXPECT_EQ(taken.record, record);
    }
    for (size_t i = 0; i < each.rows.size(); ++i) {
      const AppliedRow& row = taken.rows()[i];
      EXPECT_EQ((TableRow{row.from, row.to, row.reason}), each.rows[i]);
      EXPECT_EQ(row.version.value, record.version.value + i + 1);
    }
  }
}

// ---- Simultaneous triggers, in pairs: the earlier of this list wins.

struct Simultaneous {
  const char* name;
  std::vector<State> states;
  Reason reason;
  std::optional<Trigger> trigger;  // none: a deadline
  Prepare prepare;
};

const std::vector<State> kAllLive = {kBirth, kAttached, kVolatile, kRecovering, kDegraded};

const Simultaneous kInOrder[] = {
    {"corrupt",
     kOnceAttached,
     Reason::kFatalProtocolError,
     {},
     [](SessionRecord& record, Policy&, SessionEvent&) { record.version = StateVersion{0}; }},
    {"fatal", kAllLive, Reason::kFatalProtocolError, Trigger::kProtocolViolation, just_as_it_is},
    {"terminate", kAllLive, Reason::kPolicyTermination, Trigger::kTerminate, just_as_it_is},
    {"session TTL",
     kAllLive,
     Reason::kTtlSessionExpired,
     {},
     [](SessionRecord&, Policy& policy, SessionEvent&) {
       policy.session.max_lifetime = Millis{1};
     }},
    {"loss TTL",
     kOnceAttached,
     Reason::kTtlTransportLossExpired,
     {},
     [](SessionRecord&, Policy& policy, SessionEvent&) {
       policy.session.transport_loss_ttl = Millis{1};
     }},
    {"keys",
     kOnceAttached,
     Reason::kKeyLifetimeExceeded,
     {},
     [](SessionRecord& record, Policy&, SessionEvent&) { record.keys_expire = kNow; }},
    {"window",
     {kRecovering},
     Reason::kRecoveryBoundsExceeded,
     {},
     [](SessionRecord&, Policy& policy, SessionEvent&) {
       policy.switching.max_recovery_window = kNow - kBorn;
     }},
    {"commit", kOnceAttached, Reason::kTransportSwitchOk, Trigger::kReattachCommitted, cooled_down},
    {"dead link",
     {kAttached, kVolatile},
     Reason::kRecoveryStart,
     Trigger::kTransportDead,
     just_as_it_is},
    {"dead in silence",
     {kAttached, kVolatile},
     Reason::kRecoveryStart,
     {},
     [](SessionRecord&, Policy& policy, SessionEvent&) {
       policy.volatility.transport_dead = Millis{1};
     }},
    {"dead link, degraded",
     {kDegraded},
     Reason::kRecoveryRetry,
     Trigger::kTransportDead,
     just_as_it_is},
    {"attempts",
     {kRecovering},
     Reason::kRecoveryBoundsExceeded,
     {},
     [](SessionRecord& record, Policy&, SessionEvent&) { record.denied = 3; }},
    {"rate",
     {kAttached, kVolatile, kRecovering},
     Reason::kEnterDegradedMode,
     Trigger::kSwitchRateExceeded,
     full_rate},
    {"flaps",
     {kVolatile},
     Reason::kEnterDegradedMode,
     {},
     [](SessionRecord& record, Policy&, SessionEvent&) { flap_n_times(record, 7); }},
    {"volatile to degraded",
     {kVolatile},
     Reason::kEnterDegradedMode,
     {},
     [](SessionRecord&, Policy& policy, SessionEvent&) {
       policy.volatility.volatile_to_degraded = Millis{1};
     }},
    {"volatile to recovering",
     {kVolatile},
     Reason::kRecoveryStart,
     {},
     [](SessionRecord& record, Policy& policy, SessionEvent&) {
       policy.volatility.volatile_to_recovering = Millis{1};
       record.can_switch = true;
     }},
    {"heartbeat",
     {kAttached},
     Reason::kVolatilitySignal,
     {},
     [](SessionRecord&, Policy& policy, SessionEvent&) {
       policy.volatility.heartbeat_volatile = Millis{1};
     }},
    {"floor", {kAttached}, Reason::kQualityFloorViolation, Trigger::kQuality, under_floor},
    {"stable",
     {kVolatile},
     Reason::kHealthRecovered,
     {},
     [](SessionRecord& record, Policy& policy, SessionEvent&) {
       policy.volatility.stability_window = Millis{1};
       record.healthy_since = kBorn;
     }},
    {"stable, degraded",
     {kDegraded},
     Reason::kExitDegradedMode,
     {},
     [](SessionRecord& record, Policy& policy, SessionEvent&) {
       policy.volatility.stability_window = Millis{1};
       record.healthy_since = kBorn;
     }},
};

bool in(const std::vector<State>& states, State state) {
  return std::ranges::find(states, state) != states.end();
}

TEST(SessionFsm, SimultaneousTriggersInPairs) {
  size_t pairs = 0;
  for (size_t i = 0; i < std::size(kInOrder); ++i) {
    for (size_t j = i + 1; j < std::size(kInOrder); ++j) {
      const Simultaneous& first = kInOrder[i];
      const Simultaneous& second = kInOrder[j];
      if (first.trigger && second.trigger) continue;  // a step takes one
      for (const State state : kStates) {
        if (!in(first.states, state) || !in(second.states, state)) continue;
        SCOPED_TRACE(std::string(to_string(state)) + ": " + first.name + ", " + second.name);
        SessionRecord record = record_in(state);
        Policy policy = patient_policy();
        SessionEvent event{first.trigger.value_or(second.trigger.value_or(Trigger::kTick))};
        second.prepare(record, policy, event);
        first.prepare(record, policy, event);
        const Step taken = step(record, event, policy, kNow);
        EXPECT_EQ(taken.reason, first.reason);
        ++pairs;
      }
    }
  }
  EXPECT_GT(pairs, 150U);
}

}  // namespace
}  // namespace jvpn::fsm_test
