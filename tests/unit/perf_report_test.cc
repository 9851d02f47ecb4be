// `jvpn-perf report`: what it reads, what it calls better, what it writes.
#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "perf/jvpn_perf/report_chart.h"
#include "perf/jvpn_perf/report_page.h"
#include "perf/jvpn_perf/report_plots.h"
#include "perf/jvpn_perf/report_results.h"
#include "tests/support/rooms.h"

namespace jvpn::perf {
namespace {

PerfResult result(const std::string& text, const std::string& file = "a.json") {
  const auto results = parse_results(file, text);
  EXPECT_TRUE(results.ok()) << results.error().message;
  return results->front();
}

std::vector<std::string> keys(const std::vector<Figure>& figures) {
  std::vector<std::string> names;
  for (const Figure& figure : figures) names.push_back(figure.key);
  return names;
}

size_t occurrences(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// Every element is closed, in order: what a browser would otherwise guess at.
void expect_closed(const std::string& html, const std::string& element) {
  EXPECT_EQ(occurrences(html, "<" + element + ">") + occurrences(html, "<" + element + " "),
            occurrences(html, "</" + element + ">"))
      << element;
}

TEST(ReportResults, CommandIsSaidOrGuessed) {
  struct Case {
    const char* text;
    const char* command;
  };
  for (const Case& c : {Case{R"({"command": "pipeline", "p99_blocked_ms": 1})", "pipeline"},
                        Case{R"({"p99_blocked_ms": 1})", "jump"},
                        Case{R"({"throughput_loss_percent": 1})", "jump-load"},
                        Case{R"({"command": 3})", "unknown"}, Case{"{}", "unknown"}})
    EXPECT_EQ(result(c.text).command, c.command) << c.text;
}

TEST(ReportResults, OneSeveralOrLines) {
  EXPECT_EQ(parse_results("f", R"({"a": 1})")->size(), 1U);
  EXPECT_EQ(parse_results("f", R"([{"a": 1}, {"a": 2}])")->size(), 2U);
  EXPECT_EQ(parse_results("f", "{\"a\": 1}\n\n{\"a\": 2}\n{\"a\": 3}\n")->size(), 3U);
}

TEST(ReportResults, BadFilesAreNamed) {
  struct Case {
    const char* text;
    const char* why;
  };
  for (const Case& c :
       {Case{"{\"a\": ", "not JSON"}, Case{"", "empty"}, Case{"7", "number"}, Case{"[1]", "number"},
        Case{"{}\nnot", "not JSON"}, Case{"\"text\"", "string"}}) {
    const auto results = parse_results("some/file.json", c.text);
    ASSERT_FALSE(results.ok()) << c.text;
    EXPECT_TRUE(results.error().message.starts_with("some/file.json: ")) << results.error().message;
    EXPECT_NE(results.error().message.find(c.why), std::string::npos) << results.error().message;
  }
  EXPECT_TRUE(load_results("/nonexistent/x.json").error().message.starts_with("/nonexistent"));
}

TEST(ReportResults, FiguresWithoutSettings) {
  const PerfResult scale = result(R"({"command": "scale", "seed": 4, "sessions": 9, "drops": 0,
      "environment": {"cpus": 2}, "tsc_hz": 2e9, "samples": [1, 2],
      "seal": {"stages": {"lookup": 3.5}}, "rows": [{"sessions": 10, "mpps": 2}, {"x": 1}]})");
  EXPECT_EQ(keys(figures_in(scale)),
            (std::vector<std::string>{"drops", "seal.stages.lookup", "rows[10].mpps"}));
}

TEST(ReportResults, WhichDirectionIsBetter) {
  struct Case {
    const char* command;
    const char* key;
    Better better;
  };
  constexpr auto kLower = Better::kLower;
  constexpr auto kHigher = Better::kHigher;
  constexpr auto kNeither = Better::kNeither;
  for (const Case& c : {Case{"pipeline", "cycles_per_packet", kLower},
                        Case{"pipeline", "raw_cycles_per_packet", kNeither},
                        Case{"pipeline", "seal.overhead_cycles", kLower},
                        Case{"pipeline", "seal.ratio", kLower},
                        Case{"pipeline", "open.mpps", kHigher},
                        Case{"pipeline", "gbps", kHigher},
                        Case{"pipeline", "open.stages.lookup", kLower},
                        Case{"pipeline", "packets", kNeither},
                        Case{"scale", "rows[1000].seal.cycles_per_packet", kLower},
                        Case{"handshake", "ratio", kHigher},
                        Case{"handshake", "handshakes_per_s", kHigher},
                        Case{"handshake", "raw_x25519_per_s", kNeither},
                        Case{"handshake", "responder_us.rest", kLower},
                        Case{"jump", "p99_blocked_ms", kLower},
                        Case{"jump", "bound_ms", kNeither},
                        Case{"jump", "p99_over_bound_ms", kLower},
                        Case{"jump", "rtt_ms", kNeither},
                        Case{"jump", "lost_packets", kLower},
                        Case{"jump", "offered_packets", kNeither},
                        Case{"jump", "tcp_kept", kHigher},
                        Case{"jump-load", "throughput_loss_percent", kLower},
                        Case{"jump-load", "mpps_with", kHigher},
                        Case{"jump-load", "jumps_per_s", kNeither},
                        Case{"ndr", "ndr_mpps", kHigher},
                        Case{"ndr", "lost_below_ndr", kLower},
                        Case{"ndr", "latency_us[50].p99_9", kLower},
                        Case{"peers", "peers[jvpn].gbps", kHigher},
                        Case{"peers", "peers[jvpn].cpu_s", kLower},
                        Case{"peers", "jvpn_over_wireguard_go", kHigher},
                        Case{"new", "something", kNeither}})
    EXPECT_EQ(static_cast<int>(better_direction(c.command, c.key)), static_cast<int>(c.better))
        << c.command << " " << c.key;
}

TEST(ReportResults, ChangesAreJudged) {
  const PerfResult before = result(
      R"({"command": "pipeline", "cycles_per_packet": 200, "mpps": 10, "drops": 0, "packets": 5,
          "ratio": 1.0, "mpps_min": 1, "gone": 1})");
  const PerfResult after = result(
      R"({"command": "pipeline", "cycles_per_packet": 150, "mpps": 9, "drops": 3, "packets": 50,
          "ratio": 1.005, "mpps_min": 2, "fresh": 1})");
  const std::vector<Change> changes = compare(before, after);
  ASSERT_EQ(changes.size(), 5U);
  EXPECT_EQ(changes[0].percent, -25);
  EXPECT_EQ(changes[0].verdict, Verdict::kBetter);
  EXPECT_NEAR(*changes[1].percent, -10, 1e-9);
  EXPECT_EQ(changes[1].verdict, Verdict::kWorse);
  EXPECT_FALSE(changes[2].percent);
  EXPECT_EQ(changes[2].verdict, Verdict::kWorse);
  EXPECT_EQ(changes[3].verdict, Verdict::kUnjudged);
  EXPECT_EQ(changes[4].verdict, Verdict::kSame);
}

