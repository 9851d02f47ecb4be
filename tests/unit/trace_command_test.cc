// `jvpn trace` against a gateway that the test plays.
#include "tests/unit/command_rig.h"
#include "tools/jvpn/trace.h"

namespace jvpn::test {
namespace {

using Json = nlohmann::json;

Json page(const Json& packets, bool done) {
  return {{"trace", {{"order", 4}, {"packets", packets}, {"done", done}}}};
}

const Json kSessions = {{"role", "gateway"},
                        {"sessions",
                         {{{"session_id", "0123aa"}, {"peer", "laptop"}},
                          {{"session_id", "0124bb"}, {"peer", "desk"}}}}};
const Json kDropped = {
    {"us", 1'250},      {"worker", 0},         {"way", "opened"},
    {"bytes", 116},     {"port", "wan0"},      {"stages", {"rx", "classify", "lookup"}},
    {"end", "dropped"}, {"reason", "bad_tag"}, {"why", "tag\x1b is wrong"}};

TEST(Trace, PrintsALineForAPacket) {
  EXPECT_EQ(render_traced(kDropped),
            "    0.001250 s  worker 0  opened       116 B from wan0: rx > classify > lookup: "
            "dropped, bad_tag "
            "(tag? is wrong)");
  Json sent = kDropped;
  sent["end"] = "sent";
  sent["handed_on"] = true;
  EXPECT_TRUE(render_traced(sent).ends_with("(by another worker) rx > classify > lookup"));
  for (const char* wrong : {"{}", "7", R"({"stages":3})", R"({"stages":[1],"us":-4})"})
    EXPECT_FALSE(render_traced(Json::parse(wrong)).empty());
}

TEST_F(CommandTest, TraceAsksUntilItIsDone) {
  pages_ = {kSessions,
            {{"trace", {{"order", 4}}}},
            page(Json::array(), false),
            page(Json::array({kDropped}), true)};
  const auto done = run([this] { return run_trace(path("admin"), {.session = "0123"}); });
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.out.find("dropped, bad_tag"), std::string::npos);
  ASSERT_EQ(requests_.size(), 4U);
  EXPECT_EQ(requests_[1],
            (Json{{"command", "trace"}, {"peer", "laptop"}, {"count", 20}, {"for_ms", 10'000}}));
  EXPECT_EQ(requests_[3], (Json{{"command", "trace"}, {"order", 4}, {"end", false}}));
}

TEST_F(CommandTest, TraceSaysWhatIsWrong) {
  pages_ = {kSessions};
  EXPECT_NE(run([this] {
              return run_trace(path("admin"), {.session = "ff"});
            }).err.find("no session begins with ff"),
            std::string::npos);
  pages_ = {kSessions};
  EXPECT_NE(run([this] {
              return run_trace(path("admin"), {.session = "012"});
            }).err.find("several sessions"),
            std::string::npos);
  pages_ = {kSessions, {{"trace", {{"order", 4}}}}, page(Json::array(), true)};
  const auto none = run([this] { return run_trace(path("admin"), {.session = "0123"}); });
  EXPECT_EQ(none.status, 1);
  EXPECT_NE(none.err.find("no packet"), std::string::npos);
  pages_ = {kSessions};
  answer_ = {{"error", "not answered by jvpn-client"}};
  EXPECT_EQ(run([this] { return run_trace(path("admin"), {.session = "0123"}); }).status, 1);
}

}  // namespace
}  // namespace jvpn::test
