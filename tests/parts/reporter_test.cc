#include "control/session/reporter.h"

#include "tests/support/part_rig.h"

namespace jvpn {
namespace {

using ReporterPart = test::PartRig;

TEST_F(ReporterPart, AnEndedRecoveryOwesItsTimeline) {
  Reporter reporter(context);
  const Session& session = attached(false);
  SessionRecord before = session.record();
  before.state = State::kRecovering;
  before.entered = now - Millis{700};
  const SessionEvent commit{.trigger = Trigger::kReattachCommitted, .planned = true};
  const Step taken = step(before, commit, config.policy, now);
  ASSERT_TRUE(taken.applied);
  reporter.emit_rows(now, session, before, commit, taken);
  EXPECT_EQ(reasons(), (std::vector{Reason::kTransportSwitchOk, Reason::kAuditRecoveryTimeline}));
  EXPECT_EQ(latest<Event>().duration_ms, 700U);
}

TEST_F(ReporterPart, WhatAnAttackerCanProvokeIsSampled) {
  config.policy.observability.security_events_per_s = 3;
  Reporter reporter(context);
  for (int i = 0; i < 100; ++i) {
    reporter.emit_security(now, Reason::kSecReplayAttempt, Detail::kNone, kPeer, SessionId{},
                           test::path_over(1));
  }
  EXPECT_EQ(count<Event>(), 3U);
}

/// One flood hides no other code, and what it left out is counted.
TEST_F(ReporterPart, EachCodeHasABudgetOfItsOwn) {
  config.policy.observability.security_events_per_s = 3;
  Reporter reporter(context);
  const auto tell = [&](Reason reason) {
    reporter.emit_security(now, reason, Detail::kNone, kPeer, SessionId{}, test::path_over(1));
  };
  for (int i = 0; i < 100; ++i) tell(Reason::kSecReplayAttempt);
  EXPECT_EQ(count<Event>(), 3U);
  tell(Reason::kHandshakeFail);
  EXPECT_EQ(latest<Event>().reason, Reason::kHandshakeFail);
  EXPECT_EQ(latest<Event>().suppressed, std::nullopt);
  now = now + Millis{1'000};
  tell(Reason::kSecReplayAttempt);
  EXPECT_EQ(latest<Event>().suppressed, 97U);
  tell(Reason::kSecReplayAttempt);
  EXPECT_EQ(latest<Event>().suppressed, std::nullopt);
}

TEST_F(ReporterPart, WhoOwnsASessionIsNeverLeftOut) {
  config.policy.observability.security_events_per_s = 3;
  Reporter reporter(context);
  for (int i = 0; i < 100; ++i) {
    reporter.emit_security(now, Reason::kSecOwnershipAnomaly, Detail::kNone, kPeer, SessionId{},
                           test::path_over(1));
  }
  EXPECT_EQ(count<Event>(), 100U);
}

TEST_F(ReporterPart, ARefusalByALimitIsAlsoAudited) {
  Reporter reporter(context);
  const Session& session = attached(false);
  reporter.emit_refused_request(
      now, session,
      {Reason::kPolicyDeny, Detail::kCooldown, "cooldown", 0, {"switch_cooldown_ms", 1'500, 400}},
      test::path_over(2));
  EXPECT_EQ(reasons(), (std::vector{Reason::kPolicyDeny, Reason::kAuditPolicyLimitTriggered}));
  EXPECT_EQ(counters.reattach_refused, 1U);
  EXPECT_STREQ(latest<Event>().fired.limit, "switch_cooldown_ms");
  EXPECT_EQ(latest<Event>().fired.threshold, 1'500U);
  EXPECT_EQ(latest<Event>().fired.observed, 400U);
}

}  // namespace
}  // namespace jvpn
