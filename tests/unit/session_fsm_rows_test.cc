// The state machine's rows: the settled table, every trigger in every state, and what time alone
// does.
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "control/session/state_machine.h"
#include "tests/support/rooms.h"
#include "tests/unit/session_fsm_rig.h"

namespace jvpn::fsm_test {
namespace {

// ---- The settled table (docs/STATE_MACHINE.md, rows), written down a second time.

TEST(SessionFsmTable, IsTheSettledOne) {
  using enum State;
  std::vector<TableRow> settled = {
      {kBirth, kAttached, Reason::kHandshakeOk},
      {kBirth, kTerminated, Reason::kHandshakeFail},
      {kAttached, kVolatile, Reason::kVolatilitySignal},
      {kAttached, kVolatile, Reason::kQualityFloorViolation},
      {kVolatile, kAttached, Reason::kHealthRecovered},
      {kAttached, kRecovering, Reason::kRecoveryStart},
      {kVolatile, kRecovering, Reason::kRecoveryStart},
      {kRecovering, kAttached, Reason::kTransportSwitchOk},
      {kRecovering, kDegraded, Reason::kRecoveryBoundsExceeded},
      {kRecovering, kTerminated, Reason::kRecoveryBoundsExceeded},
      {kVolatile, kDegraded, Reason::kEnterDegradedMode},
      {kAttached, kDegraded, Reason::kEnterDegradedMode},
      {kRecovering, kDegraded, Reason::kEnterDegradedMode},
      {kDegraded, kAttached, Reason::kExitDegradedMode},
      {kDegraded, kRecovering, Reason::kRecoveryRetry},
  };
  for (const State live : {kBirth, kAttached, kVolatile, kRecovering, kDegraded}) {
    settled.push_back({live, kTerminated, Reason::kTtlSessionExpired});
    settled.push_back({live, kTerminated, Reason::kPolicyTermination});
    settled.push_back({live, kTerminated, Reason::kFatalProtocolError});
    if (live == kBirth) continue;  // no transport yet to lose, no keys yet to expire
    settled.push_back({live, kTerminated, Reason::kTtlTransportLossExpired});
    settled.push_back({live, kTerminated, Reason::kKeyLifetimeExceeded});
  }
  std::ranges::sort(settled);
  const auto rows = table_rows();
  EXPECT_EQ(std::vector<TableRow>(rows.begin(), rows.end()), settled);
  for (const State from : kStates) {
    for (const State to : kStates) {
      for (const ReasonText& text : all_reasons()) {
        EXPECT_EQ(legal_row(from, to, text.reason),
                  std::ranges::binary_search(settled, TableRow{from, to, text.reason}));
      }
    }
  }
}

// ---- Every state and trigger, when nothing is due and no guard is in the way.

struct Expected {
  State to;
  Reason reason;
};

std::optional<Expected> expected(State from, Trigger trigger) {
  if (from == State::kTerminated) return std::nullopt;
  switch (trigger) {
    case Trigger::kProtocolViolation:
      return Expected{State::kTerminated, Reason::kFatalProtocolError};
    case Trigger::kTerminate:
      return Expected{State::kTerminated, Reason::kPolicyTermination};
    case Trigger::kKeyConfirmed:
      if (from == State::kBirth) return Expected{State::kAttached, Reason::kHandshakeOk};
      return std::nullopt;
    case Trigger::kHandshakeFailed:
      if (from == State::kBirth) return Expected{State::kTerminated, Reason::kHandshakeFail};
      return std::nullopt;
    case Trigger::kTransportDead:
      if (from == State::kDegraded) return Expected{State::kRecovering, Reason::kRecoveryRetry};
      if (from == State::kBirth || from == State::kRecovering) return std::nullopt;
      return Expected{State::kRecovering, Reason::kRecoveryStart};
    case Trigger::kReattachCommitted:  // unplanned: only where no binding lives
      if (from != State::kRecovering) return std::nullopt;
      return Expected{State::kAttached, Reason::kTransportSwitchOk};
    default:
      return std::nullopt;
  }
}

// Neither a row nor a refusal: the tick, a healthy verdict, an attempt that is counted, a death
// while another path is sought.
bool tolerated(State state, Trigger trigger) {
  if (trigger == Trigger::kTick) return true;
  if (trigger == Trigger::kRequestDenied || trigger == Trigger::kTransportDead)
    return state == State::kRecovering;
  return trigger == Trigger::kQuality && state != State::kBirth && state != State::kTerminated;
}

TEST(SessionFsm, EveryStateAndTrigger) {
  for (const State state : kStates) {
    for (const Trigger trigger : kTriggers) {
      SCOPED_TRACE(std::string(to_string(state)) + " " + to_string(trigger));
      const SessionRecord before = record_in(state);
      const Step taken = step(before, {trigger, Detail::kOperator}, Policy{}, kNow);
      const auto row = expected(state, trigger);
      ASSERT_EQ(taken.applied, row.has_value());
      EXPECT_EQ(taken.from, state);
      EXPECT_EQ(taken.refused, !row && !tolerated(state, trigger));
      if (taken.refused) {
        EXPECT_EQ(taken.record, before);
      }
      EXPECT_EQ(taken.record.version.value, before.version.value + (row ? 1 : 0));
      if (!row) continue;
      EXPECT_EQ(taken.record.state, row->to);
      EXPECT_EQ(taken.reason, row->reason);
      EXPECT_EQ(taken.detail, Detail::kOperator);
      EXPECT_EQ(taken.record.entered, kNow);
      EXPECT_EQ(taken.record.has_transport, row->to == State::kAttached);
      ASSERT_EQ(taken.row_count, 1U);
      EXPECT_EQ(taken.rows()[0],
                (AppliedRow{state, row->to, row->reason, Detail::kOperator, taken.record.version}));
    }
  }
}

// ---- Rows of time: not a millisecond early, and the deadline is told.

struct Deadline {
  const char* name;
  State state;
  uint64_t after;  // birth, in milliseconds, at which the row first applies
  State to;
  Reason reason;
  Detail detail;
  void (*prepare)(SessionRecord&, Policy&);
};

const Deadline kDeadlines[] = {
    {"birth", State::kBirth, kHandshakeTimeoutMs, State::kTerminated, Reason::kHandshakeFail,
     Detail::kTimeout, [](SessionRecord&, Policy&) {}},
    {"birth TTL", State::kBirth, 4000, State::kTerminated, Reason::kTtlSessionExpired,
     Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.session.max_lifetime = Millis{4000}; }},
    {"session TTL", State::kAttached, 9000, State::kTerminated, Reason::kTtlSessionExpired,
     Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.session.max_lifetime = Millis{9000}; }},
    {"loss TTL after traffic", State::kAttached, 20'000, State::kTerminated,
     Reason::kTtlTransportLossExpired, Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.session.transport_loss_ttl = Millis{15'000};
       record.last_authentic = kBorn + Millis{5000};
     }},
    {"loss TTL of an idle session", State::kAttached, 150'000, State::kTerminated,
     Reason::kTtlTransportLossExpired, Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.session.transport_loss_ttl = Millis{15'000};
       policy.session.idle_max = Millis{5'000};  // ten heartbeats
       record.idle_interval = Millis{60'000};    // more than granted
     }},
    {"loss TTL without transport", State::kRecovering, 17'000, State::kTerminated,
     Reason::kTtlTransportLossExpired, Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.session.transport_loss_ttl = Millis{15'000};
       record.transport_lost = kBorn + Millis{2000};
       record.last_authentic = kBorn + Millis{9000};  // over a candidate
     }},
    {"loss TTL in DEGRADED", State::kDegraded, 15'000, State::kTerminated,
     Reason::kTtlTransportLossExpired, Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.session.transport_loss_ttl = Millis{15'000};
       record.has_transport = false;
       record.transport_lost = kBorn;
     }},
    {"keys", State::kVolatile, 180'000, State::kTerminated, Reason::kKeyLifetimeExceeded,
     Detail::kNone, [](SessionRecord&, Policy&) {}},
    {"recovery window", State::kRecovering, 10'000, State::kTerminated,
     Reason::kRecoveryBoundsExceeded, Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.switching.max_recovery_window = Millis{10'000}; }},
    {"attempts by time", State::kRecovering, 6000, State::kDegraded,
     Reason::kRecoveryBoundsExceeded, Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.switching.recovery_attempt = Millis{2000}; }},
    {"attempts by time and denial", State::kRecovering, 2000, State::kDegraded,
     Reason::kRecoveryBoundsExceeded, Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.switching.recovery_attempt = Millis{2000};
       record.denied = 2;
     }},
    {"dead in ATTACHED", State::kAttached, 2000, State::kRecovering, Reason::kRecoveryStart,
     Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.volatility.transport_dead = Millis{2000}; }},
    {"dead in VOLATILE", State::kVolatile, 2300, State::kRecovering, Reason::kRecoveryStart,
     Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.volatility.transport_dead = Millis{2000};
       record.last_authentic = kBorn + Millis{300};
     }},
    {"dead in DEGRADED", State::kDegraded, 2000, State::kRecovering, Reason::kRecoveryRetry,
     Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.volatility.transport_dead = Millis{2000}; }},
    {"dead while idle", State::kAttached, 8000, State::kRecovering, Reason::kRecoveryStart,
     Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.volatility.transport_dead = Millis{2000};
       policy.session.idle_max = record.idle_interval = Millis{2000};
     }},
    {"heartbeat", State::kAttached, 1000, State::kVolatile, Reason::kVolatilitySignal,
     Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.volatility.heartbeat_volatile = Millis{1000}; }},
    {"flaps", State::kVolatile, 50'000, State::kDegraded, Reason::kEnterDegradedMode, Detail::kNone,
     [](SessionRecord& record, Policy&) {
       flap_n_times(record, 7);  // more than 6, the latest after 50 s
       record.entered = kBorn + Millis{50'000};
     }},
    {"volatile to degraded", State::kVolatile, 4000, State::kDegraded, Reason::kEnterDegradedMode,
     Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.volatility.volatile_to_degraded = Millis{4000}; }},
    {"volatile to recovering", State::kVolatile, 1500, State::kRecovering, Reason::kRecoveryStart,
     Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.volatility.volatile_to_recovering = Millis{1500};
       record.can_switch = true;
     }},
    {"volatile to recovering after the cooldown", State::kVolatile, 2500, State::kRecovering,
     Reason::kRecoveryStart, Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.volatility.volatile_to_recovering = Millis{1500};
       record.can_switch = true;
       switch_n_times(record, 1, kBorn + Millis{1000});
     }},
    {"volatile to recovering within the rate", State::kVolatile, 60'000, State::kRecovering,
     Reason::kRecoveryStart, Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.volatility.volatile_to_recovering = Millis{1500};
       record.can_switch = true;
       switch_n_times(record, policy.switching.max_switches_per_min);
     }},
    {"stable in VOLATILE", State::kVolatile, 3500, State::kAttached, Reason::kHealthRecovered,
     Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.volatility.stability_window = Millis{3000};
       record.healthy_since = kBorn + Millis{500};
     }},
    {"stable in DEGRADED", State::kDegraded, 3500, State::kAttached, Reason::kExitDegradedMode,
     Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.volatility.stability_window = Millis{3000};
       record.healthy_since = kBorn + Millis{500};
     }},
};

