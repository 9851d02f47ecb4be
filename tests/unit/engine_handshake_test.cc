// Two engines back to back: handshakes, cookies, supersession, dialling past each other.
#include <gtest/gtest.h>

#include "common/limits.h"
#include "tests/support/engine_world.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn {
namespace {

using test::count_sent;
using test::Datagram;
using test::expect_one_session;
using test::Fate;
using test::kPeer;
using test::last_sent;
using test::Lines;
using test::World;
using wire::MessageType;

World::Adjust with_suite(Suite suite) {
  return [suite](size_t, EngineConfig& config) { config.suites = {suite}; };
}

/// A policy by which a silent path isn't dead yet.
void silence_allowed(size_t, EngineConfig& config) {
  config.policy.volatility.heartbeat_volatile = Millis{7'000};
  config.policy.volatility.transport_dead = Millis{9'000};
}

struct EngineHandshakeOfEachSuite : testing::TestWithParam<Suite> {};
INSTANTIATE_TEST_SUITE_P(EngineHandshake, EngineHandshakeOfEachSuite,
                         testing::Values(Suite::kAes128Gcm, Suite::kAes256Gcm,
                                         Suite::kChaCha20Poly1305));

TEST_P(EngineHandshakeOfEachSuite, HandshakeAttachesBothEnds) {
  World world(1, with_suite(GetParam()));
  world.connect();
  expect_one_session(world);
  EXPECT_EQ(world.node(0).session().suite, GetParam());
  EXPECT_EQ(world.node(0).session().version, StateVersion{1});
  EXPECT_EQ(world.node(1).session().binding_version, BindingVersion{1});
  for (size_t i : {size_t{0}, size_t{1}}) {
    EXPECT_EQ(world.node(i).changes(), Lines{"BIRTH>ATTACHED HANDSHAKE_OK"});
  }
  world.run_with_data(Millis{500}, 10);
  EXPECT_GT(world.node(0).delivered, 40U);
  EXPECT_GT(world.node(1).delivered, 40U);
  EXPECT_EQ(world.node(0).lost + world.node(1).lost, 0U);
}

TEST_P(EngineHandshakeOfEachSuite, QuotaOfALaneFollowsTheSuite) {
  World world(1, [&](size_t, EngineConfig& config) {
    config.suites = {GetParam()};
    config.lanes = 4;
  });
  world.connect();
  const TxInstall& tx = world.node(0).tx.at(0);
  EXPECT_EQ(tx.lanes, 4);
  EXPECT_EQ(tx.blocks_per_lane,
            GetParam() == Suite::kChaCha20Poly1305 ? wire::kSequenceMask : kGcmKeyBlocks / 4);
  EXPECT_EQ(world.node(1).rx.begin()->second.lanes, 4);
}

TEST(EngineHandshake, AnswerTellsAddressesPolicyAndMtu) {
  World world(1, [](size_t node, EngineConfig& config) {
    if (node == 1) config.policy.session.max_lifetime = Millis{60'000};
  });
  world.connect();
  ASSERT_EQ(world.node(0).answers.size(), 1U);
  const wire::ResponsePayload& answer = world.node(0).answers.front();
  EXPECT_EQ(answer.mtu, 1400);
  EXPECT_EQ(answer.addresses[0].family, 4);
  EXPECT_EQ(answer.addresses[0].prefix_length, 32);
  EXPECT_EQ(answer.addresses[1].family, 0);
  EXPECT_EQ(answer.policy.max_lifetime, 60'000U);
  EXPECT_EQ(world.node(0).tx.at(0).inner_mtu, 1400);
}

TEST(EngineHandshake, DiallerKeepsTryingUntilAnswered) {
  World world;
  world.filter = [&](const Datagram&) {
    return world.now < Millis{1'007'000} ? Fate::kDrop : Fate::kDeliver;
  };
  world.connect();
  world.run_for(Millis{12'000});
  expect_one_session(world);
  EXPECT_GE(count_sent(world, 0, MessageType::kInitiation), 5U);
}

// A second between two attempts is too short for this path; the longer wait lets the answer in.
TEST(EngineHandshake, HandshakeOverAVerySlowPath) {
  World world(1, silence_allowed);
  world.weather.delay_ms = 1'200;
  world.connect();
  world.run_for(Millis{15'000});
  expect_one_session(world);
}

TEST(EngineHandshake, WrongPresharedKeyNeverAttaches) {
  World world(1, [](size_t node, EngineConfig& config) {
    config.peers[0].preshared.emplace();
    config.peers[0].preshared->bytes().fill(static_cast<uint8_t>(node));
  });
  world.dial(0, 1);
  world.run_for(Millis{20'000});
  EXPECT_TRUE(world.node(0).changes().empty());
  EXPECT_TRUE(world.node(0).tx.empty());
  EXPECT_TRUE(world.node(1).tx.empty());
  EXPECT_LE(world.node(1).generations(), 1U);
  for (const std::string& line : world.node(1).changes()) {
    EXPECT_EQ(line.substr(0, 31), "BIRTH>TERMINATED HANDSHAKE_FAIL");
  }
  EXPECT_GT(world.engine(0).counters().handshakes_refused, 5U);
}

TEST(EngineHandshake, SamePresharedKeyAttaches) {
  World world(1, [](size_t, EngineConfig& config) {
    config.peers[0].preshared.emplace();
    config.peers[0].preshared->bytes().fill(9);
  });
  world.connect();
  expect_one_session(world);
}

TEST(EngineHandshake, WrongResponderKeyGetsNoAnswer) {
  World world(1, [](size_t node, EngineConfig& config) {
    if (node == 0) config.peers[0].public_key = public_key_of(generate_secret_key());
  });
  world.connect();
  EXPECT_TRUE(world.node(1).sessions().empty());
  EXPECT_EQ(count_sent(world, 1, MessageType::kResponse), 0U);
  EXPECT_EQ(world.engine(1).counters().handshakes_refused, 1U);
}

TEST(EngineHandshake, UnknownPeerGetsNoAnswer) {
  World world(1, [](size_t node, EngineConfig& config) {
    if (node == 1) config.peers[0].public_key = public_key_of(generate_secret_key());
  });
  world.connect();
  EXPECT_TRUE(world.node(1).sessions().empty());
  EXPECT_EQ(count_sent(world, 1, MessageType::kResponse), 0U);
  const auto events = world.node(1).events_of(EventKind::kSecurityEvent);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].detail, Detail::kUnknownKey);
}

TEST(EngineHandshake, SuiteThatIsNotAllowedIsRefused) {
  World world(1, [](size_t node, EngineConfig& config) {
    config.suites = {node == 0 ? Suite::kChaCha20Poly1305 : Suite::kAes256Gcm};
  });
  world.connect();
  EXPECT_TRUE(world.node(1).sessions().empty());
  EXPECT_EQ(world.engine(1).counters().handshakes_refused, 1U);
}

TEST(EngineHandshake, ReplayedInitiationChangesNothing) {
  World world;
  world.connect();
  const Datagram initiation = last_sent(world, 0, MessageType::kInitiation);
  const SessionId id = world.node(1).session().id;
  world.deliver(initiation);
  EXPECT_EQ(world.node(1).session().id, id);
  const auto events = world.node(1).events_of(EventKind::kSecurityEvent);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].reason, Reason::kSecReplayAttempt);
  // The timestamp outlives the session.
  world.engine(1).terminate(world.now, kPeer, Detail::kOperator);
  world.deliver(initiation);
  EXPECT_TRUE(world.node(1).sessions().empty());
  EXPECT_EQ(world.node(1).generations(), 0U);
}

TEST(EngineHandshake, AClockThatRanBackwardsLocksNobodyOut) {
  World world;
  world.connect();
  world.engine(0).terminate(world.now, kPeer, Detail::kOperator);
  world.run_for(Millis{kHandshakeTimeoutMs + 1'000});
  world.node(0).clock_behind = Millis{3'600'000};
  auto restarted =
      SessionEngine::create(World::config_from(1, nullptr, 2, 0), world.node(0), world.now);
  ASSERT_TRUE(restarted.ok());
  world.node(0).engine = *std::move(restarted);
  world.connect();
  expect_one_session(world);
  EXPECT_EQ(world.node(1).session().state, State::kAttached);
  EXPECT_EQ(count_sent(world, 1, MessageType::kRetry), 1U);
}

TEST(EngineHandshake, CookieIsDemandedUnderLoadAndThenEnough) {
  World world(1, [](size_t node, EngineConfig& config) {
    if (node == 1) config.handshakes_per_s = 0;
  });
  world.connect();
  EXPECT_TRUE(world.node(1).sessions().empty());
  EXPECT_EQ(world.engine(1).counters().cookies_sent, 1U);
  EXPECT_EQ(count_sent(world, 1, MessageType::kCookieReply), 1U);
  world.run_for(Millis{2'000});
  expect_one_session(world);
  EXPECT_EQ(world.engine(1).counters().cookies_sent, 1U);
}

TEST(EngineHandshake, CookieSecretsRotateOnlyWhileCookiesAreOut) {
  World world(1, [](size_t node, EngineConfig& config) {
    if (node == 1) config.handshakes_per_s = 0;
  });
  EXPECT_EQ(world.engine(1).next_deadline(), Millis{UINT64_MAX});
  uint64_t before = 0;
  uint64_t after = 0;
  world.engine(1).cookie_secrets(before);
  world.connect();
  world.engine(0).terminate(world.now, kPeer, Detail::kOperator);
  world.run_for(Millis{2 * kCookieSecretMs + 5'000});
  world.engine(1).cookie_secrets(after);
  EXPECT_EQ(after, before + 2);
  EXPECT_EQ(world.engine(1).next_deadline(), Millis{UINT64_MAX});
}

TEST(EngineHandshake, VerdictOfTheWorkerIsTaken) {
  World world;
  world.dial(0, 1);
  const Datagram initiation = last_sent(world, 0, MessageType::kInitiation);
  world.engine(1).on_handshake(world.now, test::path_between(1, 0), initiation.bytes,
                               MacVerdict::kBad);
  EXPECT_TRUE(world.node(1).sessions().empty());
  world.engine(1).on_handshake(world.now, test::path_between(1, 0), initiation.bytes,
                               MacVerdict::kMac1);
  EXPECT_EQ(world.node(1).session().state, State::kBirth);
}

TEST(EngineHandshake, UnconfirmedHandshakeLeavesTheOldSessionAlone) {
  World world(1, silence_allowed);
  world.connect();
  const SessionView before = world.node(1).session();
  // The initiation arrives, nothing after it does.
  world.filter = [](const Datagram& datagram) {
    return datagram.type() == MessageType::kInitiation ? Fate::kDeliver : Fate::kDrop;
  };
  world.dial(0, 1);
  world.run_for(Millis{500});
  ASSERT_EQ(world.node(1).sessions().size(), 2U);
  world.engine(0).terminate(world.now, kPeer, Detail::kOperator);
  world.run_for(Millis{kHandshakeTimeoutMs + 100});
  const SessionView after = world.node(1).session();
  EXPECT_EQ(after.id, before.id);
  EXPECT_EQ(after.version, before.version);
  EXPECT_EQ(world.node(1).changes(),
            (Lines{"BIRTH>ATTACHED HANDSHAKE_OK", "BIRTH>TERMINATED HANDSHAKE_FAIL:timeout"}));
}

TEST(EngineHandshake, ConfirmedHandshakeSupersedes) {
  World world;
  world.connect();
  const SessionId old = world.node(1).session().id;
  world.after_each = [&] {
    world.expect_openable(0, 1);
    world.expect_openable(1, 0);
  };
  world.dial(0, 1);
  world.run_with_data(Millis{1'000}, 1);
  expect_one_session(world);
  EXPECT_NE(world.node(1).session().id, old);
  const Lines expected = {"BIRTH>ATTACHED HANDSHAKE_OK",
                          "ATTACHED>TERMINATED POLICY_TERMINATION:superseded",
                          "BIRTH>ATTACHED HANDSHAKE_OK"};
  EXPECT_EQ(world.node(0).changes(), expected);
  EXPECT_EQ(world.node(1).changes(), expected);
  EXPECT_EQ(world.node(0).lost + world.node(1).lost, 0U);
  // Nothing of the old one stays.
  EXPECT_EQ(world.node(0).generations(), 1U);
  EXPECT_EQ(world.node(1).generations(), 1U);
}

TEST(EngineHandshake, LostConfirmationIsRepeated) {
  World world;
  int dropped = 0;
  world.filter = [&](const Datagram& datagram) {
    return datagram.type() == MessageType::kControl && ++dropped <= 3 ? Fate::kDrop
                                                                      : Fate::kDeliver;
  };
  world.connect();
  world.run_for(Millis{1'000});
  expect_one_session(world);
}

TEST(EngineHandshake, AnswerWithoutConfirmationIsDialledAgain) {
  World world;
  world.filter = [&](const Datagram& datagram) {
    const bool early = world.now < Millis{1'007'000};
    return early && datagram.type() == MessageType::kControl ? Fate::kDrop : Fate::kDeliver;
  };
  world.connect();
  world.run_for(Millis{9'000});
  expect_one_session(world);
}

TEST(EngineHandshake, SimultaneousDiallingMakesOneSession) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    world.dial(0, 1);
    world.dial(1, 0);
    world.run_for(Millis{1'500});
    expect_one_session(world);
    ASSERT_EQ(world.node(0).answers.size() + world.node(1).answers.size(), 1U);
    // Whoever was configured dialled: the one with the lower key.
    const bool first_dialled = world.node(0).answers.size() == 1;
    EXPECT_EQ(first_dialled, world.public_key(0) < world.public_key(1));
  }
}

TEST(EngineHandshake, DiallingPastEachOtherInAnyOrderConverges) {
  constexpr uint64_t kSeeds = test::rounds(200);
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    test::Random random(seed);
    world.weather = {0.2, 0.1, 1 + random.below(40), random.below(60)};
    const size_t first = random.below(2);
    world.dial(first, 1 - first);
    world.run_for(Millis{random.below(120)});
    world.dial(1 - first, first);
    world.run_for(Millis{8'000});
    world.weather.loss = 0;
    world.run_for(Millis{12'000});
    expect_one_session(world);
    if (HasFailure()) break;
  }
}

struct BadConfig {
  const char* name;
  void (*spoil)(EngineConfig&);
  const char* message;
};

const BadConfig kBadConfigs[] = {
    {"no suite", [](EngineConfig& c) { c.suites.clear(); }, "suites: expected"},
    {"no lane", [](EngineConfig& c) { c.lanes = 0; }, "lanes: expected"},
    {"too many lanes", [](EngineConfig& c) { c.lanes = kMaxLanes + 1; }, "lanes: expected"},
    {"slots", [](EngineConfig& c) { c.slot_bits = 31; }, "slot_bits: expected"},
    {"itself",
     [](EngineConfig& c) {
       c.peers.push_back({"me", public_key_of(c.private_key), {}, {}});
     },
     "peer me: expected"},
    {"twice",
     [](EngineConfig& c) {
       c.peers = {{"a", {1}, {}, {}}, {"b", {1}, {}, {}}};
     },
     "peer b: expected"},
};

TEST(EngineHandshake, BadConfigurationIsRefused) {
  World world;
  for (const BadConfig& bad : kBadConfigs) {
    SCOPED_TRACE(bad.name);
    EngineConfig config;
    config.suites = {Suite::kAes128Gcm};
    config.private_key = generate_secret_key();
    bad.spoil(config);
    const auto engine = SessionEngine::create(std::move(config), world.node(0), Millis{0});
    ASSERT_FALSE(engine.ok());
    EXPECT_EQ(engine.error().message.rfind(bad.message, 0), 0U) << engine.error().message;
  }
}

}  // namespace
}  // namespace jvpn
