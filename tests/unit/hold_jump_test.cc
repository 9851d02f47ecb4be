// Jumps of an initiator that holds what it sends: each packet arrives once, in its order, whatever
// the paths and the messages of the jump go through.
#include <deque>
#include <map>

#include <gtest/gtest.h>

#include "common/limits.h"
#include "tests/support/jumper.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn {
namespace {

using namespace test;
using wire::MessageType;

void hold(size_t, EngineConfig& config) {
  config.policy.switching.hold = Millis{60'000};
  config.policy.switching.hold_bytes = 1;
  config.rekey_after = Millis{40'000};
}

/// Node 0 sends numbered packets, and holds them as the client's data path does.
struct Holder : Jumper {
  static constexpr size_t kMost = 2'000;

  struct Held {
    uint64_t number = 0;
    ReceiverIndex index;
    uint64_t counter = 0;
    bool waits = false;
  };

  explicit Holder(uint64_t seed = 1, bool warm = false) : Jumper(seed, hold, warm) {
    node(0).on_settle = [this](std::span<const LaneReport> reports) { settle(reports); };
    node(1).on_data = [this](ReceiverIndex index, uint64_t counter) {
      const uint64_t each = numbers.at({index.value, counter});
      EXPECT_TRUE(arrived.insert(each).second) << each << " came twice";
      EXPECT_TRUE(each > highest || holes.contains(each)) << each << " came late";
      highest = std::max(highest, each);
    };
  }

  /// One more packet a millisecond, for `span`.
  void flow(Millis span) {
    for (const Millis end = now + span; now < end;) {
      held.push_back({++number, {}, 0, true});
      send_waiting();
      // What is old goes, as from any hold.
      for (; held.size() > kMost && !held.front().waits; held.pop_front())
        let_go.insert(held.front().number);
      run_for(Millis{1});
    }
  }
  void send_waiting() {
    if (node(0).tx.empty()) return;
    for (Held& each : held) {
      if (!each.waits) continue;
      const TxInstall install = node(0).tx.begin()->second;
      node(0).send_data(kPeer);
      wire::TransportHeader header;
      __builtin_memcpy(&header, sent.back().bytes.data(), sizeof header);
      each = {each.number, ReceiverIndex{header.receiver}, header.counter ^ install.data_mask,
              false};
      numbers[{header.receiver, each.counter}] = each.number;
    }
    sent.clear();
  }
  void settle(std::span<const LaneReport> reports) {
    ++settled;
    std::deque<Held> kept;
    for (Held& each : held) {
      const auto report = std::ranges::find(reports, each.index, &LaneReport::index);
      const Receipt receipt =
          each.waits ? Receipt::kMissing
          : report == reports.end()
              ? Receipt::kUnknown
              : report->receipt(wire::lane_of(each.counter), wire::sequence_of(each.counter));
      if (receipt != Receipt::kMissing) let_go.insert(each.number);
      if (receipt == Receipt::kMissing && !each.waits) note_hole(*report, each);
      each.waits = true;
      if (receipt == Receipt::kMissing) kept.push_back(each);
    }
    held = std::move(kept);
  }
  /// Missing, though later ones of its lane arrived: the path had lost it before it died.
  void note_hole(const LaneReport& report, const Held& missing) {
    const auto lane =
        std::ranges::find(report.lanes, wire::lane_of(missing.counter), &ReceivedLane::lane);
    const bool behind =
        lane != report.lanes.end() && wire::sequence_of(missing.counter) < lane->next;
    if (behind) holes.insert(missing.number);
  }
  /// Let go, and they never arrived.
  size_t lost() const {
    return static_cast<size_t>(
        std::ranges::count_if(let_go, [&](uint64_t each) { return !arrived.contains(each); }));
  }
  /// Those that neither arrived nor were let go, nor are held.
  std::vector<uint64_t> missing() const {
    std::vector<uint64_t> none;
    for (uint64_t each = 1; each <= number; ++each) {
      const bool kept = std::ranges::find(held, each, &Held::number) != held.end();
      if (!arrived.contains(each) && !let_go.contains(each) && !kept) none.push_back(each);
    }
    return none;
  }

  std::deque<Held> held;
  uint64_t number = 0;
  uint64_t highest = 0;
  size_t settled = 0;
  std::map<std::pair<uint32_t, uint64_t>, uint64_t> numbers;
  std::set<uint64_t> arrived;
  std::set<uint64_t> let_go;  ///< by whatever we were told, or too old
  std::set<uint64_t> holes;
};

/// All that was sent arrived, once.
void expect_whole(const Holder& world) {
  EXPECT_EQ(world.arrived.size(), world.number);
  EXPECT_EQ(world.lost(), 0U);
  EXPECT_TRUE(world.missing().empty());
}

class HoldJump : public testing::TestWithParam<bool> {};

TEST_P(HoldJump, WhatADeadPathSwallowedArrivesByTheNext) {
  Holder world(1, GetParam());
  world.run_for(Millis{GetParam() ? 30'000U : 0U});
  world.flow(Millis{1'000});
  for (const size_t network : {size_t{0}, size_t{1}}) {
    world.cut = {network};
    world.flow(Millis{5'000});
    EXPECT_NE(world.network_of(0), network);
    world.cut = {};
    world.flow(Millis{2'000});
  }
  world.run_for(Millis{50});
  EXPECT_EQ(world.settled, 2U);
  expect_whole(world);
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
