// The pure parts of jvpn-perf: statistics, options, the policy of a run, its bounds.
#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "perf/harness/progress.h"
#include "perf/harness/statistics.h"
#include "perf/jump/jump_load.h"
#include "perf/jump/jump_options.h"
#include "tests/support/rooms.h"
#include "tests/unit/parsed_options.h"

namespace jvpn::perf {
namespace {

std::vector<double> one_to(int n) {
  std::vector<double> samples;
  for (int i = n; i >= 1; --i) samples.push_back(i);
  return samples;
}

TEST(Statistics, PercentilesByNearestRank) {
  struct Case {
    int samples;
    double percent;
    double expected;
  };
  for (const Case& c :
       {Case{0, 50, 0}, Case{1, 1, 1}, Case{1, 99, 1}, Case{2, 50, 1}, Case{2, 51, 2},
        Case{4, 50, 2}, Case{5, 50, 3}, Case{100, 99, 99}, Case{100, 99.5, 100},
        Case{100, 100, 100}, Case{200, 99, 198}, Case{20, 99, 20}, Case{10, 0, 1}}) {
    EXPECT_EQ(percentile(one_to(c.samples), c.percent), c.expected)
        << c.samples << " samples, " << c.percent << " %";
  }
}

TEST(Statistics, SummaryHasThemAll) {
  const Summary sum = summarize(one_to(200));
  EXPECT_EQ(sum.count, 200U);
  EXPECT_EQ(sum.p50, 100);
  EXPECT_EQ(sum.p90, 180);
  EXPECT_EQ(sum.p99, 198);
  EXPECT_EQ(sum.max, 200);
  EXPECT_EQ(summarize({}).max, 0);
}

TEST(Statistics, Median) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median(one_to(1)), 1);
  EXPECT_EQ(median(one_to(2)), 1.5);
  EXPECT_EQ(median(one_to(5)), 3);
  EXPECT_EQ(median(std::vector<double>{9, 1, 5, 1'000}), 7);
}

TEST(Statistics, Spread) {
  const Spread sum = spread(std::vector<double>{9, 1, 5, 1'000});
  EXPECT_EQ(sum.median, 7);
  EXPECT_EQ(sum.min, 1);
  EXPECT_EQ(sum.max, 1'000);
  EXPECT_EQ(spread({}).max, 0);
}

TEST(Statistics, HistogramEdgesAreOneTwoFive) {
  const std::vector<Bucket> buckets = histogram(std::vector<double>{0, 0, 1, 1.5, 2, 301});
  std::vector<double> edges;
  std::vector<size_t> counts;
  for (const Bucket& bucket : buckets) {
    edges.push_back(bucket.to);
    counts.push_back(bucket.count);
  }
  EXPECT_EQ(edges, (std::vector<double>{0, 1, 2, 5, 10, 20, 50, 100, 200, 500}));
  EXPECT_EQ(counts, (std::vector<size_t>{2, 1, 2, 0, 0, 0, 0, 0, 0, 1}));
  EXPECT_TRUE(histogram({}).empty());
}

TEST(Statistics, HistogramLosesNoSample) {
  const uint64_t seed = std::random_device{}();
  std::mt19937_64 random(seed);
  std::vector<double> samples(1'000);
  for (double& sample : samples)
    sample = std::exp(std::uniform_real_distribution(-3.0, 12.0)(random));
  size_t sum = 0;
  double last = 0;
  for (const Bucket& bucket : histogram(samples)) {
    EXPECT_EQ(bucket.from, last) << "seed " << seed;
    last = bucket.to;
    sum += bucket.count;
  }
  EXPECT_EQ(sum, samples.size()) << "seed " << seed;
}

TEST(ProgressBar, FillsFromTheLeft) {
  EXPECT_EQ(progress_bar(0, 4, 4), "[....] 0/4");
  EXPECT_EQ(progress_bar(3, 4, 4), "[###.] 3/4");
  EXPECT_EQ(progress_bar(4, 4, 4), "[####] 4/4");
  EXPECT_EQ(progress_bar(0, 0, 2), "[..] 0/0");
}

// ---- The policy of a run.

TEST(JumpPolicy, LaysTheExtraOverTheDefault) {
  JumpOptions options;
  options.policy =
      "switching: {drain_ms: 50, failback: {when_stable_ms: 100}}, session: {idle_max_ms: 9}, "
      "transport: {allowed_protocols: [udp]}";
  const auto policy = lab_policy(options);
  ASSERT_TRUE(policy.ok());
  EXPECT_NE(policy->find("drain_ms: 50"), std::string::npos) << *policy;
  EXPECT_EQ(policy->find("drain_ms: 100"), std::string::npos) << *policy;
  EXPECT_NE(policy->find("failback: {when_stable_ms: 100}"), std::string::npos) << *policy;
  EXPECT_NE(policy->find("session: {idle_max_ms: 9}"), std::string::npos) << *policy;
  EXPECT_NE(policy->find("allowed_protocols: [udp]"), std::string::npos) << *policy;
  EXPECT_NE(policy->find("max_switches_per_min: 64"), std::string::npos) << *policy;
  EXPECT_TRUE(policy->starts_with("version: 1, ")) << *policy;
}

TEST(JumpPolicy, RefusesWhatIsNoMap) {
  for (const char* text : {"[1", "a: b: c", "switching: {drain_ms: 50"}) {
    JumpOptions options;
    options.policy = text;
    EXPECT_FALSE(lab_policy(options).ok()) << text;
  }
}

TEST(JumpPolicy, ColdCandidatesAreNeverProbed) {
  JumpOptions options;
  options.cold = true;
  EXPECT_NE(lab_policy(options)->find("candidate_validation_ttl_ms: 0"), std::string::npos);
}

TEST(JumpPolicy, FactsFollowThePolicyAndTheFault) {
  JumpOptions options;
  auto facts = policy_facts(*lab_policy(options), Fault::kLinkDown);
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(facts->transport_dead_ms, 2'000);
  EXPECT_LT(facts->jumps_per_min, 64);
  EXPECT_GT(facts->jumps_per_min, 55);

  options.fault = Fault::kBlackhole;
  facts = policy_facts(*lab_policy(options), options.fault);
  EXPECT_EQ(facts->transport_dead_ms, 300);
  EXPECT_LT(facts->jumps_per_min, 31);  // each passes through VOLATILE

  options.policy = "switching: {max_switches_per_min: 8}, volatility: {transport_dead_ms: 700}";
  facts = policy_facts(*lab_policy(options), options.fault);
  EXPECT_EQ(facts->transport_dead_ms, 700);
  EXPECT_LT(facts->jumps_per_min, 8);

  options.policy = "volatility: {transport_dead_ms: soon}";
  EXPECT_FALSE(policy_facts(*lab_policy(options), options.fault).ok());
}

TEST(JumpBound, IsTheDesigns) {
  struct Case {
    Fault fault;
    bool cold;
    double expected;
  };
  for (const Case& c : {Case{Fault::kLinkDown, false, 30}, Case{Fault::kLinkDown, true, 40},
                        Case{Fault::kBlackhole, false, 360}, Case{Fault::kPlanned, false, 0},
                        Case{Fault::kNatRebind, false, 72}}) {
    JumpOptions options;
    options.fault = c.fault;
    options.cold = c.cold;
    options.rate = 500;
    EXPECT_EQ(bound_of(options, 10, 300).ms, c.expected) << to_string(c.fault) << c.cold;
  }
}

// ---- The command line.

Parsed<JumpOptions> parse(const std::vector<std::string>& words) {
  return parse_with(add_jump_options, words);
}

TEST(JumpCommandLine, KnowsEveryFault) {
  for (const Fault fault :
       {Fault::kLinkDown, Fault::kBlackhole, Fault::kPlanned, Fault::kNatRebind}) {
    const auto parsed = parse({"--fault", to_string(fault)});
    EXPECT_TRUE(parsed.ok) << to_string(fault);
    EXPECT_EQ(parsed.options.fault, fault);
  }
}

TEST(JumpCommandLine, TakesItsOptions) {
  const auto parsed = parse({"--fault", "link-down", "--cold", "--count", "200", "--rtt", "12.5",
                             "--rate", "2000", "--bytes", "64", "--json"});
  ASSERT_TRUE(parsed.ok);
  EXPECT_TRUE(parsed.options.cold);
  EXPECT_TRUE(parsed.options.json);
  EXPECT_EQ(parsed.options.count, 200U);
  EXPECT_EQ(parsed.options.rtt_ms, 12.5);
  EXPECT_EQ(parsed.options.rate, 2'000U);
  EXPECT_EQ(parsed.options.bytes, 64U);
}

TEST(JumpCommandLine, RefusesWhatMakesNoSense) {
  for (const auto& words :
       std::vector<std::vector<std::string>>{{},
                                             {"--fault", "fire"},
                                             {"--fault", "planned", "--count", "0"},
                                             {"--fault", "planned", "--rate", "1000000"},
                                             {"--fault", "planned", "--rtt", "-1"},
                                             {"--fault", "planned", "--bytes", "4"},
                                             {"--fault", "planned", "--colder"}}) {
    EXPECT_FALSE(parse(words).ok) << testing::PrintToString(words);
  }
}

// ---- jump-load.

TEST(JumpLoad, LossIsTheMedianOfThePairs) {
  EXPECT_EQ(throughput_loss_percent({}), 0);
  EXPECT_NEAR(throughput_loss_percent({{0.98, 1}}), 2, 1e-9);
  EXPECT_NEAR(throughput_loss_percent({{2, 2}, {0.5, 1}, {3.96, 4}}), 1, 1e-9);
  EXPECT_NEAR(throughput_loss_percent({{1.1, 1}}), -10, 1e-9);  // noise goes both ways
  EXPECT_NEAR(throughput_loss_percent({{1, 0}, {0.75, 1}}), 25, 1e-9);
}

TEST(JumpLoad, CommandLine) {
  const auto parsed = parse_with(add_jump_load_options,
                                 {"--sessions", "10", "--jumps-per-second", "5", "--pairs", "3"});
  ASSERT_TRUE(parsed.ok);
  EXPECT_EQ(parsed.options.sessions, 10U);
  EXPECT_EQ(parsed.options.jumps_per_second, 5U);
  EXPECT_EQ(parsed.options.pairs, 3U);
  EXPECT_EQ(parse_with(add_jump_load_options, {}).options.sessions, 1'000U);
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"--sessions", "0"}, {"--bytes", "20"}, {"--bytes", "1500"}, {"--pairs", "0"}}) {
    EXPECT_FALSE(parse_with(add_jump_load_options, words).ok) << testing::PrintToString(words);
  }
}

}  // namespace
}  // namespace jvpn::perf
