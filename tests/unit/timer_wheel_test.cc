#include "control/engine/timer_wheel.h"

#include <map>
#include <set>

#include <gtest/gtest.h>

#include "tests/support/engine_world.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

std::vector<uint32_t> expired(TimerWheel& wheel, uint64_t now) {
  wheel.expire(Millis{now});
  std::vector<uint32_t> timers;
  while (const auto timer = wheel.pop()) timers.push_back(*timer);
  return timers;
}

using Numbers = std::vector<uint32_t>;

TEST(TimerWheel, FiresInOrderOfTimeThenOfArming) {
  TimerWheel wheel(8, Millis{1000});
  wheel.arm(0, Millis{5000});
  wheel.arm(1, Millis{1001});
  wheel.arm(2, Millis{1001});
  wheel.arm(3, Millis{1064});
  EXPECT_EQ(wheel.next(), Millis{1001});
  EXPECT_EQ(expired(wheel, 1000), Numbers{});
  EXPECT_EQ(expired(wheel, 4999), (Numbers{1, 2, 3}));
  EXPECT_EQ(expired(wheel, 5000), Numbers{0});
  EXPECT_EQ(wheel.next(), Millis{UINT64_MAX});
}

TEST(TimerWheel, PastTimesMeanTheNextMillisecond) {
  TimerWheel wheel(1, Millis{1000});
  wheel.arm(0, Millis{3});
  EXPECT_EQ(wheel.next(), Millis{1001});
  EXPECT_EQ(expired(wheel, 1001), Numbers{0});
}

TEST(TimerWheel, ExpiredButNotPoppedCanBeCancelledOrMoved) {
  TimerWheel wheel(2, Millis{0});
  wheel.arm(0, Millis{10});
  wheel.arm(1, Millis{10});
  wheel.expire(Millis{10});
  EXPECT_EQ(wheel.next(), Millis{10});
  wheel.cancel(0);
  wheel.arm(1, Millis{20});
  EXPECT_EQ(wheel.pop(), std::nullopt);
  EXPECT_EQ(expired(wheel, 20), Numbers{1});
}

TEST(TimerWheel, HoldsTheEndOfTime) {
  TimerWheel wheel(2, Millis{0});
  wheel.arm(0, Millis{UINT64_MAX});
  wheel.arm(1, Millis{UINT64_MAX - 1});
  EXPECT_EQ(expired(wheel, UINT64_MAX - 2), Numbers{});
  EXPECT_EQ(expired(wheel, UINT64_MAX - 1), Numbers{1});
}

TEST(TimerWheel, EarlierNowChangesNothing) {
  TimerWheel wheel(1, Millis{1000});
  wheel.arm(0, Millis{1010});
  EXPECT_EQ(expired(wheel, 10), Numbers{});
  EXPECT_EQ(expired(wheel, 1010), Numbers{0});
}

// The wheel against an ordered map, over spans from a millisecond to years.
TEST(TimerWheel, AgreesWithAModel) {
  const uint64_t seed = test::fresh_seed();
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
  RecordProperty("seed", std::to_string(seed));
  test::Random random(seed);
  constexpr uint32_t kTimers = 64;
  uint64_t now = random.below(uint64_t{1} << 40);
  TimerWheel wheel(kTimers, Millis{now});
  std::map<uint32_t, uint64_t> model;
  for (int i = 0; i < 200'000; ++i) {
    const auto timer = static_cast<uint32_t>(random.below(kTimers));
    const uint64_t span = random.below(uint64_t{2} << random.below(36));
    switch (random.below(4)) {
      case 0:
      case 1:
        wheel.arm(timer, Millis{now + span});
        model[timer] = std::max(now + span, now + 1);
        break;
      case 2:
        wheel.cancel(timer);
        model.erase(timer);
        break;
      default: {
        uint64_t earliest = UINT64_MAX;
        for (const auto& [each, at] : model) earliest = std::min(earliest, at);
        ASSERT_LE(wheel.next().value, earliest);
        ASSERT_EQ(wheel.next().value == UINT64_MAX, model.empty());
        // Often to a timer's very time or just short of it, else anywhere.
        now = random.chance(0.5) && earliest != UINT64_MAX ? earliest - random.below(2)
                                                           : now + span / 16;
        uint64_t before = 0;
        wheel.expire(Millis{now});
        while (const auto fired = wheel.pop()) {
          const auto known = model.find(*fired);
          ASSERT_NE(known, model.end());
          ASSERT_LE(known->second, now);
          ASSERT_GE(known->second, before);
          before = known->second;
          model.erase(known);
        }
        for (const auto& [each, at] : model) ASSERT_GT(at, now) << "timer " << each << " is late";
      }
    }
    ASSERT_EQ(wheel.armed(timer), model.contains(timer));
  }
}

}  // namespace
}  // namespace jvpn