TEST(ReportResults, SameSettingsAreMatchedFirst) {
  const std::vector<PerfResult> before{
      result(R"({"command": "jump", "fault": "planned"})", "b0"),
      result(R"({"command": "jump", "fault": "blackhole"})", "b1"),
      result(R"({"command": "ndr", "size": 64})", "b2"),
  };
  const std::vector<PerfResult> after{
      result(R"({"command": "jump", "fault": "blackhole"})"),
      result(R"({"command": "jump", "fault": "nat-rebind"})"),
      result(R"({"command": "jump", "fault": "link-down"})"),
      result(R"({"command": "ndr", "size": 64})"),
  };
  const auto found = match(before, after);
  EXPECT_EQ(found[0], &before[1]);
  EXPECT_EQ(found[1], &before[0]);
  EXPECT_EQ(found[2], nullptr);
  EXPECT_EQ(found[3], &before[2]);
}

TEST(ReportChart, Escapes) {
  EXPECT_EQ(escape_html("<a href=\"x\">'&'</a>"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
}

TEST(ReportChart, Numbers) {
  struct Case {
    double value;
    const char* text;
  };
  for (const Case& c :
       {Case{0, "0"}, Case{1.5, "1.5"}, Case{0.012346, "0.01235"}, Case{999, "999"},
        Case{1'000, "1 000"}, Case{1'234'567, "1 234 567"}, Case{-12'345, "-12 345"}})
    EXPECT_EQ(number_text(c.value), c.text);
}

TEST(ReportChart, NothingToDrawIsNothing) {
  EXPECT_EQ(bar_chart("t", "u", {}), "");
  EXPECT_EQ(line_chart("t", "u", {}, false, {}), "");
}

// Values no axis can show, one point, all the same: no division by zero, no "nan" in the page.
TEST(ReportChart, OddValuesAreDrawn) {
  const std::vector<std::vector<std::pair<double, double>>> curves{
      {}, {{1, 1}}, {{1, 0}, {2, 0}}, {{0, 5}, {-1, 5}}, {{10, 1e-9}, {1'000, 1e12}}};
  for (const auto& points : curves) {
    for (const bool logarithmic : {false, true}) {
      const std::string svg =
          line_chart("t", "u", {"x", logarithmic, {}}, logarithmic, {{"l", points}});
      EXPECT_EQ(svg.find("nan"), std::string::npos) << svg;
      EXPECT_EQ(svg.find("inf"), std::string::npos) << svg;
    }
  }
  const std::string bars = bar_chart("t", "u", {{"a", {{"x", 0}, {"y", -3}}, {}}});
  EXPECT_EQ(bars.find("<rect"), std::string::npos);
  EXPECT_EQ(bars.find("nan"), std::string::npos);
}

const char* const kEveryCommand[] = {
    R"({"command": "pipeline", "suite": "aes-128-gcm", "environment": {"cpu": "c"},
        "seal": {"cycles_per_packet": 120, "raw_cycles_per_packet": 80, "stages": {"rx": 20, "seal": 90}},
        "open": {"cycles_per_packet": 140, "raw_cycles_per_packet": 80, "stages": {}}})",
    R"({"command": "pipeline", "direction": "seal", "cycles_per_packet": 120, "mpps": 10})",
    R"({"command": "scale", "rows": [{"sessions": 1, "direction": "open", "cycles_per_packet": 100},
        {"sessions": 1000, "seal": {"cycles_per_packet": 200, "mpps": 5}}]})",
    R"({"command": "publish", "publish_us": 3})",
    R"({"command": "jump", "fault": "planned", "interrupted": true,
        "distribution": [{"over_ms": 0, "up_to_ms": 0, "jumps": 4}, {"over_ms": 0, "up_to_ms": 1, "jumps": 2}]})",
    R"({"command": "jump-load", "mpps_with": 3, "mpps_without": 4})",
    R"({"command": "ndr", "ndr_mpps": 1, "pdr_mpps": 2, "latency_us":
        [{"load_percent": 10, "p50": 3, "p90": 4, "p99": 5, "p99_9": 6, "max": 70}]})",
    R"({"command": "handshake", "raw_x25519_per_s": 4, "responder": {"handshakes_per_s": 1},
        "both_sides": {"handshakes_per_s": 0.5}})",
    R"({"command": "peers", "peers": [{"peer": "jvpn", "gbps": 2, "gbps_min": 1, "gbps_max": 3},
        {"peer": "openvpn", "status": "not installed"}]})"};

