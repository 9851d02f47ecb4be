// Two engines back to back: handshakes, supersession, liveness, endings.
#include <gtest/gtest.h>

#include "common/limits.h"
#include "tests/unit/engine_harness.h"

namespace jvpn {
namespace {

using test::Datagram;
using test::Fate;
using test::World;
using Lines = std::vector<std::string>;
using wire::MessageType;

constexpr PeerId kPeer{0};

World::Adjust with_suite(Suite suite) {
  return [suite](size_t, EngineConfig& config) { config.suites = {suite}; };
}

/// The latest datagram of a type that a node sent.
Datagram last_sent(const World& world, size_t from, MessageType type) {
  for (auto each = world.sent.rbegin(); each != world.sent.rend(); ++each) {
    if (each->from == from && each->type() == type) return *each;
  }
  ADD_FAILURE() << "nothing of that type was sent";
  return {};
}

size_t count_sent(const World& world, size_t from, MessageType type) {
  return static_cast<size_t>(std::count_if(
      world.sent.begin(), world.sent.end(),
      [&](const Datagram& datagram) { return datagram.from == from && datagram.type() == type; }));
}

void expect_one_session(World& world, size_t a = 0, size_t b = 1) {
  const SessionView left = world.node(a).session();
  const SessionView right = world.node(b).session();
  EXPECT_EQ(left.state, State::kAttached);
  EXPECT_EQ(right.state, State::kAttached);
  EXPECT_EQ(left.id, right.id);
  EXPECT_EQ(left.binding_version, right.binding_version);
  world.expect_openable(a, b);
  world.expect_openable(b, a);
}

struct EngineOfEachSuite : testing::TestWithParam<Suite> {};
INSTANTIATE_TEST_SUITE_P(Engine, EngineOfEachSuite,
                         testing::Values(Suite::kAes128Gcm, Suite::kAes256Gcm,
                                         Suite::kChaCha20Poly1305));

TEST_P(EngineOfEachSuite, HandshakeAttachesBothEnds) {
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

TEST_P(EngineOfEachSuite, QuotaOfALaneFollowsTheSuite) {
  World world(1, [&](size_t, EngineConfig& config) {
    config.suites = {GetParam()};
    config.lanes = 4;
  });
  world.connect();
  const TxInstall& tx = world.node(0).tx.at(0);
  EXPECT_EQ(tx.lanes, 4);
  EXPECT_EQ(tx.packets_per_lane,
            GetParam() == Suite::kChaCha20Poly1305 ? wire::kSequenceMask : kGcmKeyPackets / 4);
  EXPECT_EQ(world.node(1).rx.begin()->second.lanes, 4);
}

TEST(Engine, AnswerTellsAddressesPolicyAndMtu) {
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

TEST(Engine, DiallerKeepsTryingUntilAnswered) {
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
TEST(Engine, HandshakeOverAVerySlowPath) {
  World world;
  world.weather.delay_ms = 1'200;
  world.connect();
  world.run_for(Millis{15'000});
  expect_one_session(world);
}

TEST(Engine, WrongPresharedKeyNeverAttaches) {
  World world(1, [](size_t node, EngineConfig& config) {
    config.peers[0].preshared.emplace();
    config.peers[0].preshared->bytes().fill(static_cast<uint8_t>(node));
  });
  world.dial(0, 1);
  world.run_for(Millis{20'000});
  EXPECT_TRUE(world.node(0).changes().empty());
  EXPECT_TRUE(world.node(0).tx.empty());
  EXPECT_TRUE(world.node(1).tx.empty());
  EXPECT_LE(world.node(1).rx.size(), 1U);
  for (const std::string& line : world.node(1).changes()) {
    EXPECT_EQ(line.substr(0, 31), "BIRTH>TERMINATED HANDSHAKE_FAIL");
  }
  EXPECT_GT(world.engine(0).counters().handshakes_refused, 5U);
}

TEST(Engine, SamePresharedKeyAttaches) {
  World world(1, [](size_t, EngineConfig& config) {
    config.peers[0].preshared.emplace();
    config.peers[0].preshared->bytes().fill(9);
  });
  world.connect();
  expect_one_session(world);
}

TEST(Engine, WrongResponderKeyGetsNoAnswer) {
  World world(1, [](size_t node, EngineConfig& config) {
    if (node == 0) config.peers[0].public_key = public_key_of(generate_secret_key());
  });
  world.connect();
  EXPECT_TRUE(world.node(1).sessions().empty());
  EXPECT_EQ(count_sent(world, 1, MessageType::kResponse), 0U);
  EXPECT_EQ(world.engine(1).counters().handshakes_refused, 1U);
}

TEST(Engine, UnknownPeerGetsNoAnswer) {
  World world(1, [](size_t node, EngineConfig& config) {
    if (node == 1) config.peers[0].public_key = public_key_of(generate_secret_key());
  });
  world.connect();
  EXPECT_TRUE(world.node(1).sessions().empty());
  EXPECT_EQ(count_sent(world, 1, MessageType::kResponse), 0U);
  const auto events = world.node(1).events_of(EventKind::kSecurityEvent);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].detail, Detail::kAuthentication);
}

TEST(Engine, SuiteThatIsNotAllowedIsRefused) {
  World world(1, [](size_t node, EngineConfig& config) {
    config.suites = {node == 0 ? Suite::kChaCha20Poly1305 : Suite::kAes256Gcm};
  });
  world.connect();
  EXPECT_TRUE(world.node(1).sessions().empty());
  EXPECT_EQ(world.engine(1).counters().handshakes_refused, 1U);
}

TEST(Engine, ReplayedInitiationChangesNothing) {
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
  EXPECT_EQ(world.node(1).rx.size(), 0U);
}

TEST(Engine, CookieIsDemandedUnderLoadAndThenEnough) {
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

TEST(Engine, CookieSecretsRotateOnlyWhileCookiesAreOut) {
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

TEST(Engine, VerdictOfTheWorkerIsTaken) {
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

TEST(Engine, UnconfirmedHandshakeLeavesTheOldSessionAlone) {
  World world;
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

TEST(Engine, ConfirmedHandshakeSupersedes) {
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
  EXPECT_EQ(world.node(0).rx.size(), 1U);
  EXPECT_EQ(world.node(1).rx.size(), 1U);
}

TEST(Engine, LostConfirmationIsRepeated) {
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

TEST(Engine, AnswerWithoutConfirmationIsDialledAgain) {
  World world;
  world.filter = [&](const Datagram& datagram) {
    const bool early = world.now < Millis{1'007'000};
    return early && datagram.type() == MessageType::kControl ? Fate::kDrop : Fate::kDeliver;
  };
  world.connect();
  world.run_for(Millis{9'000});
  expect_one_session(world);
}

TEST(Engine, SimultaneousDiallingMakesOneSession) {
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

TEST(Engine, DiallingPastEachOtherInAnyOrderConverges) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
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

TEST(Engine, IdleSessionLivesByHeartbeats) {
  World world;
  world.connect();
  const size_t before = world.sent.size();
  world.run_for(Millis{60'000});
  expect_one_session(world);
  const size_t messages = world.sent.size() - before;
  EXPECT_GT(messages, 2 * 60U);
  EXPECT_LT(messages, 6 * 60U);  // about one heartbeat and its answer per half second
  EXPECT_EQ(world.node(0).session().rtt_us, 10'000U);
}

TEST(Engine, TrafficSuppressesHeartbeats) {
  World world;
  world.connect();
  world.run_for(Millis{600});
  const size_t before =
      count_sent(world, 0, MessageType::kControl) + count_sent(world, 1, MessageType::kControl);
  world.run_with_data(Millis{20'000}, 50);
  const size_t after =
      count_sent(world, 0, MessageType::kControl) + count_sent(world, 1, MessageType::kControl);
  EXPECT_LE(after - before, 4U);
  expect_one_session(world);
}

TEST(Engine, SessionTtl) {
  World world(1, [](size_t node, EngineConfig& config) {
    if (node == 1) config.policy.session.max_lifetime = Millis{30'000};
  });
  world.connect();
  const SessionId first = world.node(0).session().id;
  world.run_for(Millis{31'000});
  // Both count the responder's shorter lifetime; then the dialler dials again.
  for (size_t i : {size_t{0}, size_t{1}}) {
    const Lines changes = world.node(i).changes();
    ASSERT_GE(changes.size(), 2U);
    EXPECT_EQ(changes[1], "ATTACHED>TERMINATED TTL_SESSION_EXPIRED");
  }
  expect_one_session(world);
  EXPECT_NE(world.node(0).session().id, first);
}

TEST(Engine, TransportLossTtlThenDiallingAgain) {
  World world;
  world.connect();
  const Millis cut = world.now;
  world.filter = [](const Datagram&) { return Fate::kDrop; };
  world.run_for(Millis{14'000});
  EXPECT_EQ(world.node(0).session().state, State::kAttached);
  world.run_for(Millis{2'000});
  for (size_t i : {size_t{0}, size_t{1}}) {
    EXPECT_EQ(world.node(i).changes().back(), "ATTACHED>TERMINATED TTL_TRANSPORT_LOSS_EXPIRED");
    const Event event = world.node(i).events_of(EventKind::kStateChange).back();
    EXPECT_LE((event.at - cut).value, 15'000U);
    EXPECT_TRUE(world.node(i).tx.empty());
    EXPECT_TRUE(world.node(i).rx.empty());
  }
  world.filter = nullptr;
  world.run_for(Millis{4'000});
  expect_one_session(world);
}

TEST(Engine, DataAloneKeepsASessionAlive) {
  World world;
  world.connect();
  world.filter = [](const Datagram& datagram) {
    return datagram.type() == MessageType::kControl ? Fate::kDrop : Fate::kDeliver;
  };
  world.run_with_data(Millis{40'000}, 100);
  expect_one_session(world);
}

TEST(Engine, OperatorOfTheGatewayEndsASessionForGood) {
  World world;
  world.connect();
  world.engine(1).terminate(world.now, kPeer, Detail::kOperator);
  EXPECT_TRUE(world.node(1).tx.empty());
  world.run_for(Millis{20'000});
  EXPECT_EQ(world.node(0).changes().back(),
            "ATTACHED>TERMINATED POLICY_TERMINATION:peer_terminate");
  EXPECT_TRUE(world.node(0).sessions().empty());
  EXPECT_TRUE(world.node(0).rx.empty());
  EXPECT_EQ(world.engine(0).next_deadline(), Millis{UINT64_MAX});
}

TEST(Engine, ClientEndsASession) {
  World world;
  world.connect();
  world.engine(0).terminate(world.now, kPeer, Detail::kOperator);
  world.run_for(Millis{20'000});
  EXPECT_EQ(world.node(0).changes().back(), "ATTACHED>TERMINATED POLICY_TERMINATION:operator");
  EXPECT_EQ(world.node(1).changes().back(),
            "ATTACHED>TERMINATED POLICY_TERMINATION:peer_terminate");
  EXPECT_TRUE(world.node(1).sessions().empty());
  EXPECT_TRUE(world.node(1).rx.empty());
}

TEST(Engine, GatewayThatShutsDownIsDialledAgain) {
  World world;
  world.connect();
  world.engine(1).shutdown(world.now);
  world.run_for(Millis{500});
  EXPECT_TRUE(world.node(0).sessions().empty());
  world.run_for(Millis{5'000});
  expect_one_session(world);
}

TEST(Engine, TerminateWithoutASessionStopsDialling) {
  World world;
  world.filter = [](const Datagram&) { return Fate::kDrop; };
  world.dial(0, 1);
  world.run_for(Millis{3'000});
  world.engine(0).terminate(world.now, kPeer, Detail::kOperator);
  const size_t sent = world.sent.size();
  world.run_for(Millis{10'000});
  EXPECT_EQ(world.sent.size(), sent);
}

TEST(Engine, TombstonesAreBounded) {
  World world;
  SessionId last;
  for (size_t i = 0; i < kTombstones + 5; ++i) {
    world.connect();
    last = world.node(0).session().id;
    world.engine(0).terminate(world.now, kPeer, Detail::kOperator);
    world.run_for(Millis{20});
  }
  std::vector<Tombstone> tombstones;
  world.engine(0).for_each_tombstone([&](const Tombstone& each) { tombstones.push_back(each); });
  ASSERT_EQ(tombstones.size(), kTombstones);
  EXPECT_EQ(tombstones.back().id, last);
  EXPECT_EQ(tombstones.back().reason, Reason::kPolicyTermination);
  EXPECT_EQ(tombstones.back().detail, Detail::kOperator);
}

TEST(Engine, SeveralPeersHaveSessionsOfTheirOwn) {
  World world(1, nullptr, 4);
  for (size_t i = 1; i < 4; ++i) world.dial(i, 0);
  world.run_for(Millis{200});
  EXPECT_EQ(world.node(0).sessions().size(), 3U);
  world.engine(2).terminate(world.now, World::peer(2, 0), Detail::kOperator);
  world.run_for(Millis{200});
  EXPECT_EQ(world.node(0).sessions().size(), 2U);
  world.run_with_data(Millis{1'000}, 10);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(world.node(i).lost, 0U);
}

TEST(Engine, RunsOutOfSlotsWithoutHarm) {
  World world(
      1, [](size_t node, EngineConfig& config) { config.slot_bits = node == 0 ? 3 : 10; }, 12);
  for (size_t i = 1; i < 12; ++i) world.dial(i, 0);
  world.run_for(Millis{3'000});
  EXPECT_EQ(world.node(0).sessions().size(), 8U);
  EXPECT_GT(world.engine(0).counters().handshakes_throttled, 0U);
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

TEST(Engine, BadConfigurationIsRefused) {
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
