// Two engines back to back: liveness, time limits, endings.
#include <gtest/gtest.h>

#include "common/limits.h"
#include "tests/support/engine_world.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

using test::count_sent;
using test::Datagram;
using test::expect_one_session;
using test::Fate;
using test::kPeer;
using test::Lines;
using test::World;
using wire::MessageType;

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

/// How many control messages that aren't padded 20 s of data bring about.
void expect_at_most(long heartbeats, Detection detection) {
  World world(
      1, [&](size_t, EngineConfig& config) { config.policy.volatility.detection = detection; });
  world.connect();
  world.run_for(Millis{600});
  world.sent.clear();
  world.run_with_data(Millis{20'000}, 50);
  const auto sent = [&](bool padded) {
    return std::ranges::count_if(world.sent, [&](const Datagram& each) {
      return each.type() == MessageType::kControl && (each.bytes.size() > 1'000) == padded;
    });
  };
  EXPECT_LE(sent(false), heartbeats);
  EXPECT_LE(sent(true), 2 * (20'000 / 700 + 1)) << "the path's MTU is confirmed, and answered";
  expect_one_session(world);
}

TEST(Engine, TrafficSuppressesHeartbeats) {
  expect_at_most(4, Detection::kFixed);
}

TEST(Engine, RoundTripsAreMeasuredUnderTrafficForDetection) {
  expect_at_most(2 * 2 * (20'000 / 500 + 9), Detection::kAdaptive);
}

TEST(Engine, TimeInWhichWeStoodStillIsNoSilence) {
  for (const uint64_t stopped : {1'500, 2'500}) {
    World world;
    world.connect();
    world.run_for(Millis{600});
    const Millis since = world.now;
    world.now = world.now + Millis{stopped};
    world.engine(0).wake(world.now, kPeer, since);
    world.engine(0).advance(world.now);
    const State now = world.node(0).session().state;
    EXPECT_EQ(now == State::kAttached, stopped < 2'000) << stopped << " ms";
  }
}

TEST(Engine, ShortOutagesAreNoSilenceWhateverTheirRhythm) {
  for (uint64_t half = 50; half <= 475; half += 25) {
    World world;
    world.connect();
    world.filter = [&](const Datagram&) {
      return world.now.value / half % 2 == 0 ? Fate::kDrop : Fate::kDeliver;
    };
    world.run_for(Millis{60'000});
    for (size_t i : {size_t{0}, size_t{1}}) {
      const Lines changes = world.node(i).changes();
      EXPECT_EQ(std::ranges::count(changes, "ATTACHED>RECOVERING RECOVERY_START") +
                    std::ranges::count(changes, "VOLATILE>RECOVERING RECOVERY_START") +
                    std::ranges::count(changes, "DEGRADED>RECOVERING RECOVERY_RETRY"),
                0)
          << "node " << i << ", " << half << " ms down, " << half << " ms up";
    }
  }
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
  EXPECT_EQ(world.node(0).session().state, State::kRecovering);  // it asks again
  EXPECT_EQ(world.node(1).session().state, State::kDegraded);
  world.run_for(Millis{2'000});
  for (size_t i : {size_t{0}, size_t{1}}) {
    Lines expected{"BIRTH>ATTACHED HANDSHAKE_OK", "ATTACHED>VOLATILE VOLATILITY_SIGNAL",
                   "VOLATILE>RECOVERING RECOVERY_START",
                   "RECOVERING>DEGRADED RECOVERY_BOUNDS_EXCEEDED"};
    if (i == 0) expected.push_back("DEGRADED>RECOVERING RECOVERY_RETRY");
    expected.push_back((i == 0 ? "RECOVERING" : "DEGRADED") +
                       std::string(">TERMINATED TTL_TRANSPORT_LOSS_EXPIRED"));
    EXPECT_EQ(world.node(i).changes(), expected);
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
  EXPECT_GT(tombstones.back().keyed, tombstones.front().keyed);
  EXPECT_LE(tombstones.back().keyed, tombstones.back().at);
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
      1,
      [](size_t node, EngineConfig& config) {
        config.slot_bits = node == 0 ? 3 : 10;
        config.policy.transport.max_candidate_count = node == 0 ? 0 : 3;  // no spares
      },
      12);
  for (size_t i = 1; i < 12; ++i) world.dial(i, 0);
  world.run_for(Millis{3'000});
  EXPECT_EQ(world.node(0).sessions().size(), 8U);
  EXPECT_GT(world.engine(0).counters().no_room, 0U);
}

}  // namespace
}  // namespace jvpn
