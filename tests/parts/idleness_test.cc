#include "control/protocol/idleness.h"

#include "tests/support/session_rig.h"

namespace jvpn {
namespace {

class IdlenessPart : public test::SessionRig {
 protected:
  IdlenessPart() { config.policy.session.idle_max = Millis{60'000}; }
  Idleness idleness{context, lifecycle, channel};
};

TEST_F(IdlenessPart, OnlyTheRespondersAnswerSlowsTheClocks) {
  Session& session = attached(true);
  session.initiator->idle.data_at = now;
  const Millis quiet = idleness.due(session);
  EXPECT_TRUE(idleness.serve(quiet, session));
  EXPECT_EQ(latest_type(session), wire::ControlType::kIdle);
  EXPECT_EQ(session.record().idle_interval, Millis{0});
  wire::Idle answer{};
  answer.binding_version = session.binding_version().value;
  answer.interval_ms = 50'000;
  idleness.on_idle(quiet, session, answer);
  EXPECT_EQ(session.record().idle_interval, Millis{50'000});
}

TEST_F(IdlenessPart, TheFirstPacketWakesIt) {
  Session& session = attached(true);
  lifecycle.note(now, session, {.trigger = Trigger::kIdleAgreed, .time = Millis{50'000}});
  EXPECT_FALSE(idleness.wake(now, session)) << "no packet";
  environment.traffic.tx_packets = 1;
  const Millis later = now + Millis{40'000};
  EXPECT_TRUE(idleness.wake(later, session));
  EXPECT_EQ(session.record().idle_interval, Millis{0});
  EXPECT_EQ(session.record().last_authentic, later) << "the silence was agreed upon";
}

TEST_F(IdlenessPart, AWishThatWasRefusedIsRepeatedAMinuteLater) {
  Session& session = attached(true);
  const Millis quiet = idleness.due(session);
  idleness.serve(quiet, session);
  ASSERT_EQ(effects.list().size(), 1U);
  wire::Idle answer{};
  answer.binding_version = session.binding_version().value;
  const Millis refused = quiet + Millis{10};
  idleness.on_idle(refused, session, answer);
  EXPECT_EQ(idleness.due(session), refused + Millis{60'000});
  idleness.serve(refused + Millis{59'999}, session);
  EXPECT_EQ(effects.list().size(), 1U);
  session.initiator->policy.session.idle_max = Millis{90'000};  // another wish isn't refused yet
  EXPECT_LT(idleness.due(session), refused + Millis{1'000});
  session.initiator->policy.session.idle_max = config.policy.session.idle_max;
  idleness.serve(refused + Millis{60'000}, session);
  EXPECT_EQ(latest_type(session), wire::ControlType::kIdle);
  EXPECT_EQ(effects.list().size(), 2U);
}

TEST_F(IdlenessPart, WhatWasGrantedWhileNothingWasWantedIsAskedAnew) {
  Session& session = attached(true);
  session.initiator->idle.data_at = now;
  wire::Idle answer{};
  answer.binding_version = session.binding_version().value;
  answer.interval_ms = 60'000;
  idleness.on_idle(now, session, answer);
  EXPECT_EQ(session.record().idle_interval, Millis{0});
  const Millis quiet = now + Millis{20'000};
  ASSERT_LT(idleness.due(session), quiet);
  idleness.serve(quiet, session);
  EXPECT_EQ(latest_type(session), wire::ControlType::kIdle);
  EXPECT_GT(idleness.due(session), quiet) << "or the timer would come at once, again and again";
}

TEST_F(IdlenessPart, ASessionThatWantsToJumpIsNotServedForNothing) {
  Session& session = attached(true);
  const Millis quiet = idleness.due(session);
  session.initiator->jumping.wish = JumpWish{test::path_over(2), wire::ReattachCause::kPlanned};
  EXPECT_TRUE(idleness.serve(quiet, session));
  EXPECT_TRUE(effects.empty());
  EXPECT_EQ(idleness.due(session), kNever);
}

TEST_F(IdlenessPart, AnAnnouncementOfAnotherBindingIsStale) {
  Session& session = attached(false);
  idleness.on_idle(now, session, {});
  EXPECT_EQ(counters.control_stale, 1U);
  EXPECT_TRUE(effects.empty());
}

}  // namespace
}  // namespace jvpn