TEST(ReportPage, EveryCommandHasItsPlotAndTable) {
  std::vector<PerfResult> results;
  for (const char* text : kEveryCommand) results.push_back(result(text));
  results.push_back(result(R"({"command": "other", "speed": 77.25})", "other.json"));
  const std::string page = report_page(results, std::nullopt);
  for (const PerfResult& one : results) {
    const bool drawn = one.command != "publish" && one.command != "other";
    EXPECT_EQ(plots_of(one.command, {&one}).empty(), !drawn) << one.command;
    EXPECT_NE(page.find(">" + one.command + "</span>"), std::string::npos) << one.command;
  }
  EXPECT_NE(page.find("77.25"), std::string::npos);
  EXPECT_NE(page.find("environment not stated"), std::string::npos);
  EXPECT_NE(page.find("Interrupted"), std::string::npos);
  EXPECT_EQ(page.find("Compared"), std::string::npos);
  for (const char* element : {"svg", "figure", "table", "details", "text", "rect", "h3"})
    expect_closed(page, element);
}

// Wrong types everywhere: a report of what is right in it, no exception.
TEST(ReportPage, OddResultsAreTolerated) {
  const char* const values[] = {"null", "[]",     "{}",   "\"x\"", "[1]",
                                "[{}]", "[null]", "true", "-1e300"};
  for (const char* command :
       {"pipeline", "scale", "jump", "jump-load", "ndr", "handshake", "peers"}) {
    for (const char* key :
         {"seal", "rows", "stages", "distribution", "latency_us", "peers", "responder",
          "environment", "options", "ndr_mpps", "interrupted", "cycles_per_packet", "suite"}) {
      for (const char* value : values) {
        const std::string text =
            std::string(R"({"command": ")") + command + R"(", ")" + key + R"(": )" + value + "}";
        const std::vector<PerfResult> results{result(text)};
        EXPECT_NO_THROW(report_page(results, results)) << text;
      }
    }
  }
}

TEST(ReportPage, WhatComesFromFilesIsEscaped) {
  const std::string bad = "<script>alert(1)</script>\\\"'";
  std::vector<PerfResult> results;
  for (const char* command : {"jump", "pipeline", "peers", "ndr"}) {
    results.push_back(result(
        R"({"command": ")" + std::string(command) + R"(", "suite": ")" + bad + R"(", "fault": ")" +
            bad + R"(", ")" + bad + R"(": 1, "environment": {")" + bad + R"(": ")" + bad +
            R"("}, "failure": ")" + bad + R"(", "cycles_per_packet": 3, "stages": {")" + bad +
            R"(": 3}, "peers": [{"peer": ")" + bad + R"(", "gbps": 1}], "distribution":
            [{"over_ms": 0, "up_to_ms": 1, "jumps": 1}], "latency_us": [{"load_percent": 1, "p50": 1}]})",
        bad));
  }
  results.push_back(result(R"({"command": ")" + bad + R"("})"));
  EXPECT_EQ(report_page(results, results).find("<script"), std::string::npos);
}

TEST(ReportPage, Comparison) {
  const std::vector<PerfResult> before{
      result(R"({"command": "jump", "fault": "planned", "p99_blocked_ms": 10})", "old.json")};
  const std::vector<PerfResult> after{
      result(R"({"command": "jump", "fault": "planned", "p99_blocked_ms": 12})", "new.json"),
      result(R"({"command": "ndr", "ndr_mpps": 1})")};
  const std::string page = report_page(after, before);
  EXPECT_NE(page.find("+20.0 %"), std::string::npos);
  EXPECT_NE(page.find("class=\"worse\">worse"), std::string::npos);
  EXPECT_NE(page.find("old.json"), std::string::npos);
  EXPECT_NE(page.find("Nothing to compare with"), std::string::npos);
  expect_closed(page, "table");
}

// One file, which fetches nothing.
TEST(ReportPage, IsSelfContained) {
  const std::string page = report_page({result(kEveryCommand[0])}, std::nullopt);
  for (const char* outside : {"http://", "https://", "src=", "href=", "@import", "url("})
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  EXPECT_NE(page.find("prefers-color-scheme: dark"), std::string::npos);
}

}  // namespace
}  // namespace jvpn::perf
