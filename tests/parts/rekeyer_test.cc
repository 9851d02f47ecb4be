#include "control/protocol/rekeyer.h"

#include <set>

#include "common/limits.h"
#include "control/protocol/handshake_parties.h"
#include "tests/support/handshake_rig.h"

namespace jvpn {
namespace {

class RekeyerPart : public test::HandshakeRig {
 protected:
  Rekeyer rekeyer{context, self, lifecycle, reporter, bindings, channel, liveness, dialer};
};

TEST_F(RekeyerPart, TheInitiatorAsksAgainUntilAnswered) {
  Session& session = attached(true);
  session.initiator->rekey.due = now + Millis{10};
  EXPECT_EQ(rekeyer.due(session), now + Millis{10});
  rekeyer.serve(now + Millis{10}, session);
  EXPECT_EQ(latest_type(session), wire::ControlType::kRekeyInitiation);
  const ReceiverIndex first = session.initiator->rekey.attempt->local;
  rekeyer.serve(rekeyer.due(session), session);
  EXPECT_NE(session.initiator->rekey.attempt->local, first);
  EXPECT_EQ(table.indices().owner(first), std::nullopt);
}

TEST_F(RekeyerPart, SessionsThatBeganTogetherRekeyApart) {
  std::set<Millis> drawn;
  for (int session = 0; session < 256; ++session) drawn.insert(draw_rekey(context, now));
  const Millis latest = config.rekey_after;
  EXPECT_LE(*drawn.rbegin(), now + latest) << "never later";
  EXPECT_GE(*drawn.begin(), now + latest - Millis{latest.value / 3});
  EXPECT_GT(drawn.size(), 32U);
}

TEST_F(RekeyerPart, AJumpGoesFirst) {
  Session& session = attached(true);
  session.initiator->jumping.jump = std::make_unique<Jump>();
  EXPECT_EQ(rekeyer.due(session), kNever);
  rekeyer.serve(now + Millis{1'000'000}, session);
  EXPECT_TRUE(effects.empty());
}

TEST_F(RekeyerPart, AGcmKeyIsReplacedBeforeItIsUsedUp) {
  Session& session = attached(true);
  session.initiator->rekey.due = kNever;
  rekeyer.serve(now, session);
  EXPECT_EQ(session.initiator->rekey.attempt, nullptr);
  environment.traffic.tx_generation_packets = config.rekey_after_packets;
  rekeyer.serve(now, session);
  EXPECT_NE(session.initiator->rekey.attempt, nullptr);
}

TEST_F(RekeyerPart, FewLargePacketsUseAGcmKeyUp) {
  Session& session = attached(true);
  session.initiator->rekey.due = kNever;
  environment.traffic.tx_generation_packets = config.rekey_after_packets / 2;
  environment.traffic.tx_generation_bytes = environment.traffic.tx_generation_packets * 1'400;
  rekeyer.serve(now, session);
  EXPECT_EQ(session.initiator->rekey.attempt, nullptr);
  environment.traffic.tx_generation_bytes = environment.traffic.tx_generation_packets * 9'000;
  rekeyer.serve(now, session);
  EXPECT_NE(session.initiator->rekey.attempt, nullptr);
}

TEST_F(RekeyerPart, LargePacketsReceivedCountSinceTheKeysBegan) {
  Session& session = attached(true);
  session.initiator->rekey.due = kNever;
  session.initiator->rekey.rx_bytes_before_key = 8 * kGcmKeyBlocks;
  environment.traffic.rx_bytes = 15 * kGcmKeyBlocks;
  rekeyer.serve(now, session);
  EXPECT_EQ(session.initiator->rekey.attempt, nullptr);
  environment.traffic.rx_bytes = 16 * kGcmKeyBlocks;
  rekeyer.serve(now, session);
  EXPECT_NE(session.initiator->rekey.attempt, nullptr);
}

TEST_F(RekeyerPart, ConfirmedNextKeysAreAdoptedAndTheOldOnesLinger) {
  Session& session = attached(false);
  NoiseKeys keys;
  keys.initiator_to_responder.bytes().fill(3);
  session.next = make_generation(now, keys, false, *table.indices().allocate(kPeer, 0x5555'0000),
                                 ReceiverIndex{0x66}, 1);
  const KeyGeneration* const next = session.next.get();
  rekeyer.confirm(now, session, *next);
  EXPECT_EQ(session.current.get(), next);
  EXPECT_EQ(session.current->number, 2U);
  ASSERT_NE(session.previous, nullptr);
  EXPECT_EQ(session.record().keys_expire, now + Millis{kKeyRefuseAfterMs});
  EXPECT_EQ(latest<TxInstall>().key_generation, 2U);
  OldKeys old_keys(bindings);
  old_keys.serve(old_keys.due(session), session);
  EXPECT_EQ(session.previous, nullptr);
}

}  // namespace
}  // namespace jvpn
