#include "tools/jvpn/watch.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/rooms.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;

Json answer(uint64_t uptime_ms, uint64_t rx_bytes) {
  return {{"node", "gw1"},
          {"role", "gateway"},
          {"uptime_ms", uptime_ms},
          {"policy_version", 7},
          {"sessions",
           {{{"session_id", "0123456789abcdef0123456789abcdef"},
             {"peer", "laptop"},
             {"state", "VOLATILE"},
             {"state_version", 3},
             {"local", "192.0.2.1:51900"},
             {"remote", "192.0.2.2:40000"},
             {"loss_in", 0.0125},
             {"loss_out", nullptr},
             {"rtt_us", 12'340},
             {"jitter_us", 700},
             {"switches_last_minute", 2},
             {"idle", true},
             {"rx_bytes", rx_bytes},
             {"tx_bytes", 0},
             {"reason", "VOLATILITY_SIGNAL"}}}}};
}

TEST(Watch, RatesAreSinceTheAnswerBefore) {
  EXPECT_EQ(render_watch(answer(3'000, 1'250'000), answer(1'000, 1'000'000), false),
            R"(gw1 (gateway), up 3 s, policy 7

SESSION   PEER    STATE          VERSION  PATH                             LOSS IN  LOSS OUT      RTT  JITTER  JUMPS/MIN           RX       TX  REASON
01234567  laptop  VOLATILE idle        3  192.0.2.1:51900>192.0.2.2:40000    1.2 %         -  12.3 ms  0.7 ms          2  1.00 Mbit/s  0 bit/s  VOLATILITY_SIGNAL
)");
}

TEST(Watch, WithoutAnAnswerBeforeThereIsNoRate) {
  for (const Json& before :
       {Json(), Json::object(), answer(3'000, 0), answer(4'000, 0), answer(1'000, 2'000'000)}) {
    const std::string text = render_watch(answer(3'000, 1'000'000), before, false);
    EXPECT_EQ(text.find("Mbit/s"), std::string::npos) << text;
  }
}

TEST(Watch, ASessionIsFoundAgainByItsId) {
  Json before = answer(1'000, 0);
  before["sessions"].push_back(before["sessions"][0]);
  before["sessions"][0]["session_id"] = "ff";
  before["sessions"][0]["rx_bytes"] = 999'999;
  EXPECT_NE(render_watch(answer(3'000, 250'000), before, false).find("1.00 Mbit/s"),
            std::string::npos);
}

TEST(Watch, BearsMissingAndForeignFields) {
  for (const char* text :
       {"{}", R"({"sessions":[{}]})", R"({"sessions":[7,null,"x",[]]})",
        R"({"sessions":[{"loss_in":"x","rtt_us":[],"idle":7,"rx_bytes":-4}]})"}) {
    const Json reply = Json::parse(text);
    EXPECT_TRUE(render_watch(reply, reply, false).starts_with("- (-), up -, policy -"));
  }
}

TEST(Watch, ColoursOnlyWhenAsked) {
  EXPECT_NE(render_watch(answer(1, 1), Json(), true).find("\033[33mVOLATILE idle\033[0m"),
            std::string::npos);
  EXPECT_EQ(render_watch(answer(1, 1), Json(), false).find('\033'), std::string::npos);
}

}  // namespace
}  // namespace jvpn