TEST(SessionFsm, Deadlines) {
  for (const Deadline& row : kDeadlines) {
    SCOPED_TRACE(row.name);
    SessionRecord record = record_in(row.state);
    Policy policy = patient_policy();
    row.prepare(record, policy);
    const Millis at = kBorn + Millis{row.after};
    EXPECT_EQ(next_deadline(record, policy), at);
    EXPECT_FALSE(step(record, {Trigger::kTick}, policy, at - Millis{1}).applied);
    const Step taken = step(record, {Trigger::kTick}, policy, at);
    ASSERT_TRUE(taken.applied);
    EXPECT_EQ(taken.record.state, row.to);
    EXPECT_EQ(taken.reason, row.reason);
    EXPECT_EQ(taken.detail, row.detail);
    EXPECT_EQ(taken.record.version.value, record.version.value + 1);
    EXPECT_EQ(taken.record.entered, at);
  }
  EXPECT_EQ(next_deadline(record_in(State::kTerminated), Policy{}), kForever);
}

// What must not become due.
struct Never {
  const char* name;
  State state;
  void (*prepare)(SessionRecord&, Policy&);
};

const Never kNevers[] = {
    {"a responder doesn't want another path", State::kVolatile,
     [](SessionRecord&, Policy& policy) { policy.volatility.volatile_to_recovering = Millis{1}; }},
    {"as many flaps as granted", State::kVolatile,
     [](SessionRecord& record, Policy&) { flap_n_times(record, 6); }},
    {"flaps over more than a minute", State::kVolatile,
     [](SessionRecord& record, Policy&) {
       flap_n_times(record, 7);
       record.entered = kBorn + Millis{60'000};
     }},
    {"no transport in DEGRADED can be stable or die", State::kDegraded,
     [](SessionRecord& record, Policy& policy) {
       record.has_transport = false;
       record.healthy_since = kBorn;
       policy.volatility.stability_window = policy.volatility.transport_dead = Millis{1};
     }},
    {"silence isn't stability", State::kVolatile,
     [](SessionRecord& record, Policy& policy) {
       record.healthy_since = kBorn;
       policy.volatility.stability_window = policy.volatility.heartbeat_volatile = Millis{1000};
     }},
    {"no key yet", State::kAttached,
     [](SessionRecord& record, Policy&) { record.keys_expire = Millis{0}; }},
};

TEST(SessionFsm, NothingDue) {
  for (const Never& row : kNevers) {
    SCOPED_TRACE(row.name);
    SessionRecord record = record_in(row.state);
    record.keys_expire = Millis{0};
    Policy policy = patient_policy();
    row.prepare(record, policy);
    EXPECT_EQ(next_deadline(record, policy), kForever);
    EXPECT_FALSE(step(record, {Trigger::kTick}, policy, Millis{UINT64_MAX - 1}).applied);
  }
}

}  // namespace
}  // namespace jvpn::fsm_test
