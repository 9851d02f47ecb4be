#include "control/jump/failback.h"

#include "tests/support/jump_rig.h"

namespace jvpn {
namespace {

class FailbackPart : public test::JumpRig {
 protected:
  FailbackPart() {
    session.initiator->policy.switching.failback_when_stable = Millis{5'000};
    Candidate& preferred = *candidates.at(session, test::path_over(2));
    for (uint32_t i = 0; i < Candidates::answers_to_trust(policy()); ++i)
      Candidates::note_answer(now, preferred, 1'000);
  }
  Policy& policy() { return session.initiator->policy; }
  Failback failback{context, candidates, jumper};
};

TEST_F(FailbackPart, APreferredPathThatIsStableIsTakenAgain) {
  EXPECT_EQ(failback.due(session), now + Millis{5'000});
  failback.serve(now + Millis{5'000}, session);
  EXPECT_EQ(latest_type(session), wire::ControlType::kReattachRequest);
  EXPECT_EQ(latest<Send>().path, test::path_over(2));
}

TEST_F(FailbackPart, EachReturnThatWasSoonUndoneDoublesTheWait) {
  session.binding.cause = wire::ReattachCause::kFailback;
  failback.on_rebound(now, session, test::path_over(3));
  session.binding.cause = wire::ReattachCause::kDead;
  failback.on_rebound(now + Millis{1'000}, session, test::path_over(2));
  EXPECT_EQ(failback.due(session), now + Millis{10'000});
}

TEST_F(FailbackPart, WhatALossyPathWouldAnswerTooIsNotEnough) {
  policy().volatility.loss_volatile_threshold = 0.03;
  EXPECT_EQ(failback.due(session), kNever);
  Candidate& preferred = *candidates.at(session, test::path_over(2));
  const auto enough = [&] { return failback.due(session) != kNever; };
  for (int i = 0; i < 200 && !enough(); ++i) Candidates::note_answer(now, preferred, 1'000);
  EXPECT_EQ(preferred.stable_answers, 99U) << "0.97 to the power of 99 is below 5 %";
  Candidates::note_loss(preferred);
  Candidates::note_answer(now, preferred, 1'000);
  EXPECT_FALSE(enough());
}

TEST_F(FailbackPart, NeverIsNever) {
  session.initiator->policy.switching.failback_when_stable.reset();
  EXPECT_EQ(failback.due(session), kNever);
}

}  // namespace
}  // namespace jvpn
