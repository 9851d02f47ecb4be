#include "tests/support/jump_rig.h"

namespace jvpn {
namespace {

class JumperPart : public test::JumpRig {
 protected:
  Arrival on_spare(uint8_t network) {
    arrived_from = test::path_over(network);
    for (SpareBinding& spare : session.current->spares) {
      if (spare.path == arrived_from) return {arrived_from, *session.current, spare.local};
    }
    ADD_FAILURE() << "no spare belongs to the path";
    return {arrived_from, *session.current, ReceiverIndex{}};
  }
  Path arrived_from;
};

TEST_F(JumperPart, ALostPathIsLeftAtOnce) {
  jumper.path_lost(now, kPeer, test::path_over(1));
  EXPECT_EQ(session.state(), State::kRecovering);
  EXPECT_EQ(latest_type(session), wire::ControlType::kReattachRequest);
  EXPECT_EQ(latest<Send>().path, test::path_over(2));
  EXPECT_EQ(count<TxWithdraw>(), 1U);
}

TEST_F(JumperPart, TheAcknowledgementIsAFactThatIsFollowed) {
  jumper.path_lost(now, kPeer, test::path_over(1));
  wire::ReattachAck ack{};
  ack.nonce = session.initiator->jumping.nonce;
  ack.binding_version = 3;
  ack.sender = session.current->spares.numbered(1)->remote.value;
  jumper.on_ack(now, session, on_spare(2), ack, {});
  EXPECT_EQ(session.state(), State::kAttached);
  EXPECT_EQ(session.path, test::path_over(2));
  EXPECT_EQ(session.binding_version(), BindingVersion{3});
  EXPECT_FALSE(session.jumping());
  EXPECT_EQ(latest<TxInstall>().path, test::path_over(2));
}

TEST_F(JumperPart, NoAnswerIsTheNextCandidatesTurn) {
  jumper.path_lost(now, kPeer, test::path_over(1));
  const Millis gives_up = session.initiator->jumping.jump->gives_up;
  ASSERT_TRUE(jumper.serve(gives_up, session));
  EXPECT_EQ(latest<Send>().path, test::path_over(3));
}

TEST_F(JumperPart, AWishWaitsForTheCooldown) {
  SessionRecord record = session.record();
  record.switches.add(now, record.born);
  PeerState& peer = table.peer(kPeer);
  auto later = std::make_unique<Session>(kPeer, test::path_over(1), Suite::kAes128Gcm, record,
                                         counters.totals);
  later->initiator = std::move(session.initiator);
  later->current = std::move(session.current);
  later->binding.tx_installed = later->confirmed = true;
  peer.session = std::move(later);
  jumper.wish(now, *peer.session, {test::path_over(2), wire::ReattachCause::kPlanned});
  EXPECT_FALSE(peer.session->jumping());
  EXPECT_EQ(jumper.due(*peer.session), now + config.policy.switching.switch_cooldown);
}

TEST_F(JumperPart, ADeniedRequestIsADeniedSwitch) {
  jumper.wish(now, session, {test::path_over(2), wire::ReattachCause::kPlanned});
  wire::ReattachReject reject{};
  reject.nonce = session.initiator->jumping.nonce;
  reject.reason = static_cast<uint16_t>(Reason::kPolicyDeny);
  reject.detail = static_cast<uint16_t>(Detail::kSwitchRate);
  jumper.on_reject(now, session, on_spare(2), reject);
  EXPECT_EQ(reasons(), (std::vector{Reason::kPolicyDeny, Reason::kTransportSwitchDenied}));
  EXPECT_EQ(latest<Event>().to_path, test::path_over(2));
  EXPECT_EQ(session.recovery.denied, 1U);
  EXPECT_EQ(session.recovery.gate, Detail::kSwitchRate);
}

TEST_F(JumperPart, ARefusalTellsWhenToAskAgain) {
  jumper.path_lost(now, kPeer, test::path_over(1));
  wire::ReattachReject reject{};
  reject.nonce = session.initiator->jumping.nonce;
  reject.reason = static_cast<uint16_t>(Reason::kRateLimited);
  reject.retry_after_ms = 700;
  jumper.on_reject(now, session, on_spare(2), reject);
  EXPECT_EQ(session.initiator->jumping.jump->next_send, now + Millis{700});
}

}  // namespace
}  // namespace jvpn
