// What a client holds: packets that were sent and packets that wait, in their order, within bytes
// and time.
#include "tools/client/dataplane/hold.h"

#include <algorithm>
#include <deque>
#include <random>

#include <gtest/gtest.h>

#include "common/wire.h"
#include "tests/support/seed.h"
#include "tests/support/segment_builder.h"

namespace jvpn::client::dataplane {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr ReceiverIndex kIndex{0x7001};
constexpr LaneId kLane{2};
constexpr Millis kLongest{1'000};

/// A UDP packet whose payload begins with a number.
Bytes packet_of(uint32_t number, size_t payload = 100) {
  Bytes packet = segments::make_packet(segments::udp(true, payload));
  std::memcpy(packet.data() + 28, &number, sizeof number);
  return packet;
}
uint32_t number_of(std::span<const uint8_t> packet) {
  uint32_t number = 0;
  std::memcpy(&number, packet.data() + 28, sizeof number);
  return number;
}
uint64_t counter_of(uint64_t sequence) {
  return wire::make_counter(kLane, sequence);
}
/// Received up to, but not including, `next`.
LaneReport received(uint64_t next, ReceiverIndex index = kIndex) {
  LaneReport report{index, true, {}};
  if (next != 0) report.lanes.push_back({kLane, next, {}});
  return report;
}

class HoldTest : public testing::Test {
 protected:
  HoldTest() { hold.set_limits({kLongest, 64'000}); }
  void sent(uint32_t number) { hold.keep_sent(now, kIndex, counter_of(number), packet_of(number)); }
  void waits(uint32_t number) {
    EXPECT_EQ(hold.keep_waiting(now, {}, packet_of(number)), tunnel::SplitVerdict::kDone);
  }
  void settle(const LaneReport& report) { hold.settle({&report, 1}); }
  /// All that waits, in order; it stays.
  std::vector<uint32_t> waiting() {
    std::vector<uint32_t> numbers;
    hold.rewind();
    for (auto packet = hold.next(); !packet.empty(); packet = hold.next())
      numbers.push_back(number_of(packet));
    EXPECT_EQ(numbers.size(), hold.waiting());
    return numbers;
  }

  Hold hold;
  Millis now{5'000};
};

using Numbers = std::vector<uint32_t>;

TEST_F(HoldTest, OffWithoutTimeOrBytes) {
  Hold off;
  EXPECT_FALSE(off.on());
  off.set_limits({Millis{0}, 1'000});
  EXPECT_FALSE(off.on());
  off.set_limits({kLongest, 0});
  EXPECT_FALSE(off.on());
  EXPECT_EQ(off.keep_waiting(now, {}, packet_of(1)), tunnel::SplitVerdict::kNoRoom);
  EXPECT_EQ(off.packets(), 0U);
}

TEST_F(HoldTest, WhatIsMissingGoesAgainInItsOrderBeforeWhatIsNew) {
  for (uint32_t i = 0; i < 5; ++i) sent(i);
  waits(5);
  waits(6);
  EXPECT_EQ(waiting(), (Numbers{5, 6})) << "nobody has told what arrived";
  settle(received(3));
  EXPECT_EQ(waiting(), (Numbers{3, 4, 5, 6}));
  EXPECT_EQ(hold.packets(), 4U) << "what arrived is let go";
}

TEST_F(HoldTest, HolesGoAgainToo) {
  for (uint32_t i = 0; i < 8; ++i) sent(i);
  LaneReport report = received(6);
  report.lanes[0].holes[0] = 0b1001;  // 5 and 2
  settle(report);
  EXPECT_EQ(waiting(), (Numbers{2, 5, 6, 7}));
}

TEST_F(HoldTest, WhatIsNotToldIsGivenUp) {
  sent(0);
  hold.keep_sent(now, ReceiverIndex{9}, counter_of(1), packet_of(1));
  settle(received(0));
  EXPECT_EQ(waiting(), Numbers{0});
  EXPECT_EQ(hold.counts().unsettled, 1U);
  sent(2);
  hold.settle({});
  EXPECT_EQ(hold.counts().unsettled, 2U);
  LaneReport cramped = received(0);
  cramped.complete = false;
  sent(3);
  settle(cramped);
  EXPECT_EQ(hold.counts().unsettled, 3U) << "its lane had no room in the report";
}

TEST_F(HoldTest, APlannedJumpLetsAllGoThatWasSent) {
  sent(0);
  waits(1);
  sent(2);
  hold.forget_sent();
  EXPECT_EQ(waiting(), Numbers{1});
  settle(received(0));
  EXPECT_EQ(waiting(), Numbers{1});
  EXPECT_EQ(hold.counts().unsettled, 0U);
}

TEST_F(HoldTest, APathThatDiesWhileItIsCaughtUpChangesNoOrder) {
  for (uint32_t i = 0; i < 6; ++i) waits(i);
  constexpr ReceiverIndex kNext{0x7002};
  hold.mark_sent(kNext, counter_of(0));
  hold.mark_sent(kNext, counter_of(1));
  hold.mark_sent(kNext, counter_of(2));
  EXPECT_EQ(waiting(), (Numbers{3, 4, 5}));
  EXPECT_EQ(hold.counts().resent, 0U) << "they had waited";
  settle(received(1, kNext));
  waits(6);
  EXPECT_EQ(waiting(), (Numbers{1, 2, 3, 4, 5, 6}));
  hold.mark_sent(kIndex, counter_of(0));
  EXPECT_EQ(hold.counts().resent, 1U);
}

TEST_F(HoldTest, WhatCanNotBeSentIsPassedOver) {
  for (uint32_t i = 0; i < 3; ++i) waits(i);
  hold.mark_sent(kIndex, counter_of(0));
  hold.drop_next();
  EXPECT_EQ(waiting(), Numbers{2});
}

TEST_F(HoldTest, TheOldestGiveWay) {
  const size_t room = 64'000 / packet_of(0).size();
  for (uint32_t i = 0; i < 3 * room; ++i) {
    waits(i);
    EXPECT_LE(hold.bytes(), 64'000U);
  }
  const Numbers left = waiting();
  EXPECT_EQ(left.back(), 3 * room - 1);
  EXPECT_EQ(hold.take_drops().full, 3 * room - left.size());
  EXPECT_EQ(hold.take_drops().full, 0U) << "told once";
  for (size_t i = 1; i < left.size(); ++i) EXPECT_EQ(left[i], left[i - 1] + 1);
}

TEST_F(HoldTest, SentOnesGiveWayUncountedAsDrops) {
  for (uint32_t i = 0; i < 1'000; ++i) sent(i);
  EXPECT_EQ(hold.take_drops().full, 0U);
  EXPECT_EQ(hold.counts().crowded, 1'000 - hold.packets());
}

TEST_F(HoldTest, WhatIsLateIsDroppedByThatName) {
  sent(0);
  waits(1);
  now = now + Millis{600};
  waits(2);
  hold.expire(now + Millis{400});
  EXPECT_EQ(waiting(), (Numbers{1, 2}));
  hold.expire(now + Millis{401});
  EXPECT_EQ(waiting(), Numbers{2});
  EXPECT_EQ(hold.take_drops().late, 1U) << "the one that was sent went in its time";
}

TEST_F(HoldTest, SuperPacketsWaitCut) {
  const Bytes packet = segments::make_packet(segments::tcp(true, 4'000));
  tunnel::VnetHeader header;
  header.flags = tunnel::kVnetNeedsCsum;
  header.gso_type = tunnel::kGsoTcp4;
  header.gso_bytes = 1'000;
  header.csum_start = 20;
  header.csum_offset = 16;
  EXPECT_EQ(hold.keep_waiting(now, header, packet), tunnel::SplitVerdict::kDone);
  EXPECT_EQ(hold.waiting(), 4U);
}

TEST_F(HoldTest, OtherLimitsLetAllGo) {
  sent(0);
  waits(1);
  hold.set_limits({Millis{2'000}, 64'000});
  EXPECT_EQ(hold.packets(), 2U) << "only its time has changed";
  hold.set_limits({kLongest, 32'000});
  EXPECT_EQ(hold.packets(), 0U);
  EXPECT_EQ(hold.take_drops().full, 1U);
  waits(2);
  EXPECT_EQ(waiting(), Numbers{2});
  hold.set_limits({});
  EXPECT_FALSE(hold.on());
}

TEST_F(HoldTest, APacketThatNeverFitsIsRefused) {
  hold.set_limits({kLongest, 1'000});
  EXPECT_EQ(hold.keep_waiting(now, {}, packet_of(1, 1'200)), tunnel::SplitVerdict::kNoRoom);
  hold.keep_sent(now, kIndex, counter_of(0), packet_of(1, 1'200));
  EXPECT_EQ(hold.packets(), 0U);
  EXPECT_EQ(hold.counts().crowded, 1U);
}

TEST_F(HoldTest, TellsWhenTheNextCameAndWhetherAnotherFits) {
  hold.rewind();
  EXPECT_EQ(hold.next_came(), std::nullopt);
  sent(0);
  now = now + Millis{7};
  waits(1);
  hold.rewind();
  EXPECT_EQ(hold.next_came(), now);
  EXPECT_EQ(number_of(hold.next()), 1U);
  EXPECT_EQ(hold.next_came(), std::nullopt);

  for (uint32_t i = 2; hold.counts().crowded < 100; ++i) sent(i);
  EXPECT_FALSE(hold.nearly_full()) << "what was sent gives way to what comes";
  hold.settle({});
  for (uint32_t i = 0; !hold.nearly_full(); ++i) waits(i);
  EXPECT_GT(hold.bytes(), 30'000U);
  EXPECT_EQ(hold.take_drops().full, 1U) << "that one waited among those that were sent";
}

/// The same without a ring: what it holds is told by the numbers alone.
struct PlainHold {
  enum class State : uint8_t { kWaiting, kSent, kDone };
  struct Entry {
    uint32_t number;
    State state;
  };
  std::deque<Entry> list;

  void change(State from, State to) {
    for (Entry& each : list)
      if (each.state == from) each.state = to;
  }
  void settle(State to) {
    change(State::kSent, to);
    while (!list.empty() && list.front().state == State::kDone) list.pop_front();
  }
  Numbers waiting() const {
    Numbers numbers;
    for (const Entry& each : list)
      if (each.state == State::kWaiting) numbers.push_back(each.number);
    return numbers;
  }
};

TEST_F(HoldTest, ARingIsAsGoodAsAList) {
  using State = PlainHold::State;
  std::mt19937_64 random(test::run_seed());
  hold.set_limits({Millis{1'000'000}, 10'000});
  PlainHold plain;
  for (uint32_t number = 1; number < 20'000; ++number) {
    const Bytes packet = packet_of(number, 8 + random() % 1'400);
    switch (random() % 12) {
      case 0:
        settle(received(0));
        plain.settle(State::kWaiting);
        break;
      case 1:
        settle(received(number + uint64_t{1}));
        plain.settle(State::kDone);
        break;
      case 2:
        for (const uint32_t each : plain.waiting()) hold.mark_sent(kIndex, counter_of(each));
        plain.change(State::kWaiting, State::kSent);
        break;
      case 3:
      case 4:
        hold.keep_waiting(now, {}, packet);
        plain.list.push_back({number, State::kWaiting});
        break;
      default:
        hold.keep_sent(now, kIndex, counter_of(number), packet);
        plain.list.push_back({number, State::kSent});
    }
    while (plain.list.size() > hold.packets()) plain.list.pop_front();
    ASSERT_EQ(plain.list.size(), hold.packets()) << number;
    ASSERT_EQ(waiting(), plain.waiting()) << number;
    ASSERT_LE(hold.bytes(), 10'000U);
  }
}

}  // namespace
}  // namespace jvpn::client::dataplane
