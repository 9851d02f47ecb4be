#include "control/protocol/resumer.h"

#include "tests/support/handshake_rig.h"

namespace jvpn {
namespace {

using What = Resumer::Verdict::What;

class ResumerPart : public test::HandshakeRig {
 protected:
  ResumerPart() { kept.fill(0x77); }

  /// What an initiation of the configured peer says, once opened.
  InitiationState initiation(const std::array<uint8_t, 16>& session, uint64_t version) {
    const Identity peer{remote_secret, public_key_of(remote_secret), {}};
    const SecretKey ephemeral = secret_of(101);
    const wire::ResumeClaim claim{session, version, 1};
    wire::Initiation message;
    EXPECT_TRUE(write_initiation(
        {peer, self.public_key, Suite::kAes128Gcm, ReceiverIndex{0x99}, 1, ephemeral}, {}, message,
        &claim));
    auto read = read_initiation(self, secret_of(102), message);
    EXPECT_TRUE(read && read->claim && read->claim->session_id == session);
    return std::move(*read);
  }
  /// A session that another run has left.
  OwnershipCall left_by_another(const PublicKey& peer) {
    OwnershipCall call{.kind = OwnershipCall::Kind::kAcquire, .peer = {}, .session = {}};
    call.session.bytes = kept;
    call.record.id = call.session;
    call.record.peer = peer;
    call.record.binding_version = BindingVersion{3};
    call.record.ceiling = StateVersion{1'024};
    other.ask(now, call);
    return call;
  }
  What judged(uint64_t version) {
    InitiationState state = initiation(kept, version);
    const What first = resumer.examine(now, from, kPeer, state).what;
    if (first != What::kWait) return first;
    EXPECT_NE(resumer.due(kPeer), kNever) << "the store must answer in time";
    auto verdict = resumer.loaded(now, *store.take());
    EXPECT_TRUE(verdict);
    EXPECT_EQ(resumer.due(kPeer), kNever);
    latest_verdict = std::move(verdict->verdict);
    return latest_verdict.what;
  }

  std::array<uint8_t, 16> kept{};
  MemoryOwnership other{sessions};
  Path from = test::path_over(1);
  Resumer resumer{context, reporter, lifecycle, bindings, dialer};
  Resumer::Verdict latest_verdict;
};

TEST_F(ResumerPart, ASessionOfAnotherRunGoesOnAboveItsCeiling) {
  left_by_another(config.peers[0].public_key);
  EXPECT_EQ(judged(3), What::kRefuse) << "it may still serve it";
  EXPECT_EQ(latest<Event>().detail, Detail::kOwnershipLost);
  sessions.end_epoch(other.epoch(), now);
  EXPECT_EQ(judged(3), What::kResume);
  ASSERT_NE(latest_verdict.resumption, nullptr);
  EXPECT_FALSE(latest_verdict.resumption->living);
  EXPECT_EQ(latest_verdict.resumption->told, BindingVersion{1'025});
  EXPECT_EQ(latest_verdict.resumption->from_epoch, other.epoch());
  EXPECT_EQ(latest_verdict.resumption->record.state, State::kRecovering);
  EXPECT_EQ(judged(1), What::kResume) << "an acknowledgement may have been lost";
}

TEST_F(ResumerPart, AnothersSessionIsRefusedWithoutAnAnswer) {
  left_by_another(config.peers[1].public_key);
  EXPECT_EQ(judged(3), What::kRefuse);
  const auto told = reasons();
  EXPECT_EQ(std::ranges::count(told, Reason::kSecSessionFixationAttempt), 1);
  EXPECT_EQ(std::ranges::count(told, Reason::kAuthFail), 1);
}

TEST_F(ResumerPart, WhatCantGoOnBeginsAnew) {
  EXPECT_EQ(judged(3), What::kFresh);
  EXPECT_EQ(latest<Event>().reason, Reason::kSessionNotFound);
  OwnershipCall call = left_by_another(config.peers[0].public_key);
  EXPECT_EQ(judged(4), What::kFresh) << "the store has lost a commit";
  EXPECT_EQ(latest<Event>().detail, Detail::kFutureVersion);
  call.kind = OwnershipCall::Kind::kRelease;
  other.ask(now, call);
  EXPECT_EQ(judged(3), What::kFresh);
  EXPECT_EQ(latest<Event>().reason, Reason::kSessionExpired);
}

/// Its owner may be there, or another gateway may have found it first.
TEST_F(ResumerPart, AnEndIsToldOnceTheStoreHasIt) {
  config.policy.session.max_lifetime = Millis{1'000};
  left_by_another(config.peers[0].public_key);
  now = now + Millis{2'000};
  const auto ends = [this] {
    EXPECT_EQ(judged(3), What::kFresh);
    EXPECT_TRUE(resumer.ended(now, *store.take()));
    const auto told = reasons();
    return std::ranges::count(told, Reason::kTtlSessionExpired);
  };
  EXPECT_EQ(ends(), 0);
  sessions.end_epoch(other.epoch(), now);
  EXPECT_EQ(ends(), 1);
}

TEST_F(ResumerPart, AStoreThatIsSilentLeavesTheClaimUnanswered) {
  left_by_another(config.peers[0].public_key);
  InitiationState state = initiation(kept, 3);
  ASSERT_EQ(resumer.examine(now, from, kPeer, state).what, What::kWait);
  now = resumer.due(kPeer);
  resumer.serve(now, kPeer);
  EXPECT_EQ(latest<Event>().reason, Reason::kOwnershipConflict);
  EXPECT_EQ(latest<Event>().detail, Detail::kStoreUnavailable);
  EXPECT_FALSE(resumer.loaded(now, *store.take())) << "late: nobody waits for it any more";
}

TEST_F(ResumerPart, ALaterClaimTakesThePlaceOfTheOneThatWaits) {
  left_by_another(config.peers[0].public_key);
  InitiationState first = initiation(kept, 3);
  InitiationState second = initiation(kept, 3);
  resumer.examine(now, from, kPeer, first);
  resumer.examine(now, from, kPeer, second);
  EXPECT_FALSE(resumer.loaded(now, *store.take()));
  EXPECT_TRUE(resumer.loaded(now, *store.take()));
}

/// An earlier claim brought it back while this one waited: it isn't what the store has any more.
TEST_F(ResumerPart, AClaimThatWaitedMeetsTheSessionThatLivesHere) {
  left_by_another(config.peers[0].public_key);
  sessions.end_epoch(other.epoch(), now);
  InitiationState late = initiation(kept, 1);
  ASSERT_EQ(resumer.examine(now, from, kPeer, late).what, What::kWait);
  Session& session = attached(false);
  session.id.bytes = kept;
  const auto verdict = resumer.loaded(now, *store.take());
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->verdict.resumption, nullptr);
  EXPECT_EQ(verdict->verdict.what, What::kRefuse) << "the store hasn't answered it yet";
  EXPECT_EQ(session.record().state, State::kAttached);
}

}  // namespace
}  // namespace jvpn
