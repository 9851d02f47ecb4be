// `jvpn drops` as it is run: counts with their meaning, and all names with what to do.
#include <algorithm>

#include "common/drop.h"
#include "tests/unit/command_rig.h"
#include "tools/jvpn/drops.h"

namespace jvpn::test {
namespace {

using Json = nlohmann::json;

class DropsCommand : public CommandTest {
 protected:
  Outcome drops(const jvpn::DropsCommand& command, const char* socket = "admin") {
    return run([=, this] { return run_drops(path(socket), command); });
  }
};

TEST_F(DropsCommand, CountsComeTheMostFirstWithTheirMeaning) {
  answer_ = {{"drops", {{"no_route", 7}, {"bad_tag", 0}, {"tx_full", 123}, {"of_tomorrow", 1}}}};
  const Outcome shown = drops({});
  EXPECT_EQ(shown.status, 0) << shown.err;
  EXPECT_EQ(shown.out,
            "PACKETS  DROPPED      MEANS\n"
            "    123  tx_full      the port did not take the packet\n"
            "      7  no_route     inner destination belongs to no peer and no inside network\n"
            "      1  of_tomorrow  a program of another version knows\n"
            "\njvpn drops --explain NAME tells what to do when one keeps rising\n");
  EXPECT_EQ(requests_.at(0), (Json{{"command", "show"}, {"sessions", false}}));
  const Json told = Json::parse(drops({.as_json = true}).out);
  EXPECT_EQ(told["drops"].size(), 3U);
  EXPECT_EQ(
      told["drops"][0],
      (Json{{"drop", "tx_full"}, {"packets", 123}, {"means", "the port did not take the packet"}}));
  answer_ = {{"drops", Json::object()}};
  EXPECT_EQ(drops({}).out, "nothing was dropped\n");
  EXPECT_EQ(drops({}, "none").status, 1);
}

TEST_F(DropsCommand, EveryNameIsExplainedWithoutAProgram) {
  const Outcome text = drops({.explain = true}, "none");
  EXPECT_EQ(text.status, 0) << text.err;
  const Json told = Json::parse(drops({.explain = true, .as_json = true}, "none").out);
  ASSERT_EQ(told["drops"].size(), kDropCount);
  for (size_t i = 0; i < kDropCount; ++i) {
    const DropInfo& drop = kDropInfo[i];
    EXPECT_EQ(told["drops"][i],
              (Json{{"drop", drop.name}, {"means", drop.meaning}, {"mend", drop.mend}}));
    EXPECT_NE(text.out.find(std::string(drop.name) + ": " + drop.meaning +
                            "\n  when it keeps rising: " + drop.mend + "\n"),
              std::string::npos);
    EXPECT_GT(std::string(drop.mend).size(), 10U) << drop.name;
  }
}

TEST_F(DropsCommand, SomeNamesAreExplained) {
  const Outcome one = drops({.explain = true, .names = {"tx_full"}}, "none");
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_TRUE(one.out.starts_with("tx_full: ")) << one.out;
  EXPECT_EQ(std::ranges::count(one.out, '\n'), 2) << one.out;
  const Outcome wrong = drops({.names = {"tx_ful"}}, "none");
  EXPECT_EQ(wrong.status, 2);
  EXPECT_EQ(
      wrong.err,
      "jvpn: drops: no drop is named tx_ful (did you mean tx_full?); jvpn drops --explain has "
      "all of them\n");
}

}  // namespace
}  // namespace jvpn::test
