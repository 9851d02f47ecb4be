// jvpn-perf isolation: options, and all of it in the small: what each fault does is refused by
// name, and the sessions live.
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "perf/isolation/isolation_options.h"
#include "tests/support/rooms.h"
#include "tests/unit/parsed_options.h"

namespace jvpn::perf {
namespace {

TEST(Isolation, CommandLine) {
  const auto parsed = parse_with(
      add_isolation_options, {"--sessions", "300", "--seconds", "0.5", "--faults", "show,replay",
                              "--most-delay-ms", "7", "--most-turn-ms", "0.5"});
  ASSERT_TRUE(parsed.ok);
  EXPECT_EQ(parsed.options.sessions, 300U);
  EXPECT_EQ(parsed.options.faults, (std::vector<std::string>{"show", "replay"}));
  EXPECT_EQ(parsed.options.most_delay_ms, 7);
  EXPECT_EQ(parsed.options.most_turn_ms, 0.5);
  EXPECT_EQ(parse_with(add_isolation_options, {}).options.sessions, 100'000U);
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"--faults", "earthquake"}, {"--sessions", "0"}, {"--heartbeat-ms", "100"}})
    EXPECT_FALSE(parse_with(add_isolation_options, words).ok) << testing::PrintToString(words);
}

TEST(Isolation, InTheSmall) {
  IsolationOptions options;
  options.sessions = 200;
  options.seconds = 1.1;
  options.heartbeat_ms = 1'000;
  options.small_pages = true;
  options.seed = 7;
  const auto measured = measure_isolation(options);
  ASSERT_TRUE(measured) << measured.error().message;
  EXPECT_GT(measured->json["facts"]["machine"]["longest_cpu_us"], 0) << "the machine was watched";
  EXPECT_TRUE(measured->json["facts"]["endings"].empty()) << measured->json["facts"]["endings"];
  std::map<std::string, Json> phases;
  for (const Json& phase : measured->json["phases"]) phases[phase["fault"]] = phase;
  ASSERT_EQ(phases.size(), 7U);
  for (const auto& [fault, phase] : phases) {
    EXPECT_EQ(phase["heartbeats"]["terminated"], 0) << fault;
    EXPECT_GE(phase["heartbeats"]["answered"], 100) << fault;
    EXPECT_GT(phase["turns"]["longest_cpu_us"], 0) << fault;
  }
  const auto counted = [&](const char* fault, const char* what) {
    return phases[fault]["counted"].value(what, uint64_t{0});
  };
  EXPECT_GT(counted("replay", "drops.replay_duplicate"), 0U);
  EXPECT_GT(counted("rekey-flood", "drops.control_rate"), 0U);
  EXPECT_GT(counted("type-3-flood", "drops.unawaited_answer"), 0U);
  EXPECT_GT(counted("arp-flip", "control.neighbors.claims"), 0U);
  const Json& reloads = phases["reload"]["told"]["reloads"];
  ASSERT_GE(reloads.size(), 2U);
  EXPECT_EQ(reloads[0]["reloaded"]["peers"]["changed"], 0);
  EXPECT_EQ(reloads[1]["reloaded"]["peers"]["changed"], 201) << "each peer has another name";
  EXPECT_EQ(phases["show"]["told"]["latest"]["attached"], 201);
}

}  // namespace
}  // namespace jvpn::perf
