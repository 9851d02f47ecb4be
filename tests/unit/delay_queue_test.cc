// The lab's link emulator as a pure class. JVPN_SEED replays a run; every failure names the seed it
// had.
#include "lab/link/delay_queue.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn::lab {
namespace {

constexpr size_t kRoom = 64 << 20;
constexpr Nanos kStart = 1'000 * kMillisecond;

using test::fresh_seed;

LinkFaults faults(std::string_view text) {
  const auto changed = changed_faults({}, text);
  EXPECT_TRUE(changed.ok()) << text;
  return changed ? *changed : LinkFaults{};
}

struct Arrival {
  uint64_t number;
  Nanos sent;
  Nanos at;
};

std::vector<uint8_t> numbered_frame(uint64_t number, Nanos now, size_t bytes) {
  std::vector<uint8_t> frame(std::max(bytes, sizeof number + sizeof now));
  std::memcpy(frame.data(), &number, sizeof number);
  std::memcpy(frame.data() + sizeof number, &now, sizeof now);
  return frame;
}

void take(DelayQueue& queue, Nanos until, std::vector<Arrival>& arrivals) {
  while (queue.due() <= until) {
    const Nanos at = queue.due();
    const auto frame = queue.pop(at);
    ASSERT_TRUE(frame);
    Arrival arrival{0, 0, at};
    std::memcpy(&arrival.number, frame->data(), sizeof arrival.number);
    std::memcpy(&arrival.sent, frame->data() + sizeof arrival.number, sizeof arrival.sent);
    arrivals.push_back(arrival);
  }
}

// `count` frames, one each `gap`, through a link with that text's faults.
std::vector<Arrival> run(DelayQueue& queue, std::string_view text, uint64_t count, Nanos gap,
                         size_t bytes = 100) {
  std::vector<Arrival> arrivals;
  queue.set(faults(text));
  for (uint64_t i = 0; i < count; ++i) {
    const Nanos now = kStart + i * gap;
    take(queue, now, arrivals);
    queue.push(numbered_frame(i, now, bytes), now);
  }
  take(queue, kNever - 1, arrivals);
  return arrivals;
}

std::vector<uint64_t> numbers(const std::vector<Arrival>& arrivals) {
  std::vector<uint64_t> list;
  for (const Arrival& arrival : arrivals) list.push_back(arrival.number);
  return list;
}

TEST(DelayQueue, APerfectLinkPassesFramesAtOnce) {
  DelayQueue queue(1, kRoom);
  EXPECT_EQ(queue.due(), kNever);
  EXPECT_FALSE(queue.pop(kNever));
  const auto arrivals = run(queue, "", 1'000, 0);
  ASSERT_EQ(arrivals.size(), 1'000U);
  for (uint64_t i = 0; i < arrivals.size(); ++i) {
    EXPECT_EQ(arrivals[i].number, i);
    EXPECT_EQ(arrivals[i].at, kStart);
  }
}

TEST(DelayQueue, NothingLeavesBeforeItsTime) {
  DelayQueue queue(1, kRoom);
  queue.set(faults("delay_ms=5"));
  queue.push(numbered_frame(0, kStart, 100), kStart);
  EXPECT_EQ(queue.due(), kStart + 5 * kMillisecond);
  EXPECT_FALSE(queue.pop(queue.due() - 1));
  EXPECT_TRUE(queue.pop(queue.due()));
  EXPECT_EQ(queue.due(), kNever);
}

TEST(DelayQueue, JitterStaysWithinItsBoundsAndKeepsTheOrder) {
  const uint64_t seed = fresh_seed();
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
  for (const double jitter : {1.0, 30.0, 200.0}) {
    DelayQueue queue(seed, kRoom);
    const auto arrivals =
        run(queue, "delay_ms=200 jitter_ms=" + std::to_string(jitter), 60'000, kMillisecond);
    ASSERT_EQ(arrivals.size(), 60'000U);
    Nanos least = kNever;
    Nanos most = 0;
    for (uint64_t i = 0; i < arrivals.size(); ++i) {
      ASSERT_EQ(arrivals[i].number, i);
      least = std::min(least, arrivals[i].at - arrivals[i].sent);
      most = std::max(most, arrivals[i].at - arrivals[i].sent);
    }
    const auto bound = static_cast<Nanos>(jitter * static_cast<double>(kMillisecond));
    EXPECT_GE(least + 1, 200 * kMillisecond - bound);
    EXPECT_LE(most, 200 * kMillisecond + bound + 1);
    EXPECT_GT(most - least, bound) << "the delay hardly wandered";
  }
}

TEST(DelayQueue, LosesItsShare) {
  const uint64_t seed = fresh_seed();
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
  DelayQueue queue(seed, kRoom);
  const auto arrivals = run(queue, "loss=0.3", 100'000, 1'000);
  EXPECT_NEAR(static_cast<double>(arrivals.size()), 70'000, 1'500);  // 10 standard deviations
  EXPECT_EQ(queue.counters().lost + arrivals.size(), 100'000U);
  const auto order = numbers(arrivals);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST(DelayQueue, HeldBackFramesAreOvertaken) {
  const uint64_t seed = fresh_seed();
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
  for (const char* text : {"reorder=0.1", "reorder=0.1 delay_ms=40"}) {
    DelayQueue queue(seed, kRoom);
    const auto arrivals = run(queue, text, 10'000, kMillisecond);
    auto order = numbers(arrivals);
    uint64_t late = 0;
    uint64_t newest = 0;
    for (const uint64_t number : order) {
      late += number < newest ? 1 : 0;
      newest = std::max(newest, number);
    }
    EXPECT_NEAR(static_cast<double>(queue.counters().held_back), 1'000, 300);
    EXPECT_GT(late, queue.counters().held_back / 2);
    EXPECT_LE(late, queue.counters().held_back);
    std::ranges::sort(order);
    ASSERT_EQ(order.size(), 10'000U);
    for (uint64_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], i);
  }
}

TEST(DelayQueue, DuplicatesItsShareOnce) {
  const uint64_t seed = fresh_seed();
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
  DelayQueue queue(seed, kRoom);
  const auto order = numbers(run(queue, "duplicate=0.2", 10'000, 1'000));
  EXPECT_NEAR(static_cast<double>(queue.counters().duplicated), 2'000, 400);
  EXPECT_EQ(order.size(), 10'000 + queue.counters().duplicated);
  EXPECT_EQ(std::set<uint64_t>(order.begin(), order.end()).size(), 10'000U);
  for (size_t i = 2; i < order.size(); ++i) EXPECT_NE(order[i], order[i - 2]);
}

TEST(DelayQueue, ARateSpacesFramesAndBoundsTheirWaiting) {
  DelayQueue queue(1, kRoom);
  const auto arrivals = run(queue, "rate_mbit=10", 1'000, 0, 1'250);  // 1 ms each
  ASSERT_EQ(arrivals.size(), 101U);                                   // 100 ms of waiting
  EXPECT_EQ(queue.counters().overflow, 899U);
  for (uint64_t i = 0; i < arrivals.size(); ++i)
    EXPECT_EQ(arrivals[i].at, kStart + (i + 1) * kMillisecond);
}

TEST(DelayQueue, HoldsNoMoreBytesThanItMay) {
  DelayQueue queue(1, 10'000);
  const auto arrivals = run(queue, "delay_ms=1000 duplicate=1", 50, 0, 1'000);
  EXPECT_EQ(arrivals.size(), 10U);
  EXPECT_EQ(queue.counters().overflow, 90U);
}

TEST(DelayQueue, NewSettingsDontOvertakeWhatWaits) {
  DelayQueue queue(1, kRoom);
  queue.set(faults("delay_ms=100"));
  queue.push(numbered_frame(0, kStart, 100), kStart);
  queue.set({});
  queue.push(numbered_frame(1, kStart, 100), kStart + kMillisecond);
  std::vector<Arrival> arrivals;
  take(queue, kNever - 1, arrivals);
  EXPECT_EQ(numbers(arrivals), (std::vector<uint64_t>{0, 1}));
}

TEST(DelayQueue, FlapsByTheClock) {
  const uint64_t seed = fresh_seed();
  DelayQueue queue(seed, kRoom);
  const auto arrivals = run(queue, "flap_ms=300", 3'000, kMillisecond);
  EXPECT_EQ(arrivals.size() + queue.counters().lost, 3'000U);
  EXPECT_EQ(arrivals.size(), 1'500U);
  for (const Arrival& arrival : arrivals)
    EXPECT_EQ(arrival.sent / (300 * kMillisecond) % 2, 1U) << arrival.number;
}

TEST(DelayQueue, TheSeedDecidesEveryFate) {
  const uint64_t seed = fresh_seed();
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
  constexpr std::string_view kText =
      "delay_ms=20 jitter_ms=10 loss=0.1 reorder=0.1 duplicate=0.1 rate_mbit=50";
  const auto fates = [&](uint64_t own_seed) {
    DelayQueue queue(own_seed, kRoom);
    std::vector<std::pair<uint64_t, Nanos>> list;
    for (const Arrival& arrival : run(queue, kText, 5'000, 100'000, 500))
      list.emplace_back(arrival.number, arrival.at);
    const LinkCounters& c = queue.counters();
    EXPECT_EQ(c.in, 5'000U);
    EXPECT_EQ(c.out, list.size());
    EXPECT_EQ(c.in + c.duplicated, c.out + c.lost + c.overflow);
    return list;
  };
  EXPECT_EQ(fates(seed), fates(seed));
  EXPECT_NE(fates(seed), fates(seed + 1));
}

TEST(LinkFaults, TextChangesWhatItNames) {
  const LinkFaults changed = faults(" delay_ms=40.5\tloss=1 \n");
  EXPECT_EQ(changed.delay_ms, 40.5);
  EXPECT_EQ(changed.loss, 1);
  EXPECT_EQ(changed.rate_mbit, 0);
  EXPECT_EQ(to_text(changed),
            "delay_ms=40.5 jitter_ms=0 loss=1 reorder=0 duplicate=0 rate_mbit=0 flap_ms=0");
}

TEST(LinkFaults, BadTextIsRefusedWithItsWord) {
  for (const char* text : {"delay", "delay=4", "delay_ms", "delay_ms=", "delay_ms=4x", "loss=1.01",
                           "loss=-0.1", "loss=nan", "delay_ms=1 =2", "rate_mbit=inf"}) {
    const auto changed = changed_faults({}, text);
    ASSERT_FALSE(changed.ok()) << text;
    EXPECT_NE(changed.error().message.find("got"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace jvpn::lab
