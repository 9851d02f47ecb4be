#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "common/limits.h"
#include "control/protocol/policy_snapshot.h"
#include "tests/support/handshake_rig.h"

namespace jvpn {
namespace {

class DialerPart : public test::HandshakeRig {
 protected:
  /// As a responder does that has too much to do, or somebody else who knows its public key.
  void reply_with_cookie() {
    const auto asked = sent<wire::Initiation>();
    const auto macs = ResponderMacKeys::derive(mac, config.peers[0].public_key);
    reply_with(wire::MessageType::kCookieReply, macs.cookie_label, Mac{1}, asked);
  }
  void reply_with_freshness(const wire::Freshness& freshness) {
    const auto asked = sent<wire::Initiation>();
    const Identity remote{remote_secret, public_key_of(remote_secret), {}};
    const auto read = read_initiation(remote, secret_of(3), asked);
    ASSERT_TRUE(read.has_value());
    reply_with(wire::MessageType::kRetry, *retry_key(read->noise), freshness, asked);
  }
  void reply_with(wire::MessageType type, const Secret<32>& key,
                  const std::array<uint8_t, 16>& value, const wire::Initiation& asked) {
    const wire::SealedReply reply =
        seal_reply(aead, type, key, value, {asked.sender, asked.mac1}, std::array<uint8_t, 24>{});
    const Path from = latest<Send>().path;
    effects.clear();
    dialer.on_sealed_reply(now, from, {reinterpret_cast<const uint8_t*>(&reply), sizeof reply});
  }
  /// To the latest initiation, as the responder does whose sessions have such ids.
  void answer_with(uint8_t id) { answer_with(id, remote_secret); }
  void answer_with(uint8_t id, const SecretKey& responder) {
    const auto asked = sent<wire::Initiation>();
    const Identity remote{responder, public_key_of(responder), {}};
    auto initiation = read_initiation(remote, secret_of(3), asked);
    ASSERT_TRUE(initiation.has_value());
    wire::ResponsePayload payload{};
    payload.version = wire::kVersion;
    payload.suite = static_cast<uint8_t>(initiation->suite);
    payload.lanes = 1;
    payload.mtu = 1'400;
    payload.session_id.fill(id);
    payload.binding_version = 1;
    payload.policy = snapshot_of(config.policy);
    wire::Response message;
    ASSERT_TRUE(write_response(*initiation, PresharedKey{}, ReceiverIndex{7}, payload, message));
    dialer.on_response(now, test::path_over(1),
                       {reinterpret_cast<const uint8_t*>(&message), sizeof message},
                       MacVerdict::kMac1);
  }
};

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

/// A cookie is good for one address: going round the candidates with it would let nobody in who has
/// several.
TEST_F(DialerPart, ACookieIsShownOnceOnThePathThatItCameBy) {
  table.peer(kPeer).candidates = {Candidate{test::path_over(1)}, Candidate{test::path_over(2)}};
  dialer.dial(now, kPeer, test::path_over(1));
  const auto next_attempt = [&] { dialer.serve_dial(dialer.dial_due(kPeer), kPeer); };
  next_attempt();
  next_attempt();
  ASSERT_EQ(latest<Send>().path, test::path_over(2));
  reply_with_cookie();
  next_attempt();
  EXPECT_EQ(latest<Send>().path, test::path_over(2));
  EXPECT_NE(std::to_array(sent<wire::Initiation>().mac2), Mac{});
  reply_with_cookie();  // whoever answers the one that had a cookie doesn't want us to get through
  next_attempt();
  EXPECT_EQ(latest<Send>().path, test::path_over(1)) << "unanswered, it holds nobody up";
  EXPECT_EQ(std::to_array(sent<wire::Initiation>().mac2), Mac{});
}

/// Two gateways of one peer: networks 1 and 2 lead to the first, 3 and 4 to the second.
class DialerOfTwoGateways : public DialerPart {
 protected:
  DialerOfTwoGateways() {
    for (uint8_t network = 1; network <= 4; ++network) {
      const GatewayNumber gateway{static_cast<uint8_t>(network > 2 ? 1 : 0)};
      config.peers[0].gateways.push_back({test::path_over(network).remote, gateway});
      table.peer(kPeer).candidates.push_back({test::path_over(network), gateway});
    }
  }
  /// What the next round sends, by network.
  std::vector<unsigned> next_round() {
    effects.clear();
    now = dialer.dial_due(kPeer);
    dialer.serve_dial(now, kPeer);
    std::vector<unsigned> networks;
    for (const Effect& effect : effects.list())
      if (const Send* sent = std::get_if<Send>(&effect)) networks.push_back(sent->path.interface);
    return networks;
  }
  /// A session over network 1 that has no transport, and is claimed.
  void begin_to_claim() {
    Session& session = attached(true);
    dialer.dial_when_ended(kPeer, test::path_over(1));
    lifecycle.transition(now, session, {Trigger::kTransportDead});
    ASSERT_TRUE(session.must_jump());
    now = dialer.due(session);
    dialer.serve(now, session);
  }
  using Round = std::vector<unsigned>;
};

TEST_F(DialerOfTwoGateways, AreDialledInTurns) {
  dialer.dial(now, kPeer, test::path_over(1));
  std::vector<unsigned> tried{latest<Send>().path.interface};
  for (int i = 0; i < 6; ++i)
    for (const unsigned network : next_round()) tried.push_back(network);
  EXPECT_EQ(tried, (Round{1, 3, 1, 4, 2, 3, 1}));
}

TEST_F(DialerOfTwoGateways, TheFirstClaimGoesByTheWarmPathThatAnswersSoonest) {
  const auto answered = [&](size_t candidate, uint32_t rtt_us) {
    Standby& standby = table.peer(kPeer).candidates[candidate].standby;
    standby.answered_at = now;
    standby.availability = wire::Availability::kTakesSessions;
    standby.rtt_us = rtt_us;
  };
  answered(2, 30'000);
  answered(3, 20'000);
  begin_to_claim();
  EXPECT_EQ(next_round(), (Round{1, 4}));
  EXPECT_EQ(next_round(), (Round{1, 4}));
  EXPECT_EQ(next_round(), (Round{2, 3}));
  answered(2, 10'000);
  table.peer(kPeer).dial->start(now);
  EXPECT_EQ(next_round().at(1), 3U) << "whose turn it was doesn't count";
}

TEST_F(DialerOfTwoGateways, APathThatDoesNotAnswerHasATurnOfFour) {
  table.peer(kPeer).candidates[2].standby.unanswered = 2;
  begin_to_claim();
  std::vector<unsigned> others;
  for (int i = 0; i < 6; ++i) others.push_back(next_round().at(1));
  EXPECT_EQ(std::ranges::count(others, 3U), 1);
  EXPECT_EQ(std::ranges::count(others, 4U), 5);
}

TEST_F(DialerOfTwoGateways, AClaimGoesToBothInTheSameRound) {
  begin_to_claim();
  EXPECT_EQ(next_round(), (Round{1, 3}));
  EXPECT_EQ(next_round(), (Round{1, 4}));
  EXPECT_EQ(next_round(), (Round{2, 3}));
  EXPECT_EQ(PeerTable::indices_alive(table.peer(kPeer)), 3U) << "two attempts, and the session";
}

/// A cookie is between this end and one gateway, whose address it proves.
TEST_F(DialerOfTwoGateways, ACookieIsShownToItsGatewayAlone) {
  const auto macs_of_round = [&] {
    std::map<unsigned, Mac> macs;
    next_round();
    for (const Effect& effect : effects.list()) {
      const Send* sent = std::get_if<Send>(&effect);
      if (sent == nullptr) continue;
      wire::Initiation message{};
      __builtin_memcpy(&message, effects.datagram(*sent).data(), sizeof message);
      macs[sent->path.interface] = std::to_array(message.mac2);
    }
    return macs;
  };
  begin_to_claim();
  ASSERT_EQ(next_round(), (Round{1, 3}));
  reply_with_cookie();  // by the second gateway: its initiation was the latest
  const auto macs = macs_of_round();
  ASSERT_EQ(macs.size(), 2U);
  EXPECT_EQ(macs.at(1), Mac{});
  ASSERT_TRUE(macs.contains(3)) << "the cookie is good for one path";
  EXPECT_NE(macs.at(3), Mac{});
}

/// Nor is what it gave in the place of a timestamp.
TEST_F(DialerOfTwoGateways, FreshnessIsOneGateways) {
  dialer.dial(now, kPeer, test::path_over(1));
  reply_with_freshness(wire::Freshness{1});
  next_round();
  const Identity remote{remote_secret, public_key_of(remote_secret), {}};
  const auto freshness = [&] {
    const auto read = read_initiation(remote, secret_of(3), sent<wire::Initiation>());
    return read ? read->proof.freshness : wire::Freshness{0xff};
  };
  ASSERT_EQ(latest<Send>().path, test::path_over(3));
  EXPECT_EQ(freshness(), wire::Freshness{});
  next_round();
  ASSERT_EQ(latest<Send>().path, test::path_over(1));
  EXPECT_EQ(freshness(), wire::Freshness{1});
}

TEST_F(DialerPart, AfterATakeoverThePauseGrowsToFourSeconds) {
  dialer.dial(now, kPeer, test::path_over(1));
  Dial& call = *table.peer(kPeer).dial;
  std::vector<uint64_t> pauses;
  for (int i = 0; i < 5; ++i) {
    const Session& session = attached(true);
    dialer.taken_over(now, session);
    dialer.dial(now, kPeer, test::path_over(1));  // as the program around does
    pauses.push_back((call.next_round - now).value);
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

TEST_F(DialerPart, WhoCallsInVainForLongCallsLessOftenAndSpreads) {
  const Millis began = now;
  dialer.dial(now, kPeer, test::path_over(1));
  std::map<uint64_t, std::vector<uint64_t>> waits;  // by seconds called
  while (now < began + Millis{600'000}) {
    const Millis next = dialer.dial_due(kPeer);
    const uint64_t called = (now - began).value / 1'000;
    waits[called < 15 ? 0 : called < 60 ? 15 : 60].push_back((next - now).value);
    now = next;
    dialer.serve_dial(now, kPeer);
  }
  for (const auto& [since, each] : waits) {
    const auto [least, most] = std::ranges::minmax(each);
    EXPECT_GE(least, since == 0 ? 1'000U : since == 15 ? 2'000U : 4'000U);
    EXPECT_LE(most, since == 0 ? 3'250U : 5'000U) << since;
  }
  EXPECT_GT(std::set(waits[60].begin(), waits[60].end()).size(), waits[60].size() / 4)
      << "hardly two waits are the same";
  dialer.dial(now, kPeer, test::path_over(1));
  EXPECT_LE(dialer.dial_due(kPeer), now + Millis{3'250}) << "another call begins anew";
}

TEST_F(DialerPart, NobodyDialsWhileSessionsAreDenied) {
  context.denies_new_sessions = true;
  dialer.dial(now, kPeer, test::path_over(1));
  EXPECT_TRUE(effects.empty());
  EXPECT_EQ(dialer.dial_due(kPeer), kNever);
}

/// Answers that nobody waits for are counted before anything is computed: no MAC is looked at, so
/// there is nothing to tell of.
TEST_F(DialerPart, AnswersNobodyWaitsForAreCountedAlone) {
  const auto give = [&](auto answer, wire::MessageType type, auto receive) {
    answer.type = type;
    answer.receiver = 77;
    receive(std::span{reinterpret_cast<const uint8_t*>(&answer), sizeof answer});
  };
  const Path from = test::path_over(1);
  give(wire::Response{}, wire::MessageType::kResponse,
       [&](auto bytes) { dialer.on_response(now, from, bytes, std::nullopt); });
  for (const auto type : {wire::MessageType::kCookieReply, wire::MessageType::kRetry})
    give(wire::SealedReply{}, type, [&](auto bytes) { dialer.on_sealed_reply(now, from, bytes); });
  EXPECT_EQ(counters.handshakes_refused, 3U);
  EXPECT_TRUE(effects.empty());
  EXPECT_EQ(table.peer(kPeer).session, nullptr);
}

TEST_F(DialerPart, TheHostHearsWhichAnswersToExpect) {
  dialer.dial(now, kPeer, test::path_over(1));
  EXPECT_EQ(latest<AwaitAnswer>().index.value, sent<wire::Initiation>().sender);
  dialer.serve_dial(dialer.dial_due(kPeer), kPeer);
  EXPECT_EQ(latest<AwaitAnswer>().index.value, sent<wire::Initiation>().sender);
}

TEST_F(DialerPart, OneRetryForEachAttemptIsAnsweredAtOnce) {
  dialer.dial(now, kPeer, test::path_over(1));
  const auto retry_with = [&](uint8_t byte) {
    wire::Freshness freshness;
    freshness.fill(byte);
    reply_with_freshness(freshness);
    EXPECT_EQ(table.peer(kPeer).dial->attempts.front().freshness, freshness);
  };
  retry_with(1);
  EXPECT_EQ(count<Send>(), 1U);
  retry_with(2);
  EXPECT_EQ(count<Send>(), 0U) << "for the next attempt";
  dialer.serve_dial(dialer.dial_due(kPeer), kPeer);
  retry_with(3);
  EXPECT_EQ(count<Send>(), 1U);
}

TEST_F(DialerPart, ARetryThatIsNotAuthenticChangesNothing) {
  dialer.dial(now, kPeer, test::path_over(1));
  reply_with(wire::MessageType::kRetry, Secret<32>{}, wire::Freshness{1}, sent<wire::Initiation>());
  EXPECT_EQ(count<Send>(), 0U);
  EXPECT_EQ(table.peer(kPeer).dial->attempts.front().freshness, wire::Freshness{});
}

TEST_F(DialerPart, AnIdThatASessionHadIsRefused) {
  const auto attach_with = [&](uint8_t id) {
    dialer.dial(now, kPeer, test::path_over(1));
    answer_with(id);
    return table.peer(kPeer).session.get();
  };
  Session* const first = attach_with(1);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(attach_with(1), first) << "the living one stays";
  EXPECT_EQ(counters.handshakes_refused, 1U);
  Session* const second = attach_with(2);
  ASSERT_NE(second, first);
  EXPECT_EQ(attach_with(1), second) << "the first has ended";
  EXPECT_EQ(counters.handshakes_refused, 2U);
  EXPECT_EQ(latest<Event>().reason, Reason::kSecAbuseControlPlane);
  EXPECT_EQ(latest<Event>().detail, Detail::kSessionIdUsed);
  EXPECT_EQ(PeerTable::indices_alive(table.peer(kPeer)), 2U) << "one of them drains";
}

TEST_F(DialerPart, TwoRespondersInLeagueGiveNoIdTwice) {
  constexpr PeerId kOther{1};
  const SecretKey other = secret_of(11);
  config.peers[kOther.value].public_key = public_key_of(other);
  dialer.dial(now, kPeer, test::path_over(1));
  answer_with(1);
  ASSERT_NE(table.peer(kPeer).session, nullptr);
  const auto attach_other_with = [&](uint8_t id) {
    dialer.dial(now, kOther, test::path_over(1));
    answer_with(id, other);
    return table.peer(kOther).session != nullptr;
  };
  EXPECT_FALSE(attach_other_with(1));
  EXPECT_EQ(latest<Event>().detail, Detail::kSessionIdUsed);
  EXPECT_TRUE(attach_other_with(2));
}

}  // namespace
}  // namespace jvpn
