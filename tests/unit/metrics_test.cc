// Metrics, made of answers and events that were recorded in the lab, as Prometheus reads them.
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "common/drop.h"
#include "tests/support/rooms.h"
#include "tools/jvpn/metrics/event_metrics.h"
#include "tools/jvpn/metrics/exporter.h"
#include "tools/jvpn/metrics/metric_table.h"

namespace jvpn::metrics {
namespace {

using Json = nlohmann::json;
using Families = std::vector<prometheus::MetricFamily>;

std::string source_file(const std::string& name) {
  const char* const root = std::getenv("JVPN_SOURCE_ROOT");
  std::ifstream file((root == nullptr ? "." : root) + ("/" + name));
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

/// What `show` answered in the lab: `gateway`, `cluster` (a gateway of one), `client`.
Json recorded(const std::string& name) {
  return Json::parse(source_file("tests/unit/metrics/" + name + ".json"));
}

Families collect_from(const Json& show, const EventMetrics& events) {
  return collect({.show = show, .events = events, .answer_seconds = 0.25, .unix_seconds = 5'000});
}

/// `name{label="value"} 1`, a line each.
std::set<std::string> lines_of(const Families& families) {
  std::istringstream text(prometheus::TextSerializer().Serialize(families));
  std::set<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.insert(line);
  return lines;
}

std::set<std::string> lines_of(const Json& show) {
  const EventMetrics events;
  return lines_of(collect_from(show, events));
}

TEST(Metrics, TheDocumentHasTheTable) {
  const std::string document = source_file("docs/METRICS.md");
  const std::string begin = "<!-- jvpn metrics --list -->\n";
  const size_t at = document.find(begin);
  ASSERT_NE(at, std::string::npos);
  const size_t from = at + begin.size();
  EXPECT_EQ(document.substr(from, document.find("<!-- end -->") - from), metric_table_markdown());
}

TEST(Metrics, WhatIsInTheTableIsExportedAndNothingElse) {
  const EventMetrics events;
  std::map<std::string, std::set<Of>> exported;
  std::map<std::string, std::set<std::string>> labels;
  Json unproven = recorded("cluster");
  unproven["ownership"].erase("safe_ms");
  unproven["ownership"]["silent_ms"] = 1;
  unproven["reload"] = {{"ms_ago", 1}, {"refused", nullptr}, {"needs_restart", Json::array()}};
  Json lossy = recorded("client");
  lossy["reload"] = unproven["reload"];
  lossy["sessions"][0]["loss_in"] = 0.5;
  for (const Json& show :
       {recorded("gateway"), recorded("cluster"), unproven, recorded("client"), lossy, Json()}) {
    const Of of = !show.is_object()           ? Of::kExporter
                  : show["role"] == "gateway" ? Of::kGateway
                                              : Of::kClient;
    for (const prometheus::MetricFamily& family : collect_from(show, events)) {
      exported[family.name].insert(of);
      for (const prometheus::ClientMetric& sample : family.metric) {
        std::string names;
        for (const auto& label : sample.label) names += (names.empty() ? "" : ",") + label.name;
        labels[family.name].insert(names);
      }
    }
  }
  for (const Metric& metric : all_metrics()) {
    const std::map<Of, std::set<Of>> of{
        {Of::kGateway, {Of::kGateway}},
        {Of::kClient, {Of::kClient}},
        {Of::kBoth, {Of::kGateway, Of::kClient}},
        {Of::kExporter, {Of::kGateway, Of::kClient, Of::kExporter}}};
    EXPECT_EQ(exported[metric.name], of.at(metric.of)) << metric.name;
    EXPECT_EQ(labels[metric.name], std::set<std::string>{metric.labels}) << metric.name;
    EXPECT_TRUE(std::string(metric.name).starts_with("jvpn_")) << metric.name;
  }
  EXPECT_EQ(exported.size(), all_metrics().size()) << "each name stands there once";
}

TEST(Metrics, ValuesOfAGateway) {
  Json show = recorded("gateway");
  show["totals"] = {{"peers", 7},
                    {"sessions", {{"BIRTH", 3}, {"ATTACHED", 4}, {"RECOVERING", 1}}},
                    {"jumps", {{"dead", 12}}},
                    {"ended", {{"TTL_SESSION_EXPIRED", 2}}},
                    {"forgotten", 5}};
  show["workers"] = Json::array({{{"busy_polls", 10}, {"idle_polls", 30}, {"sealed", 8}}});
  show["ports"] = Json::array({{{"name", "wan\"0"},
                                {"role", "outside"},
                                {"link", "down"},
                                {"rx_bytes", 1'500},
                                {"rx_missed", 9}}});
  show["drops"] = {{"bad_tag", 6}, {"a_new_one", 1}};
  show["control"]["turns"] = {{"longest_us", 1'250}, {"longest_cpu_us", 900}, {"over_1ms", 2}};
  show["reload"] = {{"ms_ago", 2'000}, {"refused", "gw.yaml:1:1: x"}, {"needs_restart", {"ports"}}};
  const std::set<std::string> lines = lines_of(show);
  for (const char* line : {
           "jvpn_up 1",
           "jvpn_peers_configured 7",
           "jvpn_peers_online 5",
           "jvpn_sessions{state=\"BIRTH\"} 3",
           "jvpn_jumps_total{cause=\"dead\"} 12",
           "jvpn_sessions_ended_total{reason=\"TTL_SESSION_EXPIRED\"} 2",
           "jvpn_sessions_forgotten_total 5",
           "jvpn_worker_polls_total{worker=\"0\",result=\"idle\"} 30",
           "jvpn_worker_packets_total{worker=\"0\",what=\"sealed\"} 8",
           "jvpn_port_up{port=\"wan\\\"0\",role=\"outside\"} 0",
           "jvpn_port_bytes_total{port=\"wan\\\"0\",role=\"outside\",direction=\"receive\"} 1500",
           "jvpn_port_drops_total{port=\"wan\\\"0\",role=\"outside\",cause=\"missed\"} 9",
           "jvpn_drops_total{drop=\"bad_tag\"} 6",
           "jvpn_drops_total{drop=\"tx_full\"} 0",
           "jvpn_control_turn_longest_seconds{clock=\"wall\"} 0.00125",
           "jvpn_control_long_turns_total 2",
           "jvpn_ownership_proven 1",
           "jvpn_reload_refused 1",
           "jvpn_reload_timestamp_seconds 4998",
           "jvpn_reload_keys_waiting 1",
           "jvpn_exporter_answer_seconds 0.25",
       })
    EXPECT_TRUE(lines.contains(line)) << line;
}

TEST(Metrics, AnUnprovenOwnershipIsSeen) {
  Json show = recorded("cluster");
  EXPECT_TRUE(lines_of(show).contains("jvpn_ownership_proven 1"));
  show["ownership"].erase("safe_ms");
  show["ownership"]["silent_ms"] = 1'500;
  show["ownership"]["why"] = "etcd: no answer";
  const std::set<std::string> lines = lines_of(show);
  for (const char* line :
       {"jvpn_ownership_proven 0", "jvpn_ownership_unproven_seconds 1.5", "jvpn_store_healthy 0"})
    EXPECT_TRUE(lines.contains(line)) << line;
}

TEST(Metrics, OfManySessionsThereAreNoMoreThanOfOne) {
  Json show = recorded("gateway");
  const size_t before = lines_of(show).size();
  const Json session = {{"session_id", "0123"}, {"peer", "p"}, {"rx_bytes", 1}};
  for (int i = 0; i < 1'000; ++i) show["sessions"].push_back(session);
  EXPECT_EQ(lines_of(show).size(), before);
}

TEST(Metrics, WhatAnswersOddlyMakesNoSamples) {
  const EventMetrics events;
  const size_t down = collect_from(Json(), events).size();
  EXPECT_GT(down, 0U);
  EXPECT_TRUE(lines_of(Json()).contains("jvpn_up 0"));
  for (const char* odd : {"ports", "workers", "drops", "control", "events", "ownership", "totals",
                          "sessions", "paths", "role", "version", "reload"}) {
    Json show = recorded("gateway");
    for (const Json& value : {Json(), Json(1), Json("x"), Json::array({1}), Json{{"x", "y"}}}) {
      show[odd] = value;
      EXPECT_TRUE(lines_of(show).contains("jvpn_up 1")) << odd << " " << value;
    }
  }
}

class Events : public testing::Test {
 protected:
  /// An event of one session.
  void take(uint64_t sequence, uint64_t boot_ms, Json more, bool counted = true) {
    more.update({{"seq", sequence},
                 {"boot_ms", boot_ms},
                 {"ts_ms", 1},
                 {"node_id", "gw1"},
                 {"session_id", "0123456789abcdef0123456789abcdef"}});
    events_.take(more.dump(), counted);
  }
  void change(uint64_t sequence, uint64_t boot_ms, const char* from, const char* to,
              bool counted = true) {
    take(sequence, boot_ms,
         {{"event", "STATE_CHANGE"}, {"from", from}, {"to", to}, {"reason", "RECOVERY_START"}},
         counted);
  }
  void jump(uint64_t sequence, uint64_t boot_ms, const char* cause, uint64_t latency_ms) {
    take(sequence, boot_ms,
         {{"event", "TRANSPORT_SWITCH"},
          {"reason", "TRANSPORT_SWITCH_OK"},
          {"cause", cause},
          {"latency_ms", latency_ms}});
  }
  prometheus::ClientMetric::Histogram jumps(const char* cause) const {
    return events_.jumps().at(cause).Collect().histogram;
  }
  prometheus::ClientMetric::Histogram stays(const char* state) const {
    return events_.stays().at(state).Collect().histogram;
  }

  EventMetrics events_;
};

TEST_F(Events, JumpsAreTimedByCause) {
  jump(1, 10, "dead", 2);
  jump(2, 20, "dead", 3);
  jump(3, 30, "planned", 40);
  jump(4, 40, "a new one", 1);
  EXPECT_EQ(jumps("dead").sample_count, 2U);
  EXPECT_DOUBLE_EQ(jumps("dead").sample_sum, 0.005);
  EXPECT_EQ(jumps("dead").bucket.at(1).upper_bound, 0.002);
  EXPECT_EQ(jumps("dead").bucket.at(1).cumulative_count, 1U) << "2 ms are not more than 2 ms";
  EXPECT_EQ(jumps("planned").sample_count, 1U);
  EXPECT_EQ(events_.count(Reason::kTransportSwitchOk), 4U);
  EXPECT_EQ(events_.missed(), 0U);
}

TEST_F(Events, StaysAreTimedWhenTheyEnd) {
  change(1, 1'000, "ATTACHED", "RECOVERING");
  change(2, 1'300, "RECOVERING", "DEGRADED");
  EXPECT_DOUBLE_EQ(stays("RECOVERING").sample_sum, 0.3);
  EXPECT_EQ(stays("DEGRADED").sample_count, 0U);
  change(3, 3'300, "DEGRADED", "TERMINATED");
  EXPECT_DOUBLE_EQ(stays("DEGRADED").sample_sum, 2);
  change(4, 4'000, "VOLATILE", "ATTACHED");
  EXPECT_EQ(stays("VOLATILE").sample_count, 0U) << "it isn't known since when";
}

TEST_F(Events, WhatWasBeforeOurTimeIsKnownButNotCounted) {
  change(1, 1'000, "ATTACHED", "RECOVERING", false);
  change(2, 1'100, "RECOVERING", "ATTACHED", false);
  change(3, 2'000, "ATTACHED", "VOLATILE", false);
  EXPECT_EQ(stays("RECOVERING").sample_count, 0U);
  EXPECT_EQ(events_.count(Reason::kRecoveryStart), 0U);
  change(4, 2'500, "VOLATILE", "ATTACHED");
  EXPECT_DOUBLE_EQ(stays("VOLATILE").sample_sum, 0.5);
}

TEST_F(Events, AStreamThatBeginsAgainCountsNothingTwice) {
  for (int stream = 0; stream < 3; ++stream) {
    jump(1, 10, "dead", 2);
    jump(2, 20, "dead", 2);
    take(5, 50, {{"event", "AUDIT_EVENT"}, {"reason", "EVENTS_LOST"}, {"lost", 3}});
    jump(6, 60, "dead", 2);
  }
  EXPECT_EQ(jumps("dead").sample_count, 3U);
  EXPECT_EQ(events_.missed(), 3U) << "3, 4 and 5";
}

TEST_F(Events, AGapEndsWhatIsKnownOfStays) {
  change(1, 1'000, "ATTACHED", "VOLATILE");
  jump(4, 1'500, "dead", 2);
  change(5, 2'000, "VOLATILE", "ATTACHED");
  EXPECT_EQ(stays("VOLATILE").sample_count, 0U) << "it may have been elsewhere meanwhile";
  EXPECT_EQ(events_.missed(), 2U);
}

TEST_F(Events, AnotherRunCountsFromOneAgain) {
  for (uint64_t number = 1; number <= 9; ++number) jump(number, number, "dead", 2);
  change(10, 100, "ATTACHED", "VOLATILE");
  jump(1, 5'000, "resume", 2);
  change(2, 6'000, "VOLATILE", "ATTACHED");
  EXPECT_EQ(jumps("resume").sample_count, 1U);
  EXPECT_EQ(stays("VOLATILE").sample_count, 0U) << "of another run";
  EXPECT_EQ(events_.missed(), 0U);
}

TEST_F(Events, NonsenseIsPassedOver) {
  for (const char* line : {"", "{", "[]", "{\"error\":\"x\"}", "null", "{\"seq\":1}"})
    events_.take(line, true);
  EXPECT_EQ(events_.missed(), 0U);
}

TEST(EventMetrics, NoMoreStaysAreRememberedThanThereIsRoomFor) {
  constexpr uint64_t kRoom = 8;
  EventMetrics events(kRoom);
  uint64_t sequence = 0;
  const auto change = [&](uint64_t number, const char* from, const char* to, uint64_t boot_ms) {
    const Json line{{"event", "STATE_CHANGE"},
                    {"from", from},
                    {"to", to},
                    {"reason", "NONE"},
                    {"seq", ++sequence},
                    {"boot_ms", boot_ms},
                    {"ts_ms", 1},
                    {"node_id", "gw1"},
                    {"session_id", "s" + std::to_string(number)}};
    events.take(line.dump(), true);
  };
  for (uint64_t i = 0; i <= kRoom; ++i) change(i, "ATTACHED", "VOLATILE", 1'000);
  change(kRoom, "VOLATILE", "ATTACHED", 2'000);
  const auto stays = [&] { return events.stays().at("VOLATILE").Collect().histogram; };
  EXPECT_EQ(stays().sample_count, 0U) << "there was no room";
  change(0, "VOLATILE", "ATTACHED", 3'000);
  EXPECT_DOUBLE_EQ(stays().sample_sum, 2);
}

TEST(Exporter, ManyWhoScrapeAskTheProgramOnce) {
  const EventMetrics events;
  auto now = Exporter::Clock::time_point{} + std::chrono::hours(1);
  int asked = 0;
  bool answers = true;
  const Exporter exporter(
      [&]() -> Result<Json> {
        ++asked;
        now += std::chrono::milliseconds(250);  // it takes its time
        if (answers) return recorded("gateway");
        return Error{"can't connect"};
      },
      events, [&] { return now; });
  EXPECT_TRUE(lines_of(exporter.Collect()).contains("jvpn_up 1"));
  EXPECT_TRUE(lines_of(exporter.Collect()).contains("jvpn_exporter_answer_seconds 0.25"));
  now += Exporter::kFresh - std::chrono::milliseconds(1);
  (void)exporter.Collect();
  EXPECT_EQ(asked, 1);
  now += std::chrono::milliseconds(1);
  answers = false;
  const std::set<std::string> down = lines_of(exporter.Collect());
  EXPECT_EQ(asked, 2);
  EXPECT_TRUE(down.contains("jvpn_up 0")) << "no answer of before is told again";
  answers = true;
  now += Exporter::kFresh;
  EXPECT_TRUE(lines_of(exporter.Collect()).contains("jvpn_up 1"));
}

}  // namespace
}  // namespace jvpn::metrics
