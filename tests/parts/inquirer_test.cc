#include "control/protocol/inquirer.h"

#include "common/limits.h"
#include "tests/support/part_rig.h"

namespace jvpn {
namespace {

using wire::Availability;

/// A peer with gateways 0, 1 and 2 at networks 1, 2 and 3; gateway 0 has the session.
class InquirerPart : public test::PartRig {
 protected:
  InquirerPart() {
    EnginePeer& peer = config.peers[0];
    peer.public_key = remote.public_key;
    for (uint8_t gateway = 0; gateway < 3; ++gateway) {
      const Path path = test::path_over(static_cast<uint8_t>(gateway + 1));
      peer.gateways.push_back({path.remote, GatewayNumber{gateway}});
      state.candidates.push_back(Candidate{path, GatewayNumber{gateway}});
    }
    state.dial = std::make_unique<Dial>();
    state.dial->macs = ResponderMacKeys::derive(mac, remote.public_key);
    session = &attached(true);
  }
  static Identity identity_of(uint8_t byte) {
    SecretKey secret;
    secret.bytes().fill(byte);
    return {secret, public_key_of(secret), {}};
  }
  Standby& at(size_t gateway) { return state.candidates[gateway].standby; }
  std::optional<Inquiry>& out() { return state.dial->inquiry; }

  void serve() {
    effects.clear();
    inquirer.serve(now, *session);
  }
  /// The clock goes on to whatever is due.
  void go_on() {
    ASSERT_NE(inquirer.due(*session), kNever);
    now = std::max(now, inquirer.due(*session));
    serve();
  }
  /// Until an inquiry is out, which isn't answered meanwhile.
  wire::Initiation next_inquiry() {
    for (int i = 0; i < 10 && (count<Send>() == 0 || i == 0); ++i) go_on();
    return sent();
  }
  wire::Initiation sent() {
    wire::Initiation message{};
    const auto datagram = effects.datagram(latest<Send>());
    EXPECT_EQ(datagram.size(), sizeof message);
    __builtin_memcpy(&message, datagram.data(), sizeof message);
    EXPECT_EQ(message.type, wire::MessageType::kInquiry);
    EXPECT_EQ(latest<AwaitAnswer>().index, ReceiverIndex{message.sender});
    return message;
  }
  template <typename Message>
  static std::span<const uint8_t> bytes_of(const Message& message) {
    return {reinterpret_cast<const uint8_t*>(&message), sizeof message};
  }
  wire::Readiness readiness(const wire::Initiation& message,
                            Availability availability = Availability::kTakesSessions,
                            uint16_t ask_again_s = 15) {
    wire::ReadinessValue value{};
    value.availability = availability;
    value.ask_again_s = ask_again_s;
    value.cookie.fill(7);
    value.freshness.fill(8);
    SecretKey unused;
    const auto read = read_initiation(remote, unused, message);
    EXPECT_TRUE(read);
    return seal_readiness(aead, *readiness_key(read->noise, {}), value,
                          {message.sender, message.mac1}, nonce);
  }
  bool takes(const wire::Readiness& message, const Path& from) {
    return inquirer.on_readiness(now, from, bytes_of(message)) == kPeer;
  }
  /// Asked, and answered at once.
  void answered(Availability availability = Availability::kTakesSessions, uint16_t wait_s = 15) {
    const wire::Initiation message = next_inquiry();
    EXPECT_TRUE(takes(readiness(message, availability, wait_s), latest<Send>().path));
  }
  wire::SealedReply cookie_reply(const wire::Initiation& message, uint8_t byte) {
    Mac cookie;
    cookie.fill(byte);
    return seal_reply(aead, wire::MessageType::kCookieReply, state.dial->macs.cookie_label, cookie,
                      {message.sender, message.mac1}, nonce);
  }
  bool carries(wire::Initiation message, uint8_t byte) {
    const auto mac2 = std::to_array(message.mac2);
    Mac cookie;
    cookie.fill(byte);
    write_macs(mac, state.dial->macs.mac1, &cookie,
               {reinterpret_cast<uint8_t*>(&message), sizeof message});
    return std::to_array(message.mac2) == mac2;
  }

