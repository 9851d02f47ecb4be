// The pure parts of jvpn-perf: options.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "perf/harness/progress.h"
#include "perf/jump/jump_load.h"
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
