// The pure parts of jvpn-perf: options.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "perf/harness/progress.h"
#include "perf/jump/jump_load.h"
#include "perf/jump/lab_commands.h"
#include "tests/support/rooms.h"
#include "tests/unit/parsed_options.h"

namespace jvpn::perf {
namespace {

TEST(ProgressBar, FillsFromTheLeft) {
  EXPECT_EQ(progress_bar(0, 4, 4), "[....] 0/4");
  EXPECT_EQ(progress_bar(3, 4, 4), "[###.] 3/4");
  EXPECT_EQ(progress_bar(4, 4, 4), "[####] 4/4");
  EXPECT_EQ(progress_bar(0, 0, 2), "[..] 0/0");
}

// ---- The command line.

Parsed<JumpOptions> parse(const std::vector<std::string>& words) {
  return parse_with(add_jump_options, words);
}

TEST(JumpCommandLine, KnowsEveryFault) {
  for (const char* fault : {"link-down", "blackhole", "planned", "nat-rebind"}) {
    const auto parsed = parse({"--fault", fault});
    EXPECT_TRUE(parsed.ok) << fault;
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

TEST(PeersCommandLine, TakesAList) {
  EXPECT_EQ(parse_with(add_peers_options, {}).options.peers.size(), 3U);
  const auto parsed = parse_with(add_peers_options, {"--peers", "jvpn,openvpn", "--rounds", "2"});
  ASSERT_TRUE(parsed.ok);
  EXPECT_EQ(parsed.options.peers, (std::vector<std::string>{"jvpn", "openvpn"}));
  EXPECT_EQ(parsed.options.rounds, 2U);
  EXPECT_FALSE(parse_with(add_peers_options, {"--peers", "ipsec"}).ok);
}

// ---- jump-load.

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
