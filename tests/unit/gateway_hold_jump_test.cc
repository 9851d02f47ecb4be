// Jumps of a client whose gateway holds what it sends: each packet from the gateway arrives once,
// in its order, whatever the paths and the messages of the jump go through.
#include <gtest/gtest.h>

#include "common/limits.h"
#include "tests/support/holder.h"
#include "tests/support/seed.h"

namespace jvpn {
namespace {

using namespace test;
using wire::MessageType;

constexpr size_t kGateway = 1;

/// The gateway alone holds.
struct GatewayHolder : Holder {
  explicit GatewayHolder(uint64_t seed = 1, bool warm = false,
                         const std::set<size_t>& holders = {kGateway})
      : Holder(seed, warm, kGateway, holders) {}
};

/// Nothing passes from the gateway by that network.
auto deaf_by(size_t network) {
  return [network](const Datagram& datagram) {
    const bool lost = datagram.from == kGateway && datagram.network() == network;
    return lost ? Fate::kDrop : Fate::kDeliver;
  };
}

class GatewayHoldJump : public testing::TestWithParam<bool> {};

TEST_P(GatewayHoldJump, WhatADeadPathSwallowedArrivesByTheNext) {
  GatewayHolder world(1, GetParam());
  expect_two_deaths_survived(world, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Candidates, GatewayHoldJump, testing::Bool(),
                         [](const auto& each) { return each.param ? "warm" : "cold"; });

TEST(GatewayHoldJumps, WhatIsUnderWayOnThePathThatIsLeftIsNotTakenTwice) {
  GatewayHolder world(1, true);
  world.run_for(Millis{30'000});
  world.flow(Millis{100});
  // Only the client's direction is gone: what the gateway sends goes on arriving by the old path.
  world.filter = [](const Datagram& datagram) {
    return datagram.from == 0 && datagram.network() == 0 ? Fate::kDrop : Fate::kDeliver;
  };
  world.engine(0).path_lost(world.now, kPeer, path_between(0, 1, 0));
  const uint64_t lost = world.node(0).lost;
  world.flow(Millis{100});
  world.run_for(Millis{50});
  world.expect_on(1);
  EXPECT_GT(world.node(0).lost, lost) << "its index is closed";
  expect_whole(world);
}

TEST(GatewayHoldJumps, APlannedJumpHasNothingToTell) {
  GatewayHolder world;
  world.flow(Millis{100});
  world.jump(1);
  world.flow(Millis{100});
  world.run_for(Millis{50});
  world.expect_on(1);
  EXPECT_EQ(world.settled, 1U);
  EXPECT_EQ(world.arrived.size(), world.number) << "the old path carried everything";
}

TEST(GatewayHoldJumps, AClientIsNotToldOfAHoldThatIsOff) {
  GatewayHolder world(1, false, {});
  world.flow(Millis{100});
  world.lose(0);
  const uint64_t lost = world.node(0).lost;
  world.flow(Millis{100});
  world.run_for(Millis{50});
  world.expect_on(1);
  EXPECT_EQ(world.settled, 0U);
  EXPECT_EQ(world.node(0).lost, lost) << "it goes on taking what is under way";
}

TEST(GatewayHoldJumps, WhatWentUnderTheKeysBeforeIsToldOf) {
  GatewayHolder world;
  world.run_for(Millis{20'000});
  world.flow(Millis{100});
  const uint64_t rekeys = world.node(1).session().rekeys;
  const auto asked = static_cast<unsigned>(wire::ControlType::kRekeyInitiation);
  while (world.control_types[asked] == 0) world.flow(Millis{1});
  // The path swallows data under both keys, and then it dies.
  world.filter = [](const Datagram& datagram) {
    return datagram.type() == MessageType::kData ? Fate::kDrop : Fate::kDeliver;
  };
  world.flow(Millis{30});
  EXPECT_EQ(world.node(1).session().rekeys, rekeys + 1);
  world.filter = nullptr;
  world.lose(0);
  world.flow(Millis{100});
  world.run_for(Millis{50});
  world.expect_on(1);
  expect_whole(world);
}

/// The gateway commits on network 1, by which nothing comes back, then on network 2.
TEST(GatewayHoldJumps, WhatALostCommitSentIsToldOfByTheNextRequest) {
  GatewayHolder world;
  world.flow(Millis{100});
  world.filter = [&](const Datagram& datagram) {
    const bool committed = world.engine(1).counters().reattach_commits != 0;
    const bool lost = committed && datagram.from == kGateway && datagram.network() == 1;
    return lost ? Fate::kDrop : Fate::kDeliver;
  };
  world.lose(0);
  world.flow(Millis{60});
  EXPECT_EQ(world.engine(1).counters().reattach_commits, 1U);
  world.lose(1);
  world.flow(Millis{3'000});
  world.run_for(Millis{50});
  world.expect_on(2);
  EXPECT_EQ(world.engine(1).counters().reattach_commits, 2U);
  expect_whole(world);
}

/// The same, but data came: some of it, and the acknowledgement never.
TEST(GatewayHoldJumps, WhatCameOnABindingThatWasNeverAcknowledgedIsToldOf) {
  GatewayHolder world;
  world.flow(Millis{100});
  world.filter = [&](const Datagram& datagram) {
    const bool committed = world.engine(1).counters().reattach_commits != 0;
    const bool lost = committed && datagram.from == kGateway && datagram.network() == 1 &&
                      (datagram.type() == MessageType::kControl || world.number % 3 == 0);
    return lost ? Fate::kDrop : Fate::kDeliver;
  };
  world.lose(0);
  world.flow(Millis{60});
  EXPECT_EQ(world.engine(1).counters().reattach_commits, 1U);
  EXPECT_GT(world.arrived.size(), 110U);
  world.lose(1);
  world.flow(Millis{3'000});
  world.run_for(Millis{50});
  world.expect_on(2);
  expect_whole(world);
}

TEST(GatewayHoldJumps, RequestsThatAreLostLoseNothingElse) {
  GatewayHolder world;
  world.flow(Millis{100});
  world.filter = [](const Datagram& datagram) {
    return datagram.from == 0 ? Fate::kDrop : Fate::kDeliver;
  };
  world.lose(0);
  world.flow(Millis{150});
  world.filter = nullptr;
  world.flow(Millis{300});
  world.run_for(Millis{50});
  EXPECT_EQ(world.engine(1).counters().reattach_commits, 1U);
  expect_whole(world);
}

/// Requests are denied, so a handshake resumes the session: under new keys nothing is told.
TEST(GatewayHoldJumps, AResumedSessionLetsGoWhatWasSent) {
  GatewayHolder world;
  world.flow(Millis{100});
  world.node(1).fails = [](uint64_t) { return true; };
  world.cut = {0};
  world.flow(Millis{5});
  world.lose(0);
  world.flow(Millis{300});
  world.node(1).fails = nullptr;
  world.flow(Millis{8'000});
  world.run_for(Millis{50});
  EXPECT_EQ(world.engine(1).counters().reattach_commits, 0U);
  EXPECT_EQ(world.node(1).session().id, world.id);
  EXPECT_GT(world.arrived.size(), 8'000U) << "what waited was sent";
}

TEST(GatewayHoldJumps, WithoutAWordWhatWasSentIsLetGo) {
  GatewayHolder world;
  world.node(0).says_taken = false;
  world.flow(Millis{100});
  world.cut = {0};
  world.flow(Millis{5});
  world.lose(0);
  world.flow(Millis{200});
  world.run_for(Millis{50});
  world.expect_on(1);
  EXPECT_EQ(world.settled, 1U);
  EXPECT_GT(world.lost(), 0U);
  EXPECT_TRUE(world.missing().empty());
}

TEST(GatewayHoldJumps, AReportThatIsNoneEndsTheSession) {
  GatewayHolder world;
  world.flow(Millis{100});
  const auto odd = [&](std::vector<uint8_t> report) {
    Forger forger(world);
    std::vector<uint8_t> bytes(sizeof forger.message);
    __builtin_memcpy(bytes.data(), &forger.message, sizeof forger.message);
    session::append_field(bytes, wire::kReceivedField, report);
    world.engine(1).on_control(world.now, path_between(1, 0, 1), forger.spare,
                               wire::make_counter(LaneId{1}, kUnused), bytes);
  };
  odd({1, 2, 3});
  EXPECT_TRUE(world.node(1).sessions().empty());
}

/// Messages of jumps are lost and come twice, paths die and heal: whatever happens, no packet comes
/// twice, none that later ones of its lane didn't overtake comes late, and what is lost was let go.
TEST(GatewayHoldJumps, NothingComesTwiceWhateverHappens) {
  size_t settled = 0;
  for (uint64_t seed = 1; seed <= static_cast<uint64_t>(rounds(40)); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::set<size_t> holders{kGateway};
    if (seed % 3 == 0) holders.insert(0);
    GatewayHolder world(seed, seed % 2 == 0, holders);
    Random random(seed);
    world.flow(Millis{500});
    world.weather.loss = 0.2;
    world.weather.duplicate = 0.2;
    for (int step = 0; step < 10; ++step) {
      world.cut.clear();
      for (size_t network = 0; network < 3; ++network)
        if (random.chance(0.4)) world.cut.insert(network);
      const size_t deaf = random.below(5);
      world.filter = nullptr;
      if (deaf < 3) world.filter = deaf_by(deaf);
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
