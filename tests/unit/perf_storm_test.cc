// jvpn-perf storm: what it can be asked, and a storm of a few hundred sessions, which all come
// back.
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "perf/storm/storm_options.h"
#include "tests/support/rooms.h"
#include "tests/unit/parsed_options.h"

namespace jvpn::perf {
namespace {

TEST(Storm, CommandLine) {
  const auto parsed = parse_with(
      add_storm_options, {"--sessions", "300", "--phases", "path,nobody", "--heartbeat-factor", "4",
                          "--most-seconds", "2.5", "--ring", "64"});
  ASSERT_TRUE(parsed.ok);
  EXPECT_EQ(parsed.options.sessions, 300U);
  EXPECT_EQ(parsed.options.phases, (std::vector<std::string>{"path", "nobody"}));
  EXPECT_EQ(parsed.options.heartbeat_factor, 4U);
  EXPECT_EQ(parsed.options.most_s, 2.5);
  EXPECT_EQ(parsed.options.ring, 64U);
  const auto usual = parse_with(add_storm_options, {});
  EXPECT_EQ(usual.options.sessions, 100'000U);
  EXPECT_EQ(usual.options.policy, Policy{}) << "a profile's, unless an option says otherwise";
  EXPECT_EQ(usual.options.handshakes_per_s, LimitsProfile{}.handshakes_per_s);
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"--phases", "earthquake"}, {"--sessions", "0"}, {"--rekey-ms", "200000"}})
    EXPECT_FALSE(parse_with(add_storm_options, words).ok) << testing::PrintToString(words);
}

TEST(Storm, InTheSmall) {
  StormOptions options;
  options.sessions = 200;
  options.rekey_ms = 20'000;
  options.seed = 7;
  const auto measured = measure_storm(options);
  ASSERT_TRUE(measured) << measured.error().message;
  EXPECT_EQ(measured->json["facts"]["attached"], 200);
  std::map<std::string, Json> phases;
  for (const Json& phase : measured->json["phases"]) phases[phase["phase"]] = phase;
  ASSERT_EQ(phases.size(), 7U);
  for (const auto& [name, phase] : phases) {
    EXPECT_TRUE(phase["back"]) << name << phase;
    EXPECT_EQ(phase["attached"], 200) << name;
    EXPECT_EQ(phase["peers_attached"], 200) << name;
    for (const char* ends : {"endings", "peers_endings"})
      EXPECT_TRUE(phase[ends].empty() && phase["after"][ends].empty()) << name << phase;
    EXPECT_GT(phase["cpu_s"], 0) << name;
    const Json& events = phase["events"];
    EXPECT_EQ(events["emitted"], events["written"].get<int>() + events["announced"].get<int>())
        << name;
    if (name == "quiet") continue;
    EXPECT_GE(phase["commits"].get<int>() + phase["resumes"].get<int>(), 200)
        << name << ": each session moved";
    EXPECT_GT(events["emitted"], 200) << name;
  }
  EXPECT_GT(phases["rekeys"]["rekeys"].get<int>() + phases["rekeys"]["after"]["rekeys"].get<int>(),
            0);
  EXPECT_GE(phases["cold"]["requests"], 200);
}

/// Few messages may wait: what doesn't fit is dropped, and comes again by the peers' own clocks.
TEST(Storm, WhatDoesNotFitTheRingComesAgain) {
  StormOptions options;
  options.sessions = 200;
  options.ring = 8;
  options.phases = {"return"};
  options.seed = 7;
  const auto measured = measure_storm(options);
  ASSERT_TRUE(measured) << measured.error().message;
  const Json& phase = measured->json["phases"][0];
  EXPECT_TRUE(phase["back"]) << phase;
  EXPECT_GT(phase["ring_full"], 0);
  EXPECT_TRUE(phase["endings"].empty());
}

/// A log without room loses events, and says of each that it did.
TEST(Storm, LostEventsAreAnnounced) {
  StormOptions options;
  options.sessions = 100;
  options.policy.observability.event_ring = 2;
  options.phases = {"interface"};
  options.seed = 7;
  const auto measured = measure_storm(options);
  ASSERT_TRUE(measured) << measured.error().message;
  const Json& events = measured->json["phases"][0]["events"];
  EXPECT_GT(events["announced"], 0);
  EXPECT_EQ(events["emitted"], events["written"].get<int>() + events["announced"].get<int>());
}

}  // namespace
}  // namespace jvpn::perf
