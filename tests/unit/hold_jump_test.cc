// Jumps of an initiator that holds what it sends: each packet arrives once, in its order, whatever
// the paths and the messages of the jump go through.
#include <gtest/gtest.h>

#include "common/limits.h"
#include "tests/support/holder.h"
#include "tests/support/seed.h"

namespace jvpn {
namespace {

using namespace test;
using wire::MessageType;

class HoldJump : public testing::TestWithParam<bool> {};

TEST_P(HoldJump, WhatADeadPathSwallowedArrivesByTheNext) {
  Holder world(1, GetParam());
  expect_two_deaths_survived(world, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Candidates, HoldJump, testing::Bool(),
                         [](const auto& each) { return each.param ? "warm" : "cold"; });

TEST(HoldJumps, NoDataGoesAheadOfWhatIsHeld) {
  Holder world(1, true);
  world.run_for(Millis{30'000});
  world.flow(Millis{10});
  world.lose(0);
  EXPECT_TRUE(world.node(0).tx.empty());
  world.flow(Millis{50});
  world.run_for(Millis{50});
  world.expect_on(1);
  expect_whole(world);
}

TEST(HoldJumps, APlannedJumpHasNothingToTell) {
  Holder world;
  world.flow(Millis{100});
  world.jump(1);
  world.flow(Millis{100});
  world.run_for(Millis{50});
  world.expect_on(1);
  EXPECT_EQ(world.settled, 1U);
  EXPECT_EQ(world.arrived.size(), world.number) << "the old path carried everything";
}

TEST(HoldJumps, WhatWentUnderTheKeysBeforeIsToldOf) {
  Holder world;
  world.run_for(Millis{20'000});
  world.flow(Millis{100});
  const uint64_t rekeys = world.node(0).session().rekeys;
  const auto asked = static_cast<unsigned>(wire::ControlType::kRekeyInitiation);
  while (world.control_types[asked] == 0) world.flow(Millis{1});
  // The path swallows data under both keys, and then it dies.
  world.filter = [](const Datagram& datagram) {
    return datagram.type() == MessageType::kData ? Fate::kDrop : Fate::kDeliver;
  };
  world.flow(Millis{30});
  EXPECT_EQ(world.node(0).session().rekeys, rekeys + 1);
  world.filter = nullptr;
  world.lose(0);
  world.flow(Millis{100});
  world.run_for(Millis{50});
  world.expect_on(1);
  expect_whole(world);
}

TEST(HoldJumps, ALostAcknowledgementTellsTheSameByAnotherPath) {
  Holder world;
  world.flow(Millis{100});
  // The gateway commits on network 1, whose acknowledgements are lost; then the path dies, too.
  world.filter = [](const Datagram& datagram) {
    const bool lost = datagram.from == 1 && datagram.network() == 1 &&
                      datagram.bytes.size() > kSealed<wire::ReattachAck> &&
                      datagram.bytes.size() < 300;
    return lost ? Fate::kDrop : Fate::kDeliver;
  };
  world.lose(0);
  world.flow(Millis{60});
  EXPECT_EQ(world.engine(1).counters().reattach_commits, 1U);
  EXPECT_EQ(world.settled, 0U);
  world.lose(1);
  world.flow(Millis{3'000});
  world.run_for(Millis{50});
  world.expect_on(2);
  EXPECT_EQ(world.engine(1).counters().reattach_commits, 2U);
  expect_whole(world);
}

TEST(HoldJumps, WorkersThatStandStillKeepNobodyWaiting) {
  Holder world;
  world.flow(Millis{100});
  world.node(1).tells_closed = false;
  world.cut = {0};
  world.flow(Millis{5});
  world.lose(0);
  world.flow(Millis{60});
  EXPECT_EQ(world.engine(1).counters().reattach_commits, 1U);
  EXPECT_EQ(world.settled, 0U) << "the acknowledgement waits for them";
  world.flow(Millis{1'000});
  EXPECT_EQ(world.settled, 1U) << "but not for ever";
  world.expect_on(1);
  EXPECT_GT(world.lost(), 0U);
  EXPECT_TRUE(world.missing().empty());
  world.node(1).tells_closed = true;
  world.flow(Millis{100});
  EXPECT_EQ(world.settled, 1U) << "what is told later changes nothing";
  world.expect_on(1);
}

/// Messages of jumps are lost and come twice, paths die and heal: whatever happens, no packet comes
/// twice, none that later ones of its lane didn't overtake comes late, and what is lost was let go.
TEST(HoldJumps, NothingComesTwiceWhateverHappens) {
  size_t settled = 0;
  for (uint64_t seed = 1; seed <= static_cast<uint64_t>(rounds(40)); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Holder world(seed, seed % 2 == 0);
    Random random(seed);
    world.flow(Millis{500});
    world.weather.loss = 0.2;
    world.weather.duplicate = 0.2;
    for (int step = 0; step < 10; ++step) {
      world.cut.clear();
      for (size_t network = 0; network < 3; ++network)
        if (random.chance(0.4)) world.cut.insert(network);
      world.flow(Millis{50 + random.below(1'000)});
    }
    EXPECT_TRUE(world.missing().empty());
    settled += world.settled;
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(settled, static_cast<size_t>(rounds(40)));
}

}  // namespace
}  // namespace jvpn
