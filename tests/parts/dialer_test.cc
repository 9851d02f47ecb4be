#include "common/limits.h"
#include "tests/support/handshake_rig.h"

namespace jvpn {
namespace {

using DialerPart = test::HandshakeRig;

TEST_F(DialerPart, EachAttemptIsNewAndTheFormerIsGivenUp) {
  dialer.dial(now, kPeer, test::path_over(1));
  const auto first = sent<wire::Initiation>();
  const Millis next = dialer.dial_due(kPeer);
  EXPECT_GE(next, now + Millis{kRetryMs});
  dialer.serve_dial(next, kPeer);
  const auto second = sent<wire::Initiation>();
  EXPECT_NE(first.sender, second.sender);
  EXPECT_EQ(table.indices().owner(ReceiverIndex{first.sender}), std::nullopt);
  EXPECT_EQ(PeerTable::indices_alive(table.peer(kPeer)), 1U);
}

TEST_F(DialerPart, AttemptsGoRoundTheCandidates) {
  table.peer(kPeer).candidates = {Candidate{test::path_over(1)}, Candidate{test::path_over(2)}};
  dialer.dial(now, kPeer, test::path_over(1));
  std::vector<Path> tried;
  for (int i = 0; i < 3; ++i) {
    tried.push_back(latest<Send>().path);
    dialer.serve_dial(dialer.dial_due(kPeer), kPeer);
  }
  EXPECT_EQ(tried, (std::vector{test::path_over(1), test::path_over(1), test::path_over(2)}));
}

TEST_F(DialerPart, AfterATakeoverThePauseGrowsToFourSeconds) {
  dialer.dial(now, kPeer, test::path_over(1));
  Dial& call = *table.peer(kPeer).dial;
  std::vector<uint64_t> pauses;
  for (int i = 0; i < 5; ++i) {
    const Session& session = attached(true);
    dialer.taken_over(now, session);
    dialer.dial(now, kPeer, test::path_over(1));  // as the program around does
    pauses.push_back((call.next_attempt - now).value);
    now = now + Millis{5'000};
  }
  const std::array<uint64_t, 5> most{1'000, 2'000, 4'000, 4'000, 4'000};
  for (size_t i = 0; i < most.size(); ++i) {
    EXPECT_LE(pauses[i], most[i]) << i;
    EXPECT_GT(pauses[i], most[i] * 3 / 4 - 1) << i;
  }
  const Session& session = attached(true);
  now = now + Millis{60'000};
  dialer.taken_over(now, session);
  EXPECT_LE(call.not_before, now + Millis{1'000}) << "after an undisputed minute it begins anew";
}

TEST_F(DialerPart, NobodyDialsWhileSessionsAreDenied) {
  context.denies_new_sessions = true;
  dialer.dial(now, kPeer, test::path_over(1));
  EXPECT_TRUE(effects.empty());
  EXPECT_EQ(dialer.dial_due(kPeer), kNever);
}

TEST_F(DialerPart, AResponseNobodyWaitsForIsCounted) {
  wire::Response response{};
  response.type = wire::MessageType::kResponse;
  response.receiver = 77;
  dialer.on_response(now, test::path_over(1),
                     {reinterpret_cast<const uint8_t*>(&response), sizeof response},
                     MacVerdict::kMac1);
  EXPECT_EQ(counters.handshakes_refused, 1U);
  EXPECT_EQ(table.peer(kPeer).session, nullptr);
}

}  // namespace
}  // namespace jvpn
