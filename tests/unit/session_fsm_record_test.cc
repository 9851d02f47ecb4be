// What a row does to the record, what is computed from one, and records at the edge of what is
// sound.
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "control/session/state_machine.h"
#include "tests/support/rooms.h"
#include "tests/unit/session_fsm_rig.h"

namespace jvpn::fsm_test {
namespace {

// ---- What a row does to the record.

TEST(SessionFsm, ConfirmationBinds) {
  const Step own = step(record_in(State::kBirth), {Trigger::kKeyConfirmed}, Policy{}, kNow);
  EXPECT_EQ(own.record.binding_version, BindingVersion{1});
  EXPECT_EQ(own.record.last_authentic, kNow);
  const Step told =
      step(record_in(State::kBirth), {Trigger::kKeyConfirmed, Detail::kNone, BindingVersion{9}},
           Policy{}, kNow);
  EXPECT_EQ(told.record.binding_version, BindingVersion{9});
  EXPECT_EQ(told.record.version, StateVersion{1});
  EXPECT_EQ(told.record.switches.count(), 0U);
}

TEST(SessionFsm, CommitBinds) {
  SessionRecord before = record_in(State::kAttached);
  before.idle_interval = Millis{400};
  SessionEvent event{Trigger::kReattachCommitted};
  event.planned = true;
  const SessionRecord own = step(before, event, Policy{}, kNow).record;
  EXPECT_EQ(own.version, StateVersion{9});
  EXPECT_EQ(own.binding_version, BindingVersion{9});
  EXPECT_EQ(own.last_authentic, kNow);
  EXPECT_EQ(own.idle_interval, Millis{0});
  EXPECT_EQ(own.switches.at(0, own.born), kNow);
  EXPECT_EQ(own.switches.count(), 1U);

  event.binding_version = BindingVersion{21};
  const SessionRecord told = step(before, event, Policy{}, kNow).record;
  EXPECT_EQ(told.version, StateVersion{9});
  EXPECT_EQ(told.binding_version, BindingVersion{21});
}

TEST(SessionFsm, OnlyDeathGivesUpTheBinding) {
  SessionRecord record = record_in(State::kVolatile);
  record.can_switch = true;
  const Millis later = kBorn + Millis{1500};
  record.last_authentic = later;
  const Step wish = step(record, {Trigger::kTick}, Policy{}, later);
  EXPECT_EQ(wish.record.state, State::kRecovering);
  EXPECT_TRUE(wish.record.has_transport);
  const Step death = step(record, {Trigger::kTransportDead}, Policy{}, later);
  EXPECT_EQ(death.record.state, State::kRecovering);
  EXPECT_FALSE(death.record.has_transport);
  EXPECT_EQ(death.record.transport_lost, later);
}

// Else the session would leave RECOVERING for DEGRADED, be found healthy there and be ATTACHED,
// with nothing to send by.
TEST(SessionFsm, ADeathToldInRecoveringGivesUpTheBindingAtOnce) {
  SessionRecord record = record_in(State::kRecovering);
  record.has_transport = true;
  record.last_authentic = kNow;
  const Step death = step(record, {Trigger::kTransportDead}, Policy{}, kNow);
  EXPECT_FALSE(death.applied);
  EXPECT_FALSE(death.refused);
  EXPECT_EQ(death.record.state, State::kRecovering);
  EXPECT_FALSE(death.record.has_transport);
  EXPECT_EQ(death.record.transport_lost, kNow);
  const Step again = step(death.record, {Trigger::kTransportDead}, Policy{}, kNow);
  EXPECT_FALSE(again.refused);
  EXPECT_EQ(again.record, death.record);
}

TEST(SessionFsm, ABindingThatDiedInRecoveringIsGivenUpWithTheRecovery) {
  SessionRecord record = record_in(State::kRecovering);
  record.has_transport = true;
  record.denied = 3;
  const Step alive = step(record, {Trigger::kTick}, Policy{}, kNow);
  EXPECT_EQ(alive.record.state, State::kDegraded);
  EXPECT_TRUE(alive.record.has_transport);
  const Step dead = step(record, {Trigger::kTick}, Policy{}, kBorn + Millis{2000});
  EXPECT_EQ(dead.record.state, State::kDegraded);
  EXPECT_FALSE(dead.record.has_transport);
  EXPECT_EQ(dead.record.transport_lost, kBorn);
}

TEST(SessionFsm, TransportLossRunsThroughRetriesUntilACommit) {
  Policy policy;
  policy.switching.max_recovery_attempts = 1;
  SessionRecord record = record_in(State::kAttached);
  Millis now = kBorn + Millis{2000};
  record = step(record, {Trigger::kTick}, policy, now).record;
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(record.state, State::kRecovering);
    EXPECT_EQ(record.transport_lost, kBorn);
    now = now + Millis{2000};
    record = step(record, {Trigger::kTick}, policy, now).record;
    EXPECT_EQ(record.state, State::kDegraded);
    now = now + Millis{1500};
    record = step(record, {Trigger::kSwitchRequested}, policy, now).record;
  }
  const Step end = step(record, {Trigger::kTick}, policy, kBorn + Millis{15'000});
  EXPECT_EQ(end.reason, Reason::kTtlTransportLossExpired);
}

// An idle peer's death is seen late; it still has the whole TTL to come back.
TEST(SessionFsm, DeathOfAnIdlePeerStartsTheLossTtl) {
  Policy policy;
  policy.session.idle_max = Millis{60'000};
  SessionRecord record = record_in(State::kVolatile);
  record.entered = kBorn + Millis{239'000};
  record.keys_expire = Millis{0};
  record.idle_interval = Millis{60'000};
  const Millis dead = kBorn + Millis{240'000};
  const Step taken = step(record, {Trigger::kTick}, policy, dead);
  EXPECT_EQ(taken.record.state, State::kRecovering);
  EXPECT_EQ(taken.record.transport_lost, dead - Millis{2000});
}

TEST(SessionFsm, DeniedRequestsAreAttempts) {
  SessionRecord record = record_in(State::kRecovering);
  for (uint32_t attempt = 1; attempt < 3; ++attempt) {
    const Step taken = step(record, {Trigger::kRequestDenied}, Policy{}, kNow);
    EXPECT_FALSE(taken.applied);
    EXPECT_FALSE(taken.refused);
    record = taken.record;
    EXPECT_EQ(recovery_attempts(record, Policy{}, kNow), attempt);
  }
  const Step last = step(record, {Trigger::kRequestDenied}, Policy{}, kNow);
  EXPECT_EQ(last.record.state, State::kDegraded);
  EXPECT_EQ(last.reason, Reason::kRecoveryBoundsExceeded);
  EXPECT_EQ(last.record.denied, 0U);
}

TEST(SessionFsm, HealthRunsFromTheFirstHealthyVerdict) {
  const auto judge = [](SessionRecord record, QualityVerdict verdict, uint64_t after) {
    const Millis at = kBorn + Millis{after};
    record.last_authentic = at;
    SessionEvent event{Trigger::kQuality};
    event.verdict = verdict;
    return step(record, event, Policy{}, at).record;
  };
  SessionRecord record = record_in(State::kVolatile);
  record = judge(record, QualityVerdict::kHealthy, 100);
  record = judge(record, QualityVerdict::kHealthy, 500);
  EXPECT_EQ(record.healthy_since, kBorn + Millis{100});
  record = judge(record, QualityVerdict::kVolatile, 800);
  EXPECT_EQ(record.healthy_since, std::nullopt);
  record = judge(record, QualityVerdict::kHealthy, 900);
  EXPECT_EQ(record.healthy_since, kBorn + Millis{900});
  const SessionRecord attached = judge(record, QualityVerdict::kHealthy, 3900);
  EXPECT_EQ(attached.state, State::kAttached);
  EXPECT_EQ(attached.healthy_since, std::nullopt);
  // Silence breaks the run, and a tick that saw it says so.
  const SessionRecord silent =
      step(record, {Trigger::kTick}, Policy{}, kBorn + Millis{900 + 1000}).record;
  EXPECT_EQ(silent.state, State::kVolatile);
  EXPECT_EQ(silent.healthy_since, std::nullopt);
}

TEST(SessionFsm, SevenFlapsAMinuteDegrade) {
  Policy policy;
  SessionRecord record = record_in(State::kAttached);
  SessionEvent bad{Trigger::kQuality};
  bad.verdict = QualityVerdict::kVolatile;
  Millis now = kBorn;
  for (int flap = 1; flap <= 7; ++flap) {
    record.last_authentic = now;
    record = step(record, bad, policy, now).record;
    ASSERT_EQ(record.state, State::kVolatile);
    const Step next = step(record, {Trigger::kTick}, policy, now);
    ASSERT_EQ(next.applied, flap == 7);
    if (flap == 7) {
      EXPECT_EQ(next.record.state, State::kDegraded);
      break;
    }
    now = now + Millis{3500};
    record.last_authentic = now;
    record.healthy_since = now - Millis{3000};
    record = step(record, {Trigger::kTick}, policy, now).record;
    ASSERT_EQ(record.state, State::kAttached);
  }
}

// ---- Helpers.

TEST(SessionFsm, SwitchRateAndCooldown) {
  Policy policy;
  SessionRecord record = record_in(State::kAttached);
  EXPECT_FALSE(cooling_down(record, policy, kBorn));
  switch_n_times(record, 7);
  EXPECT_FALSE(switch_rate_exceeded(record, policy, kNow));
  switch_n_times(record, 1, kNow);
  EXPECT_TRUE(switch_rate_exceeded(record, policy, kNow));
  EXPECT_EQ(switch_rate_allows(record, policy, SwitchKind::kWished), kBorn + Millis{60'000});
  EXPECT_EQ(switch_rate_allows(record, policy, SwitchKind::kRecovery), Millis{0});
  EXPECT_TRUE(cooling_down(record, policy, kNow + Millis{1499}));
  EXPECT_FALSE(cooling_down(record, policy, kNow + Millis{1500}));
  policy.switching.max_switches_per_min = 0;
  EXPECT_TRUE(switch_rate_exceeded(record, policy, kForever - Millis{1}));
}

TEST(SessionFsm, EachRebindDoublesTheWaitForAMinute) {
  SessionRecord record = record_in(State::kAttached);
  const auto allowed = [&] { return switch_rate_allows(record, {}, SwitchKind::kRebind); };
  EXPECT_EQ(allowed(), Millis{0});
  Millis at = kNow;
  for (const uint64_t wait : {250U, 500U, 1'000U, 2'000U, 4'000U, 8'000U, 16'000U}) {
    record.rebinds.add(at, record.born);
    EXPECT_EQ(allowed() - at, Millis{wait});
    at = allowed();
  }
  record.rebinds.add(at + Millis{60'000}, record.born);
  EXPECT_EQ(allowed(), at + Millis{60'250});
}

TEST(SessionFsm, MoreSwitchesThanAreRememberedAreNotGranted) {
  Policy policy;
  policy.switching.max_switches_per_min = 1000;
  SessionRecord record = record_in(State::kAttached);
  switch_n_times(record, kMaxSwitchesPerMin - 1);
  EXPECT_FALSE(switch_rate_exceeded(record, policy, kNow));
  switch_n_times(record, 1);
  EXPECT_TRUE(switch_rate_exceeded(record, policy, kNow));
}

TEST(SessionFsm, RecentTimesKeepTheNewest) {
  RecentTimes<3> times;
  EXPECT_EQ(times.at(0, kBorn), std::nullopt);
  for (uint64_t i = 1; i <= 5; ++i) times.add(kBorn + Millis{i}, kBorn);
  EXPECT_EQ(times.count(), 3U);
  EXPECT_EQ(times.at(0, kBorn), kBorn + Millis{5});
  EXPECT_EQ(times.at(2, kBorn), kBorn + Millis{3});
  EXPECT_EQ(times.at(3, kBorn), std::nullopt);
}

TEST(SessionFsm, AttemptsAreTimeAndDenials) {
  SessionRecord record = record_in(State::kRecovering);
  EXPECT_EQ(recovery_attempts(record, Policy{}, kBorn + Millis{1999}), 0U);
  EXPECT_EQ(recovery_attempts(record, Policy{}, kBorn + Millis{2000}), 1U);
  EXPECT_EQ(recovery_attempts(record, Policy{}, kBorn + Millis{900'000}), 3U);
  EXPECT_EQ(recovery_attempts(record_in(State::kAttached), Policy{}, kForever), 0U);
}

TEST(SessionFsm, LivenessScalesWithAnnouncedIdleness) {
  Policy policy;
  SessionRecord record = record_in(State::kAttached);
  record.idle_interval = Millis{5000};
  EXPECT_EQ(scaled_by_idle(Millis{2000}, record, policy), Millis{2000});  // none is granted
  policy.session.idle_max = Millis{2000};
  EXPECT_EQ(scaled_by_idle(Millis{2000}, record, policy), Millis{8000});
  EXPECT_EQ(scaled_by_idle(kForever, record, policy), kForever);
  record.idle_interval = Millis{500};
  EXPECT_EQ(scaled_by_idle(Millis{2000}, record, policy), Millis{2000});
}

// ---- Edges.

TEST(SessionFsm, ConfirmationAfterTheTimeoutIsTooLate) {
  const Step taken = step(record_in(State::kBirth), {Trigger::kKeyConfirmed}, Policy{},
                          kBorn + Millis{kHandshakeTimeoutMs});
  EXPECT_EQ(taken.record.state, State::kTerminated);
  EXPECT_EQ(taken.reason, Reason::kHandshakeFail);
  EXPECT_EQ(taken.detail, Detail::kTimeout);
}

TEST(SessionFsm, CorruptRecordEnds) {
  std::vector<SessionRecord> corrupt;
  for (const State state : {State::kAttached, State::kVolatile}) {
    corrupt.push_back(record_in(state));
    corrupt.back().has_transport = false;
  }
  for (const State state : kOnceAttached) {
    corrupt.push_back(record_in(state));
    corrupt.back().version = StateVersion{0};
    corrupt.push_back(record_in(state));
    corrupt.back().binding_version = BindingVersion{0};
  }
  corrupt.push_back(record_in(State::kBirth));
  corrupt.back().has_transport = true;
  corrupt.push_back(record_in(State::kBirth));
  corrupt.back().version = StateVersion{1};
  for (const SessionRecord& record : corrupt) {
    const Step taken = step(record, {Trigger::kTick}, Policy{}, kNow);
    ASSERT_TRUE(taken.applied);
    EXPECT_EQ(taken.record.state, State::kTerminated);
    EXPECT_EQ(taken.reason, Reason::kFatalProtocolError);
    EXPECT_EQ(taken.detail, Detail::kCorruptRecord);
  }
}

TEST(SessionFsm, StateOutOfRangeIsRefused) {
  SessionRecord record = record_in(State::kAttached);
  record.state = static_cast<State>(200);
  EXPECT_FALSE(step(record, {Trigger::kTerminate}, Policy{}, kNow).applied);
  EXPECT_EQ(next_deadline(record, Policy{}), kForever);
}

TEST(SessionFsm, VersionNeverWraps) {
  SessionRecord record = record_in(State::kAttached);
  record.version = StateVersion{UINT64_MAX - 1};
  const Step last = step(record, {Trigger::kTerminate}, Policy{}, kNow);
  ASSERT_TRUE(last.applied);
  EXPECT_EQ(last.record.version, StateVersion{UINT64_MAX});
  record.version = StateVersion{UINT64_MAX};
  EXPECT_FALSE(step(record, {Trigger::kTerminate}, Policy{}, kNow).applied);
  // A planned commit takes two: both or none.
  SessionEvent event{Trigger::kReattachCommitted};
  event.planned = true;
  record.version = StateVersion{UINT64_MAX - 2};
  EXPECT_TRUE(step(record, event, Policy{}, kNow).refused);
  record.version = StateVersion{UINT64_MAX - 3};
  EXPECT_EQ(step(record, event, Policy{}, kNow).record.version, StateVersion{UINT64_MAX - 1});
}

TEST(SessionFsm, SpansWithoutEndDontWrap) {
  SessionRecord record = record_in(State::kAttached);
  record.keys_expire = Millis{0};
  EXPECT_EQ(next_deadline(record, patient_policy()), kForever);
  EXPECT_FALSE(step(record, {Trigger::kTick}, patient_policy(), kForever - Millis{1}).applied);
}

/// Most ticks find nothing due, and are spared the step.
TEST(SessionFsm, WhereNothingIsDueATickChangesNothing) {
  const Policy policy;
  size_t idle = 0;
  size_t due = 0;
  for (const State state : kStates) {
    SessionRecord record = record_in(state);
    const bool notes = state == State::kVolatile || state == State::kDegraded;
    if (notes) record.healthy_since = kBorn;
    for (const uint64_t after : {0, 1, 100, 1'000, 1'999, 2'000, 5'000, 20'000, 200'000}) {
      const Millis now = kBorn + Millis{after};
      const Step taken = step(record, {Trigger::kTick}, policy, now);
      if (nothing_is_due(record, policy, now)) {
        ++idle;
        EXPECT_FALSE(taken.applied) << to_string(state) << " after " << after;
        EXPECT_TRUE(taken.record == record) << to_string(state) << " after " << after;
      } else if (!notes) {
        ++due;
        EXPECT_TRUE(taken.applied) << to_string(state) << " after " << after;
      }
    }
  }
  EXPECT_GT(idle, 0U);
  EXPECT_GT(due, 0U);
}

}  // namespace
}  // namespace jvpn::fsm_test
