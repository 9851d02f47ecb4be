#include "control/protocol/handshake_parties.h"
#include "tests/support/part_rig.h"

namespace jvpn {
namespace {

using HandshakeMessages = test::PartRig;

TEST_F(HandshakeMessages, TimestampsOfCallsRiseThoughTheClockStands) {
  SecretKey secret;
  const Identity self{secret, PublicKey{1}, {}};
  const Call first = call_to(context, self, kPeer, Suite::kAes128Gcm, ReceiverIndex{1}, secret);
  const Call second = call_to(context, self, kPeer, Suite::kAes128Gcm, ReceiverIndex{2}, secret);
  EXPECT_GT(second.timestamp, first.timestamp);
  EXPECT_EQ(second.responder, config.peers[0].public_key);
}

TEST_F(HandshakeMessages, ARefusalIsCountedAndReported) {
  Reporter reporter(context);
  refuse_handshake(context, reporter, now, test::path_over(1), Reason::kSecReplayAttempt,
                   Detail::kNone, kPeer);
  EXPECT_EQ(counters.handshakes_refused, 1U);
  EXPECT_EQ(reasons(), std::vector{Reason::kSecReplayAttempt});
}

}  // namespace
}  // namespace jvpn
