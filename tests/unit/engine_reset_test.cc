// An end that has lost a session tells the other by a reset: the initiator dials at once, beside
// the session, which goes on until the new one takes its place.
#include <gtest/gtest.h>

#include "tests/support/engine_world.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

using test::Datagram;
using test::Fate;
using test::World;
using wire::MessageType;

/// Nodes 0 and 1 are attached to one session that isn't `before`.
bool attached_anew(World& world, const SessionId& before) {
  const auto session_at = [&](size_t i) {
    const auto views = world.node(i).sessions();
    const bool attached = views.size() == 1 && views[0].state == State::kAttached;
    return attached ? views[0].id : SessionId{};
  };
  const SessionId id = session_at(0);
  return id != SessionId{} && id != before && session_at(1) == id;
}

/// How long it took; `limit` when it didn't come.
Millis until_attached_anew(World& world, const SessionId& before, Millis limit) {
  const Millis begun = world.now;
  while (world.now - begun < limit && !attached_anew(world, before)) world.run_for(Millis{1});
  return world.now - begun;
}

size_t count_of(const World& world, MessageType type) {
  return static_cast<size_t>(
      std::ranges::count(world.sent, type, [](const Datagram& each) { return each.type(); }));
}

size_t keys_lost(const World& world, size_t node) {
  return static_cast<size_t>(std::ranges::count(const_cast<World&>(world).node(node).events,
                                                Reason::kKeysLost, &Event::reason));
}

TEST(EngineReset, AResponderThatStartsAgainIsDialledByTheFirstMessage) {
  World world;
  world.connect();
  world.run_for(Millis{5'000});
  const SessionId before = world.node(0).session().id;
  world.restart(1);
  const Policy policy;
  const Millis heartbeat = policy.volatility.heartbeat_interval;
  EXPECT_LE(until_attached_anew(world, before, Millis{60'000}), heartbeat + Millis{50});
  EXPECT_EQ(keys_lost(world, 0), 1U);
  const std::vector<std::string> expected{"BIRTH>ATTACHED HANDSHAKE_OK",
                                          "ATTACHED>TERMINATED POLICY_TERMINATION:superseded",
                                          "BIRTH>ATTACHED HANDSHAKE_OK"};
  EXPECT_EQ(world.node(0).changes(), expected);
  world.run_with_data(Millis{1'000}, 10);
  EXPECT_EQ(keys_lost(world, 0), 1U);
  EXPECT_EQ(world.node(1).delivered, 100U);
}

/// Each loss brings another index: the pause between dials grows for false resets alone.
TEST(EngineReset, LossAfterLossIsHeardOfAtOnce) {
  World world;
  world.connect();
  for (int loss = 1; loss <= 8; ++loss) {
    world.run_for(Millis{1'500});
    const SessionId before = world.node(0).session().id;
    world.restart(1);
    world.node(0).send_data(test::kPeer);
    EXPECT_LE(until_attached_anew(world, before, Millis{60'000}), Millis{100}) << "loss " << loss;
  }
}

TEST(EngineReset, DataIsAnsweredAtOnce) {
  World world;
  world.connect();
  world.run_for(Millis{2'000});
  const SessionId before = world.node(0).session().id;
  world.restart(1);
  world.node(0).send_data(test::kPeer);
  // Data, reset, initiation, response, heartbeat.
  EXPECT_EQ(until_attached_anew(world, before, Millis{60'000}), Millis{5 * 5});
}

/// It was down for so long that the session seeks another path.
TEST(EngineReset, ASessionThatRecoversHearsOfItOnTheStandbyPath) {
  World world;
  world.connect();
  const std::vector<Path> paths{test::path_between(0, 1, 0), test::path_between(0, 1, 1)};
  world.engine(0).set_candidates(world.now, test::kPeer, paths);
  world.run_for(Millis{3'000});
  const SessionId before = world.node(0).session().id;
  world.cut = {0, 1};
  while (world.node(0).session().state != State::kRecovering) world.run_for(Millis{10});
  world.restart(1);
  world.cut = {0};  // what the session was bound to stays dead
  EXPECT_LE(until_attached_anew(world, before, Millis{60'000}), Millis{2'500});
  EXPECT_EQ(keys_lost(world, 0), 1U);
  EXPECT_EQ(world.node(0).session().path, paths[1]);
}

TEST(EngineReset, OfASessionThatEndedUnheardTheInitiatorIsTold) {
  World world;
  world.connect();
  world.run_for(Millis{1'000});
  const SessionId before = world.node(0).session().id;
  world.filter = [](const Datagram& each) { return each.from == 1 ? Fate::kDrop : Fate::kDeliver; };
  world.engine(1).terminate(world.now, test::kPeer, Detail::kPolicyHardStop);
  world.filter = nullptr;
  world.node(0).send_data(test::kPeer);
  EXPECT_LE(until_attached_anew(world, before, Millis{60'000}), Millis{50});
}

/// Whoever has lost everything himself follows no reset, and nobody answers one.
TEST(EngineReset, TwoThatLostAllDontAnswerEachOther) {
  World world;
  world.connect();
  world.node(0).send_data(test::kPeer);
  world.node(1).send_data(test::kPeer);
  world.restart(0);
  world.restart(1);
  world.run_for(Millis{10'000});
  EXPECT_EQ(count_of(world, MessageType::kReset), 2U);
  EXPECT_TRUE(world.node(0).sessions().empty());
  EXPECT_TRUE(world.node(1).sessions().empty());
}

/// A session that another of the same peer has replaced is told so under its keys, or not at all:
/// two holders of one key don't call each other back.
TEST(EngineReset, TheIndexOfASessionThatWasReplacedDrawsNone) {
  World world;
  world.connect();
  world.run_for(Millis{1'000});
  const auto old = world.node(0).tx;
  world.dial(0, 1);
  world.run_for(Millis{60'000});
  ASSERT_EQ(world.node(0).sessions().size(), 1U);
  for (const auto& [peer, install] : old) {
    world.engine(1).on_unknown_index(world.now, test::path_between(1, 0), install.peer_index);
  }
  world.run_for(Millis{10});
  EXPECT_EQ(count_of(world, MessageType::kReset), 0U);
}

/// While both ends live none is followed, however messages are lost, doubled and held up, and
/// whatever the session does.
TEST(EngineReset, LivingEndsKeepTheirSession) {
  test::Random random(test::run_seed());
  for (int run = 0; run < test::rounds(20); ++run) {
    const uint64_t seed = random.next();
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed, [](size_t, EngineConfig& config) {
      config.rekey_after = Millis{1'500};
      config.policy.switching.switch_cooldown = Millis{0};
      config.policy.switching.max_switches_per_min = 60;
    });
    world.connect();
    const std::vector<Path> paths{test::path_between(0, 1, 0), test::path_between(0, 1, 1)};
    world.engine(0).set_candidates(world.now, test::kPeer, paths);
    const SessionId before = world.node(0).session().id;
    world.weather = {0.1, 0.1, 5, 60};
    for (int jump = 0; jump < 30; ++jump) {
      world.engine(0).jump(world.now, test::kPeer, paths[static_cast<size_t>(jump + 1) % 2]);
      world.run_with_data(Millis{700}, 20);
    }
    EXPECT_EQ(keys_lost(world, 0) + keys_lost(world, 1), 0U);
    EXPECT_EQ(world.node(0).session().id, before);
    EXPECT_GT(world.node(0).session().switches, 3U);
    EXPECT_GT(world.node(0).session().rekeys, 3U);
  }
}

}  // namespace
}  // namespace jvpn
