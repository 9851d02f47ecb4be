#include "control/jump/prober.h"

#include "tests/support/session_rig.h"

namespace jvpn {
namespace {

class ProberPart : public test::SessionRig {
 protected:
  Candidates candidates{context};
  Prober prober{context, lifecycle, bindings, channel, candidates};
};

TEST_F(ProberPart, StandbyPathsAreProbedAndMeasured) {
  Session& session = attached(true);
  learn(session, 3);
  candidates.replace(kPeer, std::vector{test::path_over(1), test::path_over(2)});
  prober.probe_at_once(now, session);
  ASSERT_TRUE(prober.serve(now, session));
  EXPECT_EQ(latest<Send>().path, test::path_over(2));
  EXPECT_EQ(latest_type(session), wire::ControlType::kPathProbe);
  EXPECT_EQ(latest<Send>().bytes, 1'400 + wire::kTransportOverhead) << "as large as the tunnel's";
  const SpareBinding& spare = *session.current->spares.numbered(1);
  wire::PathChallenge challenge{};
  challenge.nonce = 1;
  challenge.echo_us = environment.clock_us(now);
  const Millis later = now + Millis{8};
  prober.on_path_challenge(later, session, {test::path_over(2), *session.current, spare.local},
                           challenge);
  EXPECT_EQ(latest_type(session), wire::ControlType::kPathResponse);
  EXPECT_EQ(candidates.at(session, test::path_over(2))->rtt.rtt_us(), 8'000U);
}

TEST_F(ProberPart, APreferredPathOnTrialIsProbedOftenAndAlone) {
  Session& session = attached(true);
  learn(session, 4);
  Policy& policy = session.initiator->policy;
  policy.switching.failback_when_stable = Millis{14'000};
  candidates.replace(kPeer,
                     std::vector{test::path_over(2), test::path_over(1), test::path_over(3)});
  const auto probe = [&](Millis at) {
    prober.probe_at_once(at, session);
    prober.serve(at, session);
  };
  probe(now);
  EXPECT_EQ(prober.due(session), now + Millis{4'666}) << "nothing has answered";
  Candidates::note_answer(now, *candidates.at(session, test::path_over(2)), 1'000);
  const size_t before = effects.list().size();
  probe(now + Millis{1'000});
  EXPECT_EQ(effects.list().size(), before + 1);
  EXPECT_EQ(latest<Send>().path, test::path_over(2));
  EXPECT_EQ(prober.due(session), now + Millis{2'000}) << "14 answers in 14 s";
}

TEST_F(ProberPart, OneSpareIsKeptForAPathThatTurnsUp) {
  Session& session = attached(true);
  learn(session, 1);
  candidates.replace(kPeer, std::vector{test::path_over(2)});
  prober.serve(now, session);
  EXPECT_TRUE(effects.empty());
}

TEST_F(ProberPart, AChallengeOnTheActiveIndexIsStale) {
  Session& session = attached(true);
  prober.on_path_challenge(now, session,
                           {test::path_over(1), *session.current, session.current->local}, {});
  EXPECT_EQ(counters.control_stale, 1U);
}

}  // namespace
}  // namespace jvpn
