#include "control/protocol/acceptor.h"

#include <set>

#include "tests/support/handshake_rig.h"

namespace jvpn {
namespace {

class AcceptorPart : public test::HandshakeRig {
 protected:
  /// So long after this end's start.
  wire::Timestamp at(uint8_t number) const {
    wire::Timestamp timestamp = environment.stamp;
    timestamp.back() = number;
    return timestamp;
  }
  /// An initiation of the configured peer, as a worker hands it over.
  wire::Initiation initiation(uint8_t timestamp, const wire::Freshness& freshness = {}) {
    const Identity peer{remote_secret, public_key_of(remote_secret), {}};
    const SecretKey ephemeral = secret_of(static_cast<uint8_t>(timestamp + 100));
    wire::Initiation message;
    asked = write_initiation(
        {peer, self.public_key, Suite::kAes128Gcm, ReceiverIndex{0x99}, 1, ephemeral},
        {at(timestamp), freshness}, message);
    EXPECT_TRUE(asked);
    return message;
  }
  /// By a retry to the latest initiation.
  wire::Freshness freshness_told() {
    const auto key = retry_key(*asked);
    const auto value =
        key ? open_reply(aead, *key, Mac{}, sent<wire::SealedReply>()) : std::nullopt;
    EXPECT_TRUE(value) << "nobody but the initiator reads it";
    return value.value_or(wire::Freshness{});
  }
  /// The same, with a field of two bytes behind the payload's fixed part.
  wire::Initiation initiation_with_field(uint8_t timestamp, uint16_t type) {
    wire::Initiation message = initiation(timestamp);
    wire::InitiationPayload payload{};
    payload.version = wire::kVersion;
    payload.suite = message.suite;
    payload.lanes = 1;
    payload.timestamp = at(timestamp);
    const wire::Field field{type, 2};
    __builtin_memcpy(payload.fields, &field, sizeof field);
    const auto* head = reinterpret_cast<const uint8_t*>(&message);
    std::vector<uint8_t> prologue(wire::kPrologue.begin(), wire::kPrologue.end());
    prologue.insert(prologue.end(), head, head + offsetof(wire::Initiation, noise));
    NoiseHandshake noise =
        NoiseHandshake::initiator(NoiseCipher::kAesGcm, prologue, remote_secret, self.public_key);
    EXPECT_TRUE(noise.write_message1({reinterpret_cast<const uint8_t*>(&payload), sizeof payload},
                                     message.noise));
    return message;
  }
  std::optional<PeerId> hand_over(const wire::Initiation& message,
                                  MacVerdict verdict = MacVerdict::kMac1) {
    return acceptor.on_initiation(now, test::path_over(1),
                                  {reinterpret_cast<const uint8_t*>(&message), sizeof message},
                                  verdict);
  }
  std::optional<NoiseHandshake> asked;  ///< the latest initiation's
  Resumer resumer{context, reporter, lifecycle, bindings, dialer};
  Acceptor acceptor{context, self, cookies, reporter, bindings, lifecycle, dialer, resumer, now};
};

TEST_F(AcceptorPart, AnAnsweredPeerIsInBirthUntilItsKeyIsConfirmed) {
  EXPECT_EQ(hand_over(initiation(1)), kPeer);
  EXPECT_EQ(sent<wire::Response>().receiver, 0x99U);
  PeerState& peer = table.peer(kPeer);
  ASSERT_NE(peer.pending, nullptr);
  EXPECT_EQ(peer.pending->state(), State::kBirth);
  EXPECT_EQ(latest<RxBind>().from, test::path_over(1));
  EXPECT_FALSE(latest<RxBind>().confirmed) << "workers take nothing from elsewhere";
  EXPECT_FALSE(acceptor.may_confirm(*peer.pending, test::path_over(2)));
  EXPECT_TRUE(acceptor.may_confirm(*peer.pending, test::path_over(1)));
  EXPECT_TRUE(acceptor.confirm(now, peer));
  EXPECT_EQ(peer.session->state(), State::kAttached);
  EXPECT_TRUE(store.take_asked());
  EXPECT_EQ(ownership.take()->answer, OwnershipAnswer::kCommitted) << "the store has it";
  EXPECT_EQ(count<TxInstall>(), 1U);
  EXPECT_TRUE(latest<RxBind>().confirmed);
}

TEST_F(AcceptorPart, SessionsThatReplaceEachOtherAliveAreTwoHoldersOfOneKey) {
  PeerState& peer = table.peer(kPeer);
  const auto again = [&](uint8_t number, Millis later) {
    now = now + later;
    effects.clear();
    hand_over(initiation(number));
    EXPECT_TRUE(acceptor.confirm(now, peer));
    return std::ranges::count(reasons(), Reason::kSecOwnershipAnomaly);
  };
  EXPECT_EQ(again(1, Millis{0}), 0);
  EXPECT_EQ(again(2, Millis{1'000}), 0) << "a host that starts again looks like that";
  EXPECT_EQ(again(3, Millis{1'000}), 1);
  EXPECT_EQ(latest<Event>().peer, kPeer);
  EXPECT_EQ(again(4, Millis{30'000}), 0) << "the old one was silent";
}

TEST_F(AcceptorPart, AnswersThatAreNeverConfirmedAreToldWithTheirPeer) {
  for (uint8_t number = 1; number < 4; ++number) hand_over(initiation(number));
  EXPECT_EQ(std::ranges::count(reasons(), Reason::kSecAbuseControlPlane), 0);
  hand_over(initiation(4));
  EXPECT_EQ(std::ranges::count(reasons(), Reason::kSecAbuseControlPlane), 1);
  EXPECT_TRUE(acceptor.confirm(now, table.peer(kPeer)));
  EXPECT_EQ(table.peer(kPeer).unconfirmed, 0U);
}

TEST_F(AcceptorPart, AnInitiatorThatNobodyKnowsIsToldApart) {
  remote_secret.bytes().fill(77);
  hand_over(initiation(1));
  EXPECT_EQ(latest<Event>().reason, Reason::kHandshakeFail);
  EXPECT_EQ(latest<Event>().detail, Detail::kUnknownKey);
}

TEST_F(AcceptorPart, AReplayedInitiationMakesNoRecord) {
  hand_over(initiation(2));
  table.peer(kPeer).pending.reset();
  EXPECT_EQ(hand_over(initiation(2)), std::nullopt);
  EXPECT_EQ(hand_over(initiation(1)), std::nullopt);
  EXPECT_EQ(table.peer(kPeer).pending, nullptr);
  EXPECT_EQ(counters.handshakes_refused, 2U);
}

TEST_F(AcceptorPart, WhoseClockRanBackwardsIsToldWhatToCarry) {
  hand_over(initiation(9));
  EXPECT_TRUE(acceptor.confirm(now, table.peer(kPeer)));
  const SessionId first = table.peer(kPeer).session->id;
  EXPECT_EQ(hand_over(initiation(3)), std::nullopt);
  EXPECT_EQ(sent<wire::SealedReply>().receiver, 0x99U);
  const wire::Freshness told = freshness_told();
  // Recordings of others neither void it nor get it accepted.
  EXPECT_EQ(hand_over(initiation(2)), std::nullopt);
  EXPECT_EQ(freshness_told(), told);
  const wire::Initiation fresh = initiation(4, told);
  EXPECT_EQ(hand_over(fresh), kPeer);
  EXPECT_TRUE(acceptor.confirm(now, table.peer(kPeer)));
  EXPECT_NE(table.peer(kPeer).session->id, first);
  // It is good once: recorded, it makes nothing.
  EXPECT_EQ(hand_over(fresh), std::nullopt);
  EXPECT_EQ(table.peer(kPeer).pending, nullptr);
  EXPECT_NE(freshness_told(), told);
}

/// Whoever replays its recordings sees neither that two are of one peer, nor that it came again.
TEST_F(AcceptorPart, RetriesShowNothingOfWhomTheyAnswer) {
  std::set<std::vector<uint8_t>> seen;
  const auto replay_all = [&] {
    for (uint8_t recording = 1; recording <= 3; ++recording) {
      EXPECT_EQ(hand_over(initiation(recording)), std::nullopt);
      const auto retry = sent<wire::SealedReply>();
      seen.insert({std::begin(retry.value), std::end(retry.value)});
      seen.insert({std::begin(retry.tag), std::end(retry.tag)});
    }
  };
  hand_over(initiation(9));
  replay_all();
  replay_all();
  hand_over(initiation(10));
  replay_all();
  EXPECT_EQ(seen.size(), 18U) << "no two have anything in common";
}

TEST_F(AcceptorPart, AfterAStartWhatWasRecordedBeforeMakesNothing) {
  const wire::Initiation recorded = initiation(5);
  environment.stamp = at(6);
  Acceptor restarted(context, self, cookies, reporter, bindings, lifecycle, dialer, resumer, now);
  const auto give = [&](const wire::Initiation& message) {
    return restarted.on_initiation(now, test::path_over(1),
                                   {reinterpret_cast<const uint8_t*>(&message), sizeof message},
                                   MacVerdict::kMac1);
  };
  EXPECT_EQ(give(recorded), std::nullopt);
  EXPECT_EQ(table.peer(kPeer).pending, nullptr);
  EXPECT_EQ(give(initiation(4, freshness_told())), kPeer) << "a clock that is behind";
}

TEST_F(AcceptorPart, UnderLoadASourceWithoutACookieGetsOne) {
  config.handshakes_per_s = 0;
  Acceptor busy(context, self, cookies, reporter, bindings, lifecycle, dialer, resumer, now);
  const wire::Initiation message = initiation(3);
  const std::span<const uint8_t> bytes{reinterpret_cast<const uint8_t*>(&message), sizeof message};
  EXPECT_EQ(busy.on_initiation(now, test::path_over(1), bytes, MacVerdict::kMac1), std::nullopt);
  EXPECT_EQ(sent<wire::SealedReply>().receiver, message.sender);
  EXPECT_EQ(busy.on_initiation(now, test::path_over(1), bytes, MacVerdict::kVerified), kPeer);
  EXPECT_EQ(busy.on_initiation(now, test::path_over(1), bytes, MacVerdict::kVerified),
            std::nullopt);
  EXPECT_EQ(counters.handshakes_throttled, 2U) << "one was told a cookie";
  EXPECT_EQ(latest<Event>().reason, Reason::kSecAbuseControlPlane);
  EXPECT_EQ(latest<Event>().detail, Detail::kThrottled);
}

TEST_F(AcceptorPart, UnknownFieldsAreSkippedAndCriticalOnesRefusedByName) {
  EXPECT_EQ(hand_over(initiation_with_field(1, 0x0123)), kPeer);
  EXPECT_EQ(hand_over(initiation_with_field(2, 0x8123)), std::nullopt);
  EXPECT_EQ(latest<Event>().reason, Reason::kHandshakeFail);
  EXPECT_EQ(latest<Event>().detail, Detail::kUnknownField);
}

TEST_F(AcceptorPart, AHolderThatRepeatsItsInitiationKeepsNobodyOut) {
  config.handshakes_per_s = 10;
  Acceptor busy(context, self, cookies, reporter, bindings, lifecycle, dialer, resumer, now);
  const auto give = [&](const wire::Initiation& message, uint8_t network) {
    return busy.on_initiation(now, test::path_over(network),
                              {reinterpret_cast<const uint8_t*>(&message), sizeof message},
                              MacVerdict::kVerified);
  };
  wire::Initiation held = initiation(1);
  held.mac2[0] = 1;
  EXPECT_EQ(give(held, 1), kPeer);
  for (int i = 0; i < 5'000; ++i) EXPECT_EQ(give(held, 1), std::nullopt);
  EXPECT_EQ(counters.handshakes_throttled, 5'000U);
  EXPECT_EQ(latest<Event>().reason, Reason::kSecAbuseControlPlane);
  EXPECT_EQ(latest<Event>().detail, Detail::kThrottled);
  EXPECT_EQ(give(initiation(2), 2), kPeer);
}

TEST_F(AcceptorPart, ADeniedPeerIsRefusedByName) {
  context.denies_new_sessions = true;
  EXPECT_EQ(hand_over(initiation(4)), std::nullopt);
  EXPECT_EQ(latest<Event>().detail, Detail::kPolicyRefused);
}

}  // namespace
}  // namespace jvpn
