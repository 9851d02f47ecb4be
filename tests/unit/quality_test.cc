// Loss, round trips, the verdict on a path, and the choice between paths.
#include <gtest/gtest.h>

#include "control/jump/path_choice.h"
#include "control/session/path_quality.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

constexpr Millis kWindow{2'000};

/// Samples a meter each 500 ms; each step sends and loses so many packets more.
struct Flow {
  void step(uint64_t sent, uint64_t lost) {
    now = now + Millis{500};
    totals.expected += sent;
    totals.received += sent - lost;
    meter.sample(now, totals, kWindow);
  }
  LossMeter meter;
  RxProgress totals;
  Millis now{10'000};
};

TEST(Loss, UnknownUntilHalfAWindowAndEnoughPackets) {
  Flow flow;
  flow.step(100, 50);
  EXPECT_FALSE(flow.meter.loss(20));
  flow.step(100, 50);
  EXPECT_FALSE(flow.meter.loss(20));
  flow.step(100, 50);
  ASSERT_TRUE(flow.meter.loss(20));
  EXPECT_EQ(*flow.meter.loss(20), kWhole / 2);
  EXPECT_FALSE(flow.meter.loss(201));
}

TEST(Loss, FollowsTheWindow) {
  Flow flow;
  for (int i = 0; i < 10; ++i) flow.step(100, 0);
  EXPECT_EQ(flow.meter.loss(20), Ppm{0});
  flow.step(100, 100);
  EXPECT_EQ(flow.meter.loss(20), kWhole / 4);  // one of the window's four steps
  for (int i = 0; i < 4; ++i) flow.step(100, 0);
  EXPECT_EQ(flow.meter.loss(20), Ppm{0});
}

TEST(Loss, ForgottenWhenNothingComesAnyMore) {
  Flow flow;
  for (int i = 0; i < 6; ++i) flow.step(100, 30);
  EXPECT_EQ(flow.meter.loss(20), 3 * kWhole / 10);
  for (int i = 0; i < 5; ++i) flow.step(0, 0);
  EXPECT_FALSE(flow.meter.loss(20));
}

TEST(Loss, ReorderingAtTheStartOfABurstIsNoLoss) {
  Flow flow;
  for (int i = 0; i < 10; ++i) flow.step(0, 0);
  flow.step(10, 8);  // the rest was overtaken and comes later
  EXPECT_FALSE(flow.meter.loss(5));
  flow.totals.received += 8;
  flow.step(100, 8);
  flow.totals.received += 8;
  flow.step(100, 8);
  EXPECT_LE(flow.meter.loss(20).value_or(0), kWhole / 20);
}

TEST(Loss, MoreReceivedThanTheGapsSaidIsNone) {
  Flow flow;
  for (int i = 0; i < 5; ++i) flow.step(100, 20);
  flow.totals.received += 500;
  flow.step(100, 0);
  EXPECT_EQ(flow.meter.loss(20), Ppm{0});
}

TEST(Rtt, SmoothsAndTellsJitter) {
  RttMeter meter;
  EXPECT_FALSE(meter.rtt_us());
  meter.add(8'000);
  EXPECT_EQ(meter.rtt_us(), 8'000U);
  EXPECT_FALSE(meter.jitter_us());
  meter.add(16'000);
  EXPECT_EQ(meter.rtt_us(), 9'000U);
  EXPECT_EQ(meter.jitter_us(), 2'000U);
  for (int i = 0; i < 100; ++i) meter.add(i % 2 == 0 ? 1'000 : 101'000);
  EXPECT_GT(*meter.jitter_us(), 95'000U);
  for (int i = 0; i < 100; ++i) meter.add(50'000);
  EXPECT_LT(*meter.jitter_us(), 100U);
  EXPECT_NEAR(*meter.rtt_us(), 50'000, 10);
}

struct VerdictCase {
  const char* name;
  Ppm reported;
  uint32_t rtt_us;
  uint32_t rtt2_us;
  QualityVerdict verdict;
  Detail detail;
};

const VerdictCase kVerdicts[] = {
    {"all well", 0, 10'000, 10'000, QualityVerdict::kHealthy, Detail::kNone},
    {"at the loss threshold", 200'000, 10'000, 10'000, QualityVerdict::kUnderFloor, Detail::kLoss},
    {"over it", 200'001, 10'000, 10'000, QualityVerdict::kVolatile, Detail::kLoss},
    {"at the floor", 100'000, 10'000, 10'000, QualityVerdict::kHealthy, Detail::kNone},
    {"under it", 100'001, 10'000, 10'000, QualityVerdict::kUnderFloor, Detail::kLoss},
    {"slow", 0, 150'001, 150'001, QualityVerdict::kVolatile, Detail::kLatency},
    {"unsteady", 0, 10'000, 140'000, QualityVerdict::kVolatile, Detail::kJitter},
    {"lossy and slow", 300'000, 200'000, 200'000, QualityVerdict::kVolatile, Detail::kLoss},
};

TEST(Quality, Verdicts) {
  Policy policy;
  policy.volatility.quality_floor = 0.9;
  policy.volatility.latency_volatile = Millis{150};
  policy.volatility.jitter_volatile = Millis{30};
  const Millis now{5'000};
  for (const VerdictCase& each : kVerdicts) {
    SCOPED_TRACE(each.name);
    PathQuality quality;
    quality.reported = each.reported;
    quality.reported_until = now + Millis{1};
    quality.rtt.add(each.rtt_us);
    quality.rtt.add(each.rtt2_us);
    EXPECT_EQ(assess(quality, policy, now).verdict, each.verdict);
    EXPECT_EQ(assess(quality, policy, now).detail, each.detail);
  }
}

TEST(Quality, OldReportsDoNotCount) {
  PathQuality quality;
  quality.reported = kWhole;
  quality.reported_until = Millis{1'000};
  EXPECT_EQ(assess(quality, Policy{}, Millis{999}).verdict, QualityVerdict::kVolatile);
  EXPECT_EQ(assess(quality, Policy{}, Millis{1'000}).verdict, QualityVerdict::kHealthy);
}

PathMerits merits(uint32_t id, Standing standing, Ppm loss, std::optional<uint32_t> latency_us,
                  std::optional<Millis> since = std::nullopt) {
  return {standing, loss, latency_us, since, id};
}

struct RankCase {
  const char* name;
  PathMerits better;
  PathMerits worse;
};

const RankCase kRanks[] = {
    {"warm before untried", merits(1, Standing::kWarm, 90'000, 500'000),
     merits(0, Standing::kUntried, 0, {})},
    {"untried before doubtful", merits(1, Standing::kUntried, 0, {}),
     merits(0, Standing::kDoubtful, 0, 1'000)},
    {"less loss", merits(1, Standing::kWarm, 9'999, 90'000),
     merits(0, Standing::kWarm, 10'000, 1'000)},
    {"loss within a step: less latency", merits(1, Standing::kWarm, 9'999, 4'999),
     merits(0, Standing::kWarm, 0, 5'000)},
    {"latency within a step: stable for longer", merits(1, Standing::kWarm, 0, 4'999, Millis{1}),
     merits(0, Standing::kWarm, 0, 0, Millis{2})},
    {"stable before unstable", merits(1, Standing::kWarm, 0, 0, Millis{1}),
     merits(0, Standing::kWarm, 0, 0)},
    {"all equal: the lower id", merits(0, Standing::kWarm, 0, 0), merits(1, Standing::kWarm, 0, 0)},
};

TEST(PathChoice, Ranks) {
  for (const RankCase& each : kRanks) {
    SCOPED_TRACE(each.name);
    EXPECT_TRUE(ranks_before(each.better, each.worse));
    EXPECT_FALSE(ranks_before(each.worse, each.better));
    const PathMerits both[] = {each.worse, each.better};
    EXPECT_EQ(rank(both), (std::vector<size_t>{1, 0}));
  }
}

struct BeatCase {
  const char* name;
  PathMerits candidate;
  PathMerits living;
  bool beats;
};

const BeatCase kBeats[] = {
    {"lossless beats lossy", merits(1, Standing::kWarm, 0, 90'000),
     merits(0, Standing::kWarm, 250'000, 1'000), true},
    {"untried never", merits(1, Standing::kUntried, 0, {}),
     merits(0, Standing::kWarm, kWhole, 1'000), false},
    {"doubtful never", merits(1, Standing::kDoubtful, 0, 1'000),
     merits(0, Standing::kWarm, kWhole, 1'000), false},
    {"less loss, but not by the factor", merits(1, Standing::kWarm, 95'000, 1'000),
     merits(0, Standing::kWarm, 100'000, 90'000), false},
    {"less loss by the factor", merits(1, Standing::kWarm, 90'000, 1'000),
     merits(0, Standing::kWarm, 100'000, 90'000), true},
    {"more loss, whatever the latency", merits(1, Standing::kWarm, 20'000, 1'000),
     merits(0, Standing::kWarm, 0, 900'000), false},
    {"same loss, less latency", merits(1, Standing::kWarm, 0, 10'000),
     merits(0, Standing::kWarm, 0, 20'000), true},
    {"same step of latency", merits(1, Standing::kWarm, 0, 10'000),
     merits(0, Standing::kWarm, 0, 14'999), false},
    {"latency unknown", merits(1, Standing::kWarm, 0, {}), merits(0, Standing::kWarm, 0, 20'000),
     false},
    {"equal", merits(1, Standing::kWarm, 0, 10'000, Millis{1}),
     merits(0, Standing::kWarm, 0, 10'000), false},
};

TEST(PathChoice, ALivingPathIsLeftForABetterOneOnly) {
  for (const BeatCase& each : kBeats) {
    SCOPED_TRACE(each.name);
    EXPECT_EQ(beats(each.candidate, each.living, 1.10), each.beats);
  }
}

}  // namespace
}  // namespace jvpn
