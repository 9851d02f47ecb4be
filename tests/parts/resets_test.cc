#include "control/protocol/resets.h"

#include "tests/support/handshake_rig.h"

namespace jvpn {
namespace {

constexpr uint32_t kRate = 1'000;  // as configured: of handshakes

/// A peer that we dialled, and who answers as one that lost its keys does.
class ResetsPart : public test::HandshakeRig {
 protected:
  /// Attached over path 1; the peer told its tokens, and `spares` spares with theirs.
  Session& dialled(size_t spares = 0) {
    Session& session = attached(true);
    dialer.dial_when_ended(kPeer, session.path);
    session.current->reset_token = Secret<16>(tell(session.current->remote));
    wire::SpareIndices told{};
    for (uint16_t i = 0; i < spares; ++i) {
      told.index[i] = 0x8000U + i;
      told.number[i] = static_cast<uint16_t>(i + 1);
      told.token[i] = tell(ReceiverIndex{told.index[i]});
    }
    session.current->learn_spares(told);
    effects.clear();
    return session;
  }
  wire::ResetToken tell(ReceiverIndex index) const { return remote.of(index, period); }

  wire::Reset reset_of(ReceiverIndex index, uint64_t at) const {
    wire::Reset message{};
    message.type = wire::MessageType::kReset;
    message.receiver = index.value;
    message.token = remote.of(index, at);
    message.earlier = remote.of(index, at - 1);
    return message;
  }
  wire::Reset reset_of(ReceiverIndex index) const { return reset_of(index, period); }
  /// Whether it was followed: one initiation, and that is told.
  bool takes(const wire::Reset& message, const Path& from = test::path_over(1)) {
    const uint64_t before = counters.resets_taken;
    effects.clear();
    resets.on_reset(now, from, kPeer, {reinterpret_cast<const uint8_t*>(&message), sizeof message});
    const bool dials = count<Send>() == 1;
    EXPECT_EQ(dials, counters.resets_taken == before + 1);
    if (!dials) return false;
    EXPECT_EQ(sent<wire::Initiation>().type, wire::MessageType::kInitiation);
    EXPECT_EQ(reasons(), std::vector{Reason::kKeysLost});
    EXPECT_NE(table.peer(kPeer).session, nullptr) << "the session goes on";
    return true;
  }
  bool answers(uint32_t index, const Path& from = test::path_over(1)) {
    effects.clear();
    resets.on_unknown_index(now, from, ReceiverIndex{index});
    return count<Send>() == 1;
  }

