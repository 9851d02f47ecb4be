// Rekeying under loss, duplication and reordering: whatever one side may send, the other can open.
#include <gtest/gtest.h>

#include "common/limits.h"
#include "tests/support/engine_world.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

using test::Datagram;
using test::Fate;
using test::World;
using wire::MessageType;

template <typename Message>
constexpr size_t kSealed = sizeof(Message) + wire::kTransportOverhead;

bool is_control_of(const Datagram& datagram, size_t bytes) {
  return datagram.type() == MessageType::kControl && datagram.bytes.size() == bytes;
}

World::Adjust rekey_every(Millis interval, Suite suite = Suite::kAes128Gcm) {
  return [=](size_t, EngineConfig& config) {
    config.suites = {suite};
    config.rekey_after = interval;
  };
}

void check_both_ways(World& world) {
  world.expect_openable(0, 1);
  world.expect_openable(1, 0);
}

void expect_nothing_lost(World& world) {
  EXPECT_EQ(world.node(0).lost, 0U);
  EXPECT_EQ(world.node(1).lost, 0U);
  EXPECT_LE(world.node(0).most_rx, 3U);  // current, previous, next
  EXPECT_LE(world.node(1).most_rx, 3U);
}

struct RekeyOfEachSuite : testing::TestWithParam<Suite> {};
INSTANTIATE_TEST_SUITE_P(Rekey, RekeyOfEachSuite,
                         testing::Values(Suite::kAes128Gcm, Suite::kAes256Gcm,
                                         Suite::kChaCha20Poly1305));