  Identity self = identity_of(5);
  Identity remote = identity_of(9);
  std::array<uint8_t, 24> nonce{};
  PeerState& state = table.peer(kPeer);
  Session* session = nullptr;
  Bindings bindings{context};
  Reporter reporter{context};
  Inquirer inquirer{context, self, reporter, bindings};
};

TEST_F(InquirerPart, PathsToOtherGatewaysAreAskedOneAfterTheOtherAndTheAnswerIsKept) {
  const Millis begun = now;
  const wire::Initiation first = next_inquiry();
  EXPECT_GE(now, begun + Millis{1'000});
  EXPECT_LT(now, begun + Millis{5'000});
  const Path path = latest<Send>().path;
  const size_t gateway = path == test::path_over(2) ? 1 : 2;
  EXPECT_EQ(at(gateway).rank(), StandbyRank::kUnknown);
  go_on();
  ASSERT_TRUE(out()) << "the next one waits for this one";
  now = out()->sent + Millis{40};
  ASSERT_TRUE(takes(readiness(sent()), latest<Send>().path));
  EXPECT_EQ(at(gateway).rank(), StandbyRank::kWarm);
  EXPECT_EQ(at(gateway).rtt_us, 40'000U);
  EXPECT_EQ(at(gateway).answered_at, now);
  EXPECT_EQ(at(gateway).cookie, (Mac{7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}));
  EXPECT_EQ(at(gateway).cookie_until, now + Millis{kCookieSecretMs});
  EXPECT_EQ(at(gateway).freshness.front(), 8);
  EXPECT_FALSE(out());
  EXPECT_GE(at(gateway).next, now + Millis{15'000});
  EXPECT_LE(at(gateway).next, now + Millis{25'000});
  answered();
  EXPECT_EQ(at(1).rank(), StandbyRank::kWarm);
  EXPECT_EQ(at(2).rank(), StandbyRank::kWarm);
  EXPECT_EQ(at(0).next, Millis{0}) << "the one that has the session isn't asked";
  EXPECT_NE(std::to_array(first.noise), std::to_array(next_inquiry().noise));
}

TEST_F(InquirerPart, WhoTakesNoSessionsIsKnownAsSuch) {
  answered(Availability::kDraining);
  answered(Availability::kStoreUnavailable);
  EXPECT_EQ(at(1).rank(), StandbyRank::kNotNow);
  EXPECT_EQ(at(2).rank(), StandbyRank::kNotNow);
}

TEST_F(InquirerPart, AGatewayMayWantToBeAskedMoreRarely) {
  answered(Availability::kTakesSessions, 100);
  const size_t gateway = at(1).answered_at ? 1 : 2;
  EXPECT_GE(at(gateway).next, now + Millis{100'000});
  EXPECT_LE(at(gateway).next, now + Millis{166'667});
  answered(Availability::kTakesSessions, 60'000);
  EXPECT_LE(at(3 - gateway).next, now + Millis{1'000'001}) << "but not to be forgotten";
  EXPECT_GE(at(3 - gateway).next, now + Millis{600'000});
}

TEST_F(InquirerPart, AnIdleSessionAsksRarely) {
  SessionRecord record = session->record();
  record.idle_interval = Millis{5'000};
  auto idle =
      std::make_unique<Session>(kPeer, session->path, session->suite, record, counters.totals);
  idle->confirmed = true;
  idle->initiator = std::move(session->initiator);
  idle->current = std::move(session->current);
  state.session = std::move(idle);
  session = state.session.get();
  answered();
  const size_t gateway = at(1).answered_at ? 1 : 2;
  EXPECT_GE(at(gateway).next, now + Millis{240'000});
}

TEST_F(InquirerPart, WhatIsForgedChangesNothing) {
  const wire::Initiation message = next_inquiry();
  const Path path = latest<Send>().path;
  const wire::Readiness right = readiness(message);
  for (size_t bit = 0; bit < 8 * sizeof right; ++bit) {
    wire::Readiness forged = right;
    auto* const bytes = reinterpret_cast<uint8_t*>(&forged);
    bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ (1U << bit % 8));
    EXPECT_FALSE(takes(forged, path)) << bit;
  }
  Path elsewhere = path;
  ++elsewhere.remote.port;
  EXPECT_FALSE(takes(right, elsewhere));
  elsewhere = path;
  ++elsewhere.interface;
  EXPECT_FALSE(takes(right, elsewhere));
  remote = identity_of(10);
  wire::Initiation others;
  const SecretKey ephemeral = identity_of(11).secret;
  ASSERT_TRUE(write_inquiry(
      {self, remote.public_key, Suite::kAes128Gcm, ReceiverIndex{message.sender}, 1, ephemeral},
      others));
  std::ranges::copy(message.mac1, others.mac1);
  EXPECT_FALSE(takes(readiness(others), path)) << "another's key";
  EXPECT_TRUE(out());
  for (const size_t gateway : {1U, 2U}) EXPECT_EQ(at(gateway).rank(), StandbyRank::kUnknown);
  EXPECT_TRUE(takes(right, path));
  EXPECT_FALSE(takes(right, path)) << "it answers once";
}

TEST_F(InquirerPart, WhoeverDoesNotAnswerIsAskedOnceMoreAndThenEverMoreRarely) {
  state.candidates.pop_back();
  next_inquiry();
  const Millis asked = now;
  go_on();
  EXPECT_EQ(now, asked + Millis{2'000});
  EXPECT_EQ(count<Send>(), 1U) << "at once: it may have been lost";
  EXPECT_EQ(at(1).rank(), StandbyRank::kUnknown);
  go_on();
  EXPECT_EQ(at(1).rank(), StandbyRank::kSilent);
  EXPECT_EQ(at(1).unanswered_since, asked);
  uint64_t least = 15'000;
  for (int i = 0; i < 8; ++i) {
    const Millis gave_up = now;
    go_on();
    EXPECT_GE((now - gave_up).value, least);
    EXPECT_LE((now - gave_up).value, least * 5 / 3 + 1);
    least = std::min<uint64_t>(2 * least, 240'000);
    go_on();
    EXPECT_FALSE(out());
  }
  answered();
  EXPECT_EQ(at(1).rank(), StandbyRank::kWarm);
  EXPECT_FALSE(at(1).unanswered_since);
}

TEST_F(InquirerPart, ABusyGatewaysCookieIsShownAtOnceAndOnce) {
  const wire::Initiation plain = next_inquiry();
  const Path path = latest<Send>().path;
  effects.clear();
  EXPECT_EQ(inquirer.on_cookie_reply(now, path, bytes_of(cookie_reply(plain, 3))), kPeer);
  const wire::Initiation again = sent();
  EXPECT_TRUE(carries(again, 3));
  EXPECT_FALSE(carries(again, 4));
  EXPECT_EQ(latest<Send>().path, path);
  effects.clear();
  EXPECT_EQ(inquirer.on_cookie_reply(now, path, bytes_of(cookie_reply(plain, 4))), std::nullopt)
      << "nobody waits for an answer to the first one any more";
  EXPECT_EQ(inquirer.on_cookie_reply(now, path, bytes_of(cookie_reply(again, 4))), kPeer);
  EXPECT_EQ(count<Send>(), 0U);
  EXPECT_TRUE(takes(readiness(again), path));
}

TEST_F(InquirerPart, ACookieReplyToAHandshakeIsNotItsOwn) {
  wire::Initiation message = next_inquiry();
  message.sender ^= 1;
  EXPECT_EQ(inquirer.on_cookie_reply(now, latest<Send>().path, bytes_of(cookie_reply(message, 3))),
            std::nullopt);
}

TEST_F(InquirerPart, NobodyIsAskedWhileTheSessionIsNotWell) {
  next_inquiry();
  const ReceiverIndex index = out()->local;
  state.dial->active = true;
  EXPECT_EQ(inquirer.due(*session), Millis{0});
  serve();
  EXPECT_FALSE(out());
  EXPECT_FALSE(table.indices().owner(index));
  EXPECT_EQ(inquirer.due(*session), kNever);
  state.dial->active = false;
  EXPECT_NE(inquirer.due(*session), kNever);
  session->confirmed = false;
  EXPECT_EQ(inquirer.due(*session), kNever);
  session->confirmed = true;
  config.peers[0].gateways.resize(1);
  EXPECT_EQ(inquirer.due(*session), kNever) << "nobody else is known";
}

TEST_F(InquirerPart, WhatDrainsKeepsItsIndex) {
  state.draining.push_back({ReceiverIndex{1}, now + Millis{3'000}});
  for (int i = 0; i < 4; ++i) go_on();
  EXPECT_FALSE(out());
  state.draining.clear();
  next_inquiry();
  EXPECT_TRUE(out());
}

TEST_F(InquirerPart, OfTheGatewayThatGetsTheSessionNothingIsKept) {
  answered();
  answered();
  session->path = test::path_over(2);
  inquirer.on_rebound(now, *session, test::path_over(1));
  EXPECT_EQ(at(1).rank(), StandbyRank::kUnknown);
  EXPECT_EQ(at(2).rank(), StandbyRank::kWarm);
}

}  // namespace
}  // namespace jvpn
