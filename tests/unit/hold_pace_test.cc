// How fast what waited goes once there is a path: faster than it came, and never all at once.
#include "tools/client/dataplane/hold_pace.h"

#include <algorithm>
#include <deque>
#include <vector>

#include <gtest/gtest.h>

namespace jvpn::client::dataplane {
namespace {

/// What waits, by when it came, and a clock.
struct Queue {
  HoldPace pace;
  std::deque<Millis> waiting;
  Millis now{10'000};

  /// How many went in this millisecond.
  size_t turn() {
    size_t went = 0;
    for (; !waiting.empty() && pace.due(now, waiting.front()); ++went) {
      pace.sent(waiting.front());
      waiting.pop_front();
    }
    return went;
  }
};

TEST(HoldPace, AnOutageGoesInALittleOfItsTimeThoughMoreComes) {
  constexpr uint64_t kEach = 2;  // packets a millisecond
  constexpr uint64_t kOutage = 2'000;
  Queue queue;
  for (uint64_t i = 0; i < kOutage * kEach; ++i)
    queue.waiting.push_back(queue.now + Millis{i / kEach});
  queue.now = queue.now + Millis{kOutage};
  EXPECT_EQ(queue.turn(), HoldPace::kAtOnce);
  uint64_t turns = 0;
  for (; !queue.waiting.empty() && turns < kOutage; ++turns) {
    queue.now = queue.now + Millis{1};
    queue.waiting.insert(queue.waiting.end(), kEach, queue.now);
    const size_t went = queue.turn();
    EXPECT_LE(went, (HoldPace::kFaster + 2) * kEach) << turns;
  }
  EXPECT_LE(turns, kOutage / (HoldPace::kFaster - 1) + 1);
  EXPECT_GE(turns, kOutage / HoldPace::kFaster - HoldPace::kAtOnce);
}

TEST(HoldPace, WhatAFastVerdictLeavesGoesAtOnce) {
  Queue queue;
  for (uint64_t i = 0; i < HoldPace::kAtOnce; ++i) queue.waiting.push_back(Millis{9'000 + i});
  EXPECT_EQ(queue.turn(), HoldPace::kAtOnce);
}

TEST(HoldPace, LongGapsAreNotWaitedFor) {
  Queue queue;
  for (uint64_t i = 0; i < HoldPace::kAtOnce + 50; ++i) queue.waiting.push_back(Millis{20 * i});
  queue.turn();
  for (unsigned i = 0; i < 50 * HoldPace::kLongestGap.value / HoldPace::kFaster; ++i) {
    queue.now = queue.now + Millis{1};
    EXPECT_LE(queue.turn(), 1U);
  }
  EXPECT_TRUE(queue.waiting.empty());
}

TEST(HoldPace, WhatWaitsAgainBeginsAnew) {
  Queue queue;
  const auto fill = [&] {
    queue.waiting.clear();
    for (uint64_t i = 0; i < 1'000; ++i) queue.waiting.push_back(Millis{5'000 + i});
  };
  fill();
  EXPECT_EQ(queue.turn(), HoldPace::kAtOnce);
  for (unsigned i = 0; i < 100; ++i) {
    queue.now = queue.now + Millis{1};
    queue.turn();
  }
  fill();  // the path died, and swallowed all that went
  EXPECT_EQ(queue.turn(), HoldPace::kAtOnce);
}

TEST(HoldPace, TimeThatWeStoodStillIsNotMadeGood) {
  Queue queue;
  for (uint64_t i = 0; i < 4'000; ++i) queue.waiting.push_back(Millis{5'000 + i / 2});
  queue.turn();
  queue.now = queue.now + Millis{300};
  EXPECT_LE(queue.turn(), 2 * HoldPace::kFaster * HoldPace::kLongestStep.value + 2);
}

}  // namespace
}  // namespace jvpn::client::dataplane
