// The pure parts of `jvpn-perf ndr`.
#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

#include "perf/ndr/latency_histogram.h"
#include "perf/ndr/ndr_options.h"
#include "perf/ndr/rate_search.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn::perf {
namespace {

TEST(LatencyHistogram, SmallValuesAreExact) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.percentile(50), 0U);
  for (uint64_t value = 1; value <= 100; ++value) histogram.record(value);
  for (const double percent : {1.0, 50.0, 90.0, 99.0, 100.0})
    EXPECT_EQ(histogram.percentile(percent), static_cast<uint64_t>(percent));
  EXPECT_EQ(histogram.percentile(99.9), 100U);
  EXPECT_EQ(histogram.max(), 100U);
  EXPECT_EQ(histogram.samples(), 100U);
}

// One sample of each value around every edge of the buckets: found again within 1/64.
TEST(LatencyHistogram, EveryMagnitude) {
  for (unsigned bit = 0; bit < 40; ++bit) {
    for (const int64_t offset : {-1, 0, 1}) {
      const auto value = static_cast<uint64_t>((int64_t{1} << bit) + offset);
      LatencyHistogram histogram;
      histogram.record(value);
      histogram.record(uint64_t{1} << 41);  // so that the largest doesn't bound the other
      const uint64_t found = histogram.percentile(50);
      EXPECT_GE(found, value);
      EXPECT_LE(found, value + value / 64) << value;
    }
  }
}

TEST(LatencyHistogram, TooLargeIsTheLargest) {
  LatencyHistogram histogram;
  histogram.record(5);
  histogram.record(UINT64_MAX);
  EXPECT_EQ(histogram.percentile(50), 5U);
  EXPECT_EQ(histogram.percentile(99), UINT64_MAX);
  EXPECT_EQ(histogram.max(), UINT64_MAX);
}

TEST(LatencyHistogram, AsSortedSamples) {
  const uint64_t seed = test::fresh_seed();
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  LatencyHistogram histogram;
  std::vector<uint64_t> samples;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t value = random() >> (24 + random() % 40);
    samples.push_back(value);
    histogram.record(value);
  }
  std::ranges::sort(samples);
  for (const double percent : {0.1, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    const auto rank = static_cast<size_t>(std::ceil(percent / 100 * 20'000));
    const uint64_t expected = samples[std::max<size_t>(rank, 1) - 1];
    EXPECT_GE(histogram.percentile(percent), expected) << percent;
    EXPECT_LE(histogram.percentile(percent), expected + expected / 64) << percent;
  }
}

/// A device that loses nothing up to `capacity`, and all beyond it.
double loss_of(double rate, double capacity) {
  return rate <= capacity ? 0 : 1 - capacity / rate;
}

TEST(RateSearch, FindsTheCapacity) {
  for (const double capacity : {0.01, 0.5, 3.3, 9.99}) {
    for (const double goal : {0.0, 0.005}) {
      RateSearch search(0, 10, 0.01, goal);
      int trials = 0;
      while (const auto rate = search.next()) {
        search.take(*rate, loss_of(*rate, capacity));
        ASSERT_LT(++trials, 40);
      }
      const double allowed = capacity / (1 - goal);
      EXPECT_LE(search.found(), allowed);
      EXPECT_GE(search.found(), allowed * 0.98 - 1e-9) << capacity;
    }
  }
}

TEST(RateSearch, Extremes) {
  RateSearch never(0, 10, 0.01, 0);
  for (int i = 0; i < 2'000 && never.next(); ++i) never.take(*never.next(), 0.5);
  EXPECT_EQ(never.found(), 0);
  RateSearch always(0, 10, 0.01, 0);
  for (int i = 0; i < 40 && always.next(); ++i) always.take(*always.next(), 0);
  EXPECT_GE(always.found(), 9.9);
  EXPECT_LE(always.found(), 10);
}

// A generator that offers less than it should: what it did offer is what is known.
TEST(RateSearch, OfferedRateCounts) {
  RateSearch search(0, 10, 0.01, 0);
  search.take(4.5, 0);
  EXPECT_EQ(search.found(), 4.5);
  search.take(6, 0.1);
  EXPECT_EQ(search.next(), 5.25);
}

TEST(NdrCommandLine, OptionsAndBounds) {
  const auto parse = [](const std::string& arguments) {
    CLI::App app;
    NdrOptions options;
    add_ndr_options(app, options);
    app.parse(arguments);
    return options;
  };
  EXPECT_FALSE(parse("").open);
  EXPECT_EQ(std::string(parse("--direction open").direction()), "open");
  EXPECT_EQ(parse("--size 1400 --trial 0.5").size, 1'400U);
  EXPECT_EQ(parse("--ring 4096").ring, 4'096U);
  for (const char* bad : {"--ring 5000", "--size 63", "--size 1401", "--trial 0", "--width 50",
                          "--direction sideways", "--suite des"})
    EXPECT_THROW(parse(bad), CLI::ParseError) << bad;
}

}  // namespace
}  // namespace jvpn::perf