  const uint64_t period = reset_period(environment.stamp);
  ResetTokens remote{mac, remote_secret};
  Resets resets{context, reporter, bindings, dialer, now};
};

TEST(ResetTokens, BelongToKeyIndexAndPeriodAndNeedNothingElse) {
  MessageMac mac = std::move(*MessageMac::create());
  SecretKey key;
  key.bytes().fill(1);
  const ResetTokens tokens(mac, key);
  const wire::ResetToken token = tokens.of(ReceiverIndex{5}, 9);
  MessageMac after_restart = std::move(*MessageMac::create());
  EXPECT_EQ(ResetTokens(after_restart, key).of(ReceiverIndex{5}, 9), token);
  EXPECT_NE(tokens.of(ReceiverIndex{6}, 9), token);
  EXPECT_NE(tokens.of(ReceiverIndex{5}, 10), token);
  key.bytes().fill(2);
  EXPECT_NE(ResetTokens(mac, key).of(ReceiverIndex{5}, 9), token);
}

TEST(ResetTokens, APeriodOutlivesKeys) {
  const auto at = [](uint64_t seconds) {
    wire::Timestamp stamp{};
    for (size_t i = 0; i < 8; ++i) stamp[i] = static_cast<uint8_t>(seconds >> (56 - 8 * i));
    return reset_period(stamp);
  };
  constexpr uint64_t kNow = (uint64_t{1} << 62) + 1'700'000'000;
  for (uint64_t begun = kNow; begun < kNow + 256; ++begun) {
    const uint64_t apart = at(begun + kKeyRefuseAfterMs / 1'000) - at(begun);
    EXPECT_LE(apart, 1U) << begun;
  }
  EXPECT_EQ(at(kNow + 512) - at(kNow), 2U);
}

TEST_F(ResetsPart, AnIndexThatNobodyHasIsAnsweredByItsTokens) {
  ASSERT_TRUE(answers(0x4711));
  const auto message = sent<wire::Reset>();
  const ResetTokens own(mac, config.private_key);
  EXPECT_EQ(message.type, wire::MessageType::kReset);
  EXPECT_EQ(message.receiver, 0x4711U);
  EXPECT_EQ(message.token, own.of(ReceiverIndex{0x4711}, period));
  EXPECT_EQ(message.earlier, own.of(ReceiverIndex{0x4711}, period - 1));
  EXPECT_EQ(latest<Send>().path, test::path_over(1));
  EXPECT_EQ(message.token, bindings.reset_token(ReceiverIndex{0x4711})) << "as it is told";
}

TEST_F(ResetsPart, AnIndexOfASessionThatGoesOnIsNotAnswered) {
  const Session& session = attached(false);
  const uint32_t living = session.current->local.value;
  EXPECT_FALSE(answers(living));
  const auto left = table.indices().allocate(kPeer, 0x777);
  table.indices().release(*left);
  EXPECT_FALSE(answers(left->value)) << "the session has left it";
  const auto others = table.indices().allocate(PeerId{1}, 0x999);
  table.indices().release(*others);
  EXPECT_TRUE(answers(others->value)) << "that peer has no session";
  table.peer(kPeer).session.reset();
  EXPECT_TRUE(answers(left->value));
  EXPECT_FALSE(answers(living)) << "a handshake may have it";
}

TEST_F(ResetsPart, NoNetworkUsesUpTheRateOfOthers) {
  const auto sent_to = [&](const Path& from) {
    size_t sent = 0;
    for (uint32_t i = 1; i <= 1'000; ++i) sent += answers(i, from) ? 1 : 0;
    return sent;
  };
  EXPECT_EQ(sent_to(test::path_over(1)), kRate / 32);
  EXPECT_EQ(sent_to(test::path_over(2)), kRate / 32);
  size_t all = kRate / 32 * 2;
  for (uint8_t network = 3; network < 200; ++network) all += sent_to(test::path_over(network));
  EXPECT_EQ(all, kRate);
  EXPECT_EQ(counters.resets_sent, kRate);
  EXPECT_EQ(counters.resets_throttled, 199'000 - kRate);
  now = now + Millis{1'000};
  EXPECT_EQ(sent_to(test::path_over(1)), kRate / 32);
}

TEST_F(ResetsPart, TheIndexOwnTokenHasThePeerDialledBesideTheSession) {
  const Session& session = dialled();
  ASSERT_TRUE(takes(reset_of(session.current->remote)));
  EXPECT_EQ(latest<Send>().path, session.path);
  EXPECT_TRUE(session.binding.tx_installed);
  EXPECT_TRUE(table.peer(kPeer).dial->active);
}

TEST_F(ResetsPart, ATokenOfThePeriodBeforeIsGoodAndAnOlderOneIsNot) {
  const Session& session = dialled();
  EXPECT_FALSE(takes(reset_of(session.current->remote, period + 2)));
  EXPECT_FALSE(takes(reset_of(session.current->remote, period - 1)));
  EXPECT_EQ(counters.resets_refused, 2U);
  EXPECT_TRUE(takes(reset_of(session.current->remote, period + 1)));
}

TEST_F(ResetsPart, AForgedOneIsCountedToldAndNothingElse) {
  Session& session = dialled();
  const wire::Reset right = reset_of(session.current->remote);
  const auto refuses = [&](const wire::Reset& message, const Path& from) {
    const uint64_t before = counters.resets_refused;
    EXPECT_FALSE(takes(message, from));
    EXPECT_EQ(counters.resets_refused, before + 1);
  };
  for (size_t bit = 0; bit < 128; ++bit) {
    wire::Reset message = right;
    message.token[bit / 8] = static_cast<uint8_t>(message.token[bit / 8] ^ (1U << bit % 8));
    refuses(message, session.path);
    if (bit == 0) {
      EXPECT_EQ(reasons(), std::vector{Reason::kSecAbuseControlPlane});
    }
  }
  Path elsewhere = session.path;
  ++elsewhere.remote.port;
  refuses(right, elsewhere);
  elsewhere = session.path;
  ++elsewhere.interface;
  refuses(right, elsewhere);
  wire::Reset unsound = right;
  unsound.reserved[1] = 1;
  refuses(unsound, session.path);
  session.current->reset_token = Secret<16>{};  // the responder told none
  wire::Reset zero = right;
  zero.token = {};
  refuses(zero, session.path);
  EXPECT_FALSE(table.peer(kPeer).dial->active);
}

TEST_F(ResetsPart, WhoDidNotDialIsNotMovedByOne) {
  Session& session = attached(false);
  session.current->reset_token = Secret<16>(tell(session.current->remote));
  EXPECT_FALSE(takes(reset_of(session.current->remote)));
  EXPECT_EQ(counters.resets_stale, 1U);
}

TEST_F(ResetsPart, OfAStandbyPathItHasThePeerDialledThereOnceTheSessionNeedsThatPath) {
  Session& session = dialled(2);
  const SpareBinding* const spare = bindings.assign_spare(session, test::path_over(2));
  ASSERT_NE(spare, nullptr);
  EXPECT_EQ(latest<AwaitReset>().index, spare->remote);
  EXPECT_FALSE(takes(reset_of(spare->remote), test::path_over(2))) << "the bound path is well";
  ASSERT_TRUE(lifecycle.transition(now, session, {Trigger::kTransportDead}));
  EXPECT_FALSE(takes(reset_of(session.current->remote))) << "nothing goes by it any more";
  const wire::Reset unused = reset_of(ReceiverIndex{0x8001});
  EXPECT_FALSE(takes(unused, test::path_over(2))) << "nothing was sent there yet";
  EXPECT_EQ(counters.resets_stale, 3U);
  EXPECT_FALSE(takes(reset_of(spare->remote), test::path_over(1)));
  EXPECT_EQ(counters.resets_refused, 1U);
  EXPECT_TRUE(takes(reset_of(spare->remote), test::path_over(2)));
  EXPECT_EQ(latest<Send>().path, test::path_over(2));
}

/// The responder may have committed, and the acknowledgement be lost: it has left the old index.
TEST_F(ResetsPart, WhileTheSessionJumpsItsOldIndexSaysNothing) {
  const Session& session = dialled();
  session.initiator->jumping.jump = std::make_unique<Jump>();
  EXPECT_FALSE(takes(reset_of(session.current->remote)));
  EXPECT_EQ(counters.resets_stale, 1U);
  EXPECT_EQ(counters.resets_refused, 0U);
  session.initiator->jumping.jump.reset();
  EXPECT_TRUE(takes(reset_of(session.current->remote)));
}

TEST_F(ResetsPart, TheOnesThatFollowAreTakenEverMoreRarely) {
  const Session& session = dialled();
  const auto next_after = [&] {
    const Millis begun = now;
    while (!takes(reset_of(session.current->remote))) now = now + Millis{250};
    EXPECT_FALSE(takes(reset_of(session.current->remote))) << "it is being dialled";
    dialer.note_alive(session);
    return (now - begun).value;
  };
  EXPECT_EQ(next_after(), 0U);
  for (const uint64_t wait : {1'000U, 2'000U, 4'000U, 8'000U, 16'000U, 32'000U, 64'000U, 64'000U})
    EXPECT_EQ(next_after(), wait);
  now = now + Millis{64'000 + 60'000};
  EXPECT_EQ(next_after(), 0U);
  EXPECT_EQ(next_after(), 1'000U) << "the count began anew";
}

TEST_F(ResetsPart, ASignOfLifeUnderTheSessionsKeysEndsTheCall) {
  const Session& session = dialled();
  ASSERT_TRUE(takes(reset_of(session.current->remote)));
  dialer.note_alive(session);
  EXPECT_FALSE(table.peer(kPeer).dial->active);
  table.peer(kPeer).dial->start(now);  // for another reason
  dialer.note_alive(session);
  EXPECT_TRUE(table.peer(kPeer).dial->active);
}

TEST_F(ResetsPart, NobodyIsDialledWhomNobodyWantsOrWhileSessionsAreDenied) {
  const Session& session = dialled();
  context.denies_new_sessions = true;
  EXPECT_FALSE(takes(reset_of(session.current->remote)));
  context.denies_new_sessions = false;
  dialer.forget(table.peer(kPeer));
  EXPECT_FALSE(takes(reset_of(session.current->remote)));
}

}  // namespace
}  // namespace jvpn
