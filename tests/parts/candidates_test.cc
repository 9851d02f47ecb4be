#include "control/jump/candidates.h"

#include "tests/support/part_rig.h"

namespace jvpn {
namespace {

class CandidatesPart : public test::PartRig {
 protected:
  Candidate& at(uint8_t network) { return *candidates.at(*session, test::path_over(network)); }
  /// Answers so many probes of a candidate.
  void answer(uint8_t network, uint32_t rtt_us, int times = 8) {
    for (int i = 0; i < times; ++i) Candidates::note_answer(now, at(network), rtt_us);
  }
  Candidates candidates{context};
  Session* session = &attached(true);
};

TEST_F(CandidatesPart, WhatIsKnownOfThoseThatStayIsKept) {
  EXPECT_TRUE(candidates.replace(kPeer, std::vector{test::path_over(1), test::path_over(2)}));
  answer(2, 5'000);
  EXPECT_TRUE(candidates.replace(kPeer, std::vector{test::path_over(2), test::path_over(3)}));
  EXPECT_EQ(at(2).probes, 8U);
  EXPECT_EQ(candidates.at(*session, test::path_over(1)), nullptr);
  EXPECT_FALSE(candidates.replace(kPeer, std::vector{test::path_over(3)}));
}

TEST_F(CandidatesPart, ALostProbeMakesItDoubtful) {
  candidates.replace(kPeer, std::vector{test::path_over(2)});
  EXPECT_FALSE(candidates.is_warm(now, *session, at(2)));
  answer(2, 5'000);
  EXPECT_TRUE(candidates.is_warm(now, *session, at(2)));
  Candidates::note_loss(at(2));
  EXPECT_FALSE(candidates.is_warm(now, *session, at(2)));
  EXPECT_EQ(candidates.merits(now, *session, at(2)).standing, Standing::kDoubtful);
}

TEST_F(CandidatesPart, TrustTakesMoreAnswersTheLowerTheThreshold) {
  for (const auto& [threshold, answers] :
       {std::pair{0.001, 100U}, {0.03, 99U}, {0.1, 29U}, {0.2, 14U}, {0.9, 4U}, {1.0, 4U}}) {
    Policy policy;
    policy.volatility.loss_volatile_threshold = threshold;
    EXPECT_EQ(Candidates::answers_to_trust(policy), answers) << threshold;
  }
}

TEST_F(CandidatesPart, TheBestIsTriedFirstAndTheBoundPathLast) {
  candidates.replace(kPeer,
                     std::vector{test::path_over(1), test::path_over(2), test::path_over(3)});
  answer(1, 1'000);
  answer(2, 90'000);
  answer(3, 10'000);
  std::vector<Path> order;
  for (int i = 0; i < 3; ++i) {
    order.push_back(candidates.next_target(now, *session));
    ++candidates.at(*session, order.back())->tried;
  }
  EXPECT_EQ(order, (std::vector{test::path_over(3), test::path_over(2), test::path_over(1)}));
}

TEST_F(CandidatesPart, ALivingPathIsLeftForAClearlyBetterOneOnly) {
  candidates.replace(kPeer, std::vector{test::path_over(2)});
  answer(2, 40'000);
  PathMerits bound;
  bound.standing = Standing::kWarm;
  bound.latency_us = 42'000;
  EXPECT_EQ(candidates.better_than(now, *session, bound), std::nullopt);
  bound.latency_us = 90'000;
  EXPECT_EQ(candidates.better_than(now, *session, bound), test::path_over(2));
}

/// Networks 1 and 2 lead to the gateway that has the session, 3 to another.
TEST_F(CandidatesPart, OnlyThoseOfTheSessionsGatewayCount) {
  for (const auto& [network, gateway] : {std::pair{1, 0}, {2, 0}, {3, 1}}) {
    config.peers[0].gateways.push_back({test::path_over(static_cast<uint8_t>(network)).remote,
                                        GatewayNumber{static_cast<uint8_t>(gateway)}});
  }
  candidates.replace(kPeer,
                     std::vector{test::path_over(3), test::path_over(1), test::path_over(2)});
  ASSERT_EQ(candidates.of(*session).size(), 2U);
  EXPECT_EQ(candidates.of(*session).front().path, test::path_over(1));
  EXPECT_EQ(candidates.at(*session, test::path_over(3)), nullptr);
  answer(2, 5'000);
  session->path = test::path_over(3);
  candidates.on_rebound(now, *session, test::path_over(1));
  EXPECT_EQ(candidates.of(*session).size(), 1U);
  session->path = test::path_over(1);
  EXPECT_EQ(at(2).probes, 0U) << "what was known was of other keys";
}

}  // namespace
}  // namespace jvpn