TEST_P(RekeyOfEachSuite, EverySecondForAMinuteUnderTraffic) {
  World world(1, rekey_every(Millis{1'000}, GetParam()));
  world.after_each = [&] { check_both_ways(world); };
  world.connect();
  world.run_with_data(Millis{60'000}, 1);
  world.run_for(Millis{20});
  expect_nothing_lost(world);
  EXPECT_EQ(world.node(0).delivered + world.node(1).delivered, 2 * 60'000U);
  for (size_t i : {size_t{0}, size_t{1}}) {
    const SessionView view = world.node(i).session();
    EXPECT_GE(view.rekeys, 57U);
    EXPECT_EQ(view.version, StateVersion{1});
    EXPECT_EQ(view.binding_version, BindingVersion{1});
    EXPECT_EQ(world.node(i).events_of(EventKind::kKeyEvent).size(), view.rekeys);
    EXPECT_EQ(world.node(i).tx_installs, view.rekeys + 1);
    EXPECT_EQ(world.node(i).changes().size(), 1U);
  }
}

TEST(Rekey, KeysAndIndicesAreNewEachTime) {
  World world(1, rekey_every(Millis{1'000}));
  world.connect();
  std::set<RawKey> keys;
  std::set<uint64_t> generations;
  for (int i = 0; i < 10; ++i) {
    world.run_for(Millis{1'050});
    for (size_t node : {size_t{0}, size_t{1}}) {
      EXPECT_TRUE(keys.insert(world.node(node).tx.at(0).traffic_key).second);
    }
    EXPECT_TRUE(generations.insert(world.node(0).tx.at(0).key_generation).second);
    EXPECT_EQ(world.node(0).tx.at(0).key_generation, world.node(1).tx.at(0).key_generation);
  }
}

TEST(Rekey, PreviousKeysGoAfterAWhile) {
  World world(1, rekey_every(Millis{60'000}));
  world.connect();
  world.run_for(Millis{39'000});
  EXPECT_EQ(world.node(0).generations(), 1U) << "no more than a third earlier";
  for (int i = 0; i < 230 && world.node(1).generations() == 1; ++i) world.run_for(Millis{100});
  EXPECT_EQ(world.node(0).generations(), 2U);
  EXPECT_EQ(world.node(1).generations(), 2U);
  world.run_for(Millis{6'000});
  EXPECT_EQ(world.node(0).generations(), 1U);
  EXPECT_EQ(world.node(1).generations(), 1U);
}

// Each message of the exchange is lost in turn, once and several times.
struct RekeyLoss {
  const char* name;
  size_t from;
  size_t bytes;
};

const RekeyLoss kRekeyLosses[] = {
    {"REKEY_INITIATION", 0, kSealed<wire::RekeyInitiation>},
    {"REKEY_RESPONSE", 1, kSealed<wire::RekeyResponse>},
    {"HEARTBEAT", 0, kSealed<wire::Heartbeat>},
    {"HEARTBEAT_ACK", 1, kSealed<wire::HeartbeatAck>},
};

TEST(Rekey, AnyMessageMayBeLost) {
  for (const RekeyLoss& loss : kRekeyLosses) {
    for (int times = 1; times <= 8; ++times) {
      SCOPED_TRACE(std::string(loss.name) + " lost " + std::to_string(times));
      World world(1, rekey_every(Millis{3'000}));
      world.connect();
      world.after_each = [&] { check_both_ways(world); };
      world.run_with_data(Millis{2'700}, 5);
      int lost = 0;
      world.filter = [&](const Datagram& datagram) {
        const bool hit = datagram.from == loss.from && is_control_of(datagram, loss.bytes);
        return hit && lost++ < times ? Fate::kDrop : Fate::kDeliver;
      };
      world.run_with_data(Millis{14'000}, 5);
      EXPECT_GE(lost, times);
      EXPECT_GE(world.node(0).session().rekeys, 1U);
      EXPECT_EQ(world.node(0).session().id, world.node(1).session().id);
      expect_nothing_lost(world);
    }
  }
}

// Holds back the first datagram of that size from `from`, and delivers it right after the first one
// of size `after` that comes later.
struct Laggard {
  World& world;
  size_t from;
  size_t bytes;
  size_t after;
  std::optional<Datagram> held{};
  bool due = false;
  bool done = false;

  Fate judge(const Datagram& datagram) {
    if (!held && datagram.from == from && is_control_of(datagram, bytes)) {
      held = datagram;
      return Fate::kDrop;
    }
    if (held && is_control_of(datagram, after)) due = true;
    return Fate::kDeliver;
  }
  void deliver() {
    if (!due || done) return;
    done = true;
    world.deliver(*held);
  }
};

void expect_harmless(size_t from, size_t bytes, size_t after) {
  World world(1, rekey_every(Millis{2'000}));
  world.connect();
  Laggard laggard{world, from, bytes, after};
  world.filter = [&](const Datagram& datagram) { return laggard.judge(datagram); };
  world.after_each = [&] {
    laggard.deliver();
    check_both_ways(world);
  };
  world.run_with_data(Millis{5'000}, 1);
  EXPECT_TRUE(laggard.done);
  EXPECT_EQ(world.engine(1 - from).counters().control_stale, 1U);
  EXPECT_EQ(world.node(1 - from).changes().size(), 1U);
  EXPECT_GE(world.node(0).session().rekeys, 1U);
  expect_nothing_lost(world);
}

TEST(Rekey, LateInitiationIsStale) {
  expect_harmless(0, kSealed<wire::RekeyInitiation>, kSealed<wire::RekeyResponse>);
}

TEST(Rekey, LateResponseIsStale) {
  expect_harmless(1, kSealed<wire::RekeyResponse>, kSealed<wire::RekeyInitiation>);
}

TEST(Rekey, HoldsInAnyWeather) {
  const uint64_t start = test::fresh_seed();
  const int runs = std::getenv("JVPN_SEED") != nullptr ? 1 : test::rounds(60);
  for (int run = 0; run < runs; ++run) {
    const uint64_t seed = start + static_cast<uint64_t>(run);
    SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
    World world(seed, rekey_every(Millis{1'000}));
    test::Random random(seed);
    world.weather.delay_ms = 1 + random.below(50);
    world.connect();
    world.run_for(Millis{500});
    world.weather.loss = 0.5 * static_cast<double>(random.below(100)) / 100;
    world.weather.duplicate = 0.3 * static_cast<double>(random.below(100)) / 100;
    world.weather.jitter_ms = random.below(150);
    world.after_each = [&] { check_both_ways(world); };
    world.run_with_data(Millis{30'000}, 3);
    expect_nothing_lost(world);
    EXPECT_EQ(world.node(0).changes().size(), 1U);
    EXPECT_EQ(world.node(1).changes().size(), 1U);
    // Once the sky clears it goes on as if nothing had been.
    const uint64_t rekeys = world.node(0).session().rekeys;
    world.weather.loss = 0;
    world.run_with_data(Millis{6'000}, 3);
    EXPECT_GE(world.node(0).session().rekeys, rekeys + 3);
    expect_nothing_lost(world);
    if (testing::Test::HasFailure()) break;
  }
}

TEST(Rekey, PacketsOfAGcmKeyAskForNewOnes) {
  for (const size_t sender : {size_t{0}, size_t{1}}) {
    SCOPED_TRACE(sender);
    World world(1, [](size_t, EngineConfig& config) { config.rekey_after_packets = 1'000; });
    world.connect();
    for (int i = 0; i < 3'000; ++i) {
      world.node(sender).send_data(PeerId{0});
      world.run_for(Millis{2});
    }
    EXPECT_GE(world.node(0).session().rekeys, 2U);
    EXPECT_LE(world.node(0).session().rekeys, 3U);
    expect_nothing_lost(world);
  }
}

TEST(Rekey, PacketsOfAChaChaKeyDont) {
  World world(1, [](size_t, EngineConfig& config) {
    config.suites = {Suite::kChaCha20Poly1305};
    config.rekey_after_packets = 100;
  });
  world.connect();
  world.run_with_data(Millis{5'000}, 5);
  EXPECT_EQ(world.node(0).session().rekeys, 0U);
}

TEST(Rekey, KeysThatCantBeReplacedEndTheSession) {
  World world;
  world.connect();
  const Millis born = world.node(0).session().born;
  world.filter = [](const Datagram& datagram) {
    const bool rekey = is_control_of(datagram, kSealed<wire::RekeyInitiation>);
    return rekey ? Fate::kDrop : Fate::kDeliver;
  };
  world.run_for(Millis{kKeyRefuseAfterMs + 1'000});
  for (size_t i : {size_t{0}, size_t{1}}) {
    const auto changes = world.node(i).changes();
    ASSERT_GE(changes.size(), 2U);
    // Whoever's clock strikes first tells the other, whose clock may be as far by then.
    EXPECT_TRUE(changes[1] == "ATTACHED>TERMINATED KEY_LIFETIME_EXCEEDED" ||
                changes[1] == "ATTACHED>TERMINATED POLICY_TERMINATION:peer_terminate")
        << changes[1];
    const Event end = world.node(i).events_of(EventKind::kStateChange)[1];
    EXPECT_NEAR(static_cast<double>((end.at - born).value), kKeyRefuseAfterMs, 20);
  }
}

TEST(Rekey, HappensAtTheConfiguredAgeByDefault) {
  World world;
  world.connect();
  world.run_for(Millis{79'000});
  EXPECT_EQ(world.node(0).session().rekeys, 0U) << "no more than a third earlier";
  world.run_for(Millis{42'000});
  EXPECT_EQ(world.node(0).session().rekeys, 1U);
  EXPECT_EQ(world.node(1).session().rekeys, 1U);
  world.run_for(Millis{480'000});
  EXPECT_GE(world.node(1).session().rekeys, 5U) << "120 s apart at most";
  EXPECT_LE(world.node(1).session().rekeys, 7U) << "and 80 s at least";
  EXPECT_EQ(world.node(1).changes().size(), 1U);
}

}  // namespace
}  // namespace jvpn
