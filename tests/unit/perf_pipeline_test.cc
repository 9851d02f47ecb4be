// The pure parts of jvpn-perf pipeline, publish and scale: options, figures, their JSON, hugepages.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "perf/harness/hugepages.h"
#include "perf/pipeline/pipeline_options.h"
#include "perf/pipeline/samples.h"
#include "tests/support/rooms.h"
#include "tests/unit/parsed_options.h"

namespace jvpn::perf {
namespace {

// ---- The command lines.

TEST(PipelineCommandLine, TakesItsOptions) {
  const auto parsed = parse_with(
      add_pipeline_options,
      {"--suite", "chacha20-poly1305", "--direction", "open", "--size", "imix", "--sessions",
       "1048576", "--workers", "2", "--lanes", "4", "--seconds", "2.5", "--runs", "3", "--json"});
  ASSERT_TRUE(parsed.ok);
  EXPECT_EQ(parsed.options.suite, Suite::kChaCha20Poly1305);
  EXPECT_EQ(parsed.options.direction, "open");
  EXPECT_EQ(parsed.options.size, "imix");
  EXPECT_EQ(parsed.options.sessions, 1'048'576U);
  EXPECT_EQ(parsed.options.workers, 2);
  EXPECT_EQ(parsed.options.lanes, 4);
  EXPECT_EQ(parsed.options.seconds, 2.5);
  EXPECT_EQ(parsed.options.runs, 3U);
  EXPECT_TRUE(parsed.options.json);
}

TEST(PipelineCommandLine, EveryWorkerHasALane) {
  EXPECT_EQ(parse_with(add_pipeline_options, {}).options.lanes, 1);
  EXPECT_EQ(parse_with(add_pipeline_options, {"--workers", "3"}).options.lanes, 3);
  EXPECT_FALSE(parse_with(add_pipeline_options, {"--workers", "2", "--lanes", "3"}).ok);
  EXPECT_FALSE(parse_with(add_pipeline_options, {"--workers", "2", "--lanes", "1"}).ok);
}

TEST(PipelineCommandLine, RefusesWhatMakesNoSense) {
  for (const auto& words : std::vector<std::vector<std::string>>{{"--suite", "rot13"},
                                                                 {"--direction", "up"},
                                                                 {"--size", "39"},
                                                                 {"--size", "1441"},
                                                                 {"--size", "mixed"},
                                                                 {"--sessions", "0"},
                                                                 {"--sessions", "1048577"},
                                                                 {"--workers", "0"},
                                                                 {"--runs", "0"},
                                                                 {"--batch", "31"},
                                                                 {"--seconds", "0"}})
    EXPECT_FALSE(parse_with(add_pipeline_options, words).ok) << testing::PrintToString(words);
}

TEST(PublishCommandLine, TakesItsOptions) {
  const auto parsed =
      parse_with(add_publish_options, {"--updates-per-second", "5000", "--slice-ms", "20"});
  ASSERT_TRUE(parsed.ok);
  EXPECT_EQ(parsed.options.updates_per_second, 5'000U);
  EXPECT_EQ(parsed.options.slice_ms, 20U);
  EXPECT_EQ(parse_with(add_publish_options, {}).options.updates_per_second, 100'000U);
  EXPECT_FALSE(parse_with(add_publish_options, {"--updates-per-second", "0"}).ok);
}

TEST(ScaleCommandLine, TakesLists) {
  const auto parsed =
      parse_with(add_scale_options, {"--sessions", "1,1000000", "--size", "64,imix"});
  ASSERT_TRUE(parsed.ok);
  EXPECT_EQ(parsed.options.sessions, (std::vector<uint32_t>{1, 1'000'000}));
  EXPECT_EQ(parsed.options.sizes, (std::vector<std::string>{"64", "imix"}));
  EXPECT_EQ(parse_with(add_scale_options, {}).options.sessions.size(), 6U);
  EXPECT_FALSE(parse_with(add_scale_options, {"--sessions", "1,0"}).ok);
  EXPECT_FALSE(parse_with(add_scale_options, {"--size", "64,20"}).ok);
}

TEST(PipelineSizes, ImixIsSevenFourOne) {
  EXPECT_EQ(sizes_of("1420"), std::vector<uint16_t>{1'420});
  EXPECT_EQ(sizes_of("imix").size(), 12U);
  EXPECT_NEAR(mean_bytes(sizes_of("imix")), (7 * 64 + 4 * 570 + 1'420) / 12.0, 1e-9);
  EXPECT_EQ(directions_of("both"), (std::vector{Direction::kSeal, Direction::kOpen}));
  EXPECT_EQ(directions_of("open"), std::vector{Direction::kOpen});
}

// ---- What follows from samples.

RunSamples run_of(const std::vector<SliceSample>& slices) {
  RunSamples run;
  run.slices = slices;
  run.phases = {0};
  run.packets = slices.size() * 1'000;
  return run;
}

TEST(Samples, ARunGivesMediansOfNeighbours) {
  // The machine gets twice as slow for the last two pairs: ratios don't notice.
  const RunFigures figures = figures_of(run_of({{100, 50}, {110, 50}, {200, 100}, {220, 100}}));
  EXPECT_EQ(figures.cycles, 155);
  EXPECT_EQ(figures.raw, 75);
  EXPECT_NEAR(figures.ratio, 2.1, 1e-9);
  EXPECT_EQ(figures.overhead, 80);
}

TEST(Samples, ACellGivesSpreadsOverItsRuns) {
  const std::vector<RunSamples> runs{run_of({{100, 50}}), run_of({{120, 50}}), run_of({{90, 45}}),
                                     RunSamples{}};  // the last one was never begun
  const Json cell = cell_json(runs, {.bytes = 125, .workers = 2, .tsc_hz = 1e9});
  EXPECT_EQ(cell["cycles_per_packet"], 100);
  EXPECT_EQ(cell["cycles_per_packet_min"], 90);
  EXPECT_EQ(cell["cycles_per_packet_max"], 120);
  EXPECT_EQ(cell["overhead_cycles"], 50);
  EXPECT_EQ(cell["ratio_max"], 2.4);
  EXPECT_EQ(cell["mpps"], 20);  // two workers, 1e9 / 100 cycles each
  EXPECT_EQ(cell["gbps"], 20);
  EXPECT_EQ(cell["packets"], 3'000U);
}

TEST(Samples, ScalingIsTheGainOverRawsGain) {
  const std::vector<RunSamples> alone{run_of({{100, 50}}), run_of({{100, 50}})};
  const std::vector<RunSamples> together{run_of({{125, 80}}), run_of({{100, 50}})};
  const Json scaling = scaling_json(alone, together, 2);
  EXPECT_EQ(scaling["workers"], 2);
  EXPECT_EQ(scaling["gain_min"], 1.6);
  EXPECT_EQ(scaling["gain_max"], 2);
  EXPECT_EQ(scaling["raw_gain_min"], 1.25);
  EXPECT_NEAR(scaling["gain_over_raw_gain_max"].get<double>(), 1.28, 1e-9);
  EXPECT_EQ(scaling["gain_over_raw_gain_min"], 1);
}

TEST(Samples, LossIsOfPhasesOfTheSameRound) {
  RunSamples with = run_of({{125, 1}, {125, 1}, {999, 1}, {100, 1}});
  RunSamples without = run_of({{100, 1}, {100, 1}, {100, 1}});
  with.phases = {0, 3};
  without.phases = {0, 2};
  const std::vector<double> lost = lost_percent(with, without);
  ASSERT_EQ(lost.size(), 2U);
  EXPECT_NEAR(lost[0], 20, 1e-9);
  EXPECT_NEAR(lost[1], 0, 1e-9);
  EXPECT_TRUE(lost_percent({}, without).empty());
}

TEST(Samples, CyclesOverAReference) {
  const std::vector<RunSamples> many{run_of({{300, 1}}), run_of({{330, 1}})};
  const std::vector<RunSamples> few{run_of({{100, 1}}), run_of({{100, 1}})};
  EXPECT_NEAR(cycles_over(many, few).median, 3.15, 1e-9);
  EXPECT_NEAR(cycles_over(many, few).max, 3.3, 1e-9);
}

// ---- The JSON that other programs read.

Json some_cell() {
  std::vector<RunSamples> runs{run_of({{100, 50}}), run_of({{120, 50}})};
  runs[0].stages.emplace_back();
  runs[0].stages[0][static_cast<size_t>(Stage::kSeal)] = 55;
  return cell_json(runs, {.bytes = 64, .workers = 1, .tsc_hz = 2e9, .drops = 3});
}

TEST(BenchJson, MediansHaveThePlainKeys) {
  const Json json = some_cell();
  for (const char* key :
       {"cycles_per_packet", "raw_cycles_per_packet", "overhead_cycles", "ratio", "mpps", "gbps"}) {
    EXPECT_TRUE(json.contains(key) && json[key].is_number()) << key;
    EXPECT_TRUE(json.contains(std::string(key) + "_min")) << key;
    EXPECT_TRUE(json.contains(std::string(key) + "_max")) << key;
  }
  EXPECT_EQ(json["cycles_per_packet"], 110);
  EXPECT_EQ(json["cycles_per_packet_max"], 120);
  EXPECT_EQ(json["drops"], 3);
  EXPECT_EQ(json["tsc_hz"], 2e9);
  EXPECT_EQ(json["stages"], (nlohmann::ordered_json{{"seal", 55}}));
  EXPECT_FALSE(json.contains("scaling"));
}

TEST(BenchJson, TemplatesTakeFiguresFromObjectsWithin) {
  const Json json{
      {"count", 3}, {"name", "x"}, {"up", {{"p50", 1.25}, {"p99", 2}}}, {"none", nullptr}};
  EXPECT_EQ(render("{name}: {count:>3} {up_p50:.1f} {up_p99}", json), "x:   3 1.2 2");
}

TEST(BenchJson, OneDirectionStandsOnTopSeveralInObjects) {
  const Json cell = some_cell();
  const nlohmann::ordered_json common{{"suite", "aes-128-gcm"}};
  const auto one = join_directions({{"seal", cell}}, common);
  EXPECT_EQ(one["cycles_per_packet"], 110);
  EXPECT_EQ(one["direction"], "seal");
  EXPECT_EQ(one["suite"], "aes-128-gcm");
  const auto both = join_directions({{"seal", cell}, {"open", cell}}, common);
  EXPECT_EQ(both["open"]["cycles_per_packet"], 110);
  EXPECT_EQ(both["suite"], "aes-128-gcm");
  EXPECT_FALSE(both.contains("cycles_per_packet"));
}

TEST(BenchTable, NamesDirectionsAndStages) {
  const std::string table = cell_table({{"seal", some_cell()}});
  EXPECT_NE(table.find("110.0 (100.0-120.0)"), std::string::npos) << table;
  EXPECT_NE(table.find("seal 55.0"), std::string::npos) << table;
  EXPECT_EQ(table.find("replay"), std::string::npos) << table;
}

// ---- Hugepages, in a folder that looks like the kernel's.

class Hugepages : public testing::Test {
 protected:
  Hugepages() {
    std::string path = std::filesystem::temp_directory_path() / "jvpn-hugepages-XXXXXX";
    folder_ = mkdtemp(path.data());
  }
  ~Hugepages() override { std::filesystem::remove_all(folder_); }

  void set(size_t total, size_t free) {
    std::ofstream(folder_ + "/nr_hugepages") << total;
    std::ofstream(folder_ + "/free_hugepages") << free;
  }
  size_t total() const {
    size_t count = 0;
    std::ifstream(folder_ + "/nr_hugepages") >> count;
    return count;
  }

  std::string folder_;
};

TEST_F(Hugepages, FreeOnesAreEnough) {
  set(10, 8);
  {
    const auto pages = reserve_hugepages(16, folder_);
    EXPECT_TRUE(pages.ok());
    EXPECT_EQ(total(), 10U);
  }
  EXPECT_EQ(total(), 10U);
}

TEST_F(Hugepages, ThoseThatWereMadeGoBack) {
  set(5, 0);
  std::filesystem::remove(folder_ + "/free_hugepages");
  std::filesystem::create_symlink("nr_hugepages", folder_ + "/free_hugepages");  // all are free
  {
    auto pages = reserve_hugepages(16, folder_);
    ASSERT_TRUE(pages.ok());
    const auto moved = *std::move(pages);
    EXPECT_EQ(total(), 8U);
  }
  EXPECT_EQ(total(), 5U);
}

TEST_F(Hugepages, WhatTheKernelCantGiveIsPutBack) {
  set(10, 8);
  EXPECT_FALSE(reserve_hugepages(17, folder_).ok());  // free_hugepages stays as it is
  EXPECT_EQ(total(), 10U);
}

TEST_F(Hugepages, AKernelWithoutThem) {
  EXPECT_FALSE(reserve_hugepages(2, folder_).ok());
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/nr_hugepages"));
}

}  // namespace
}  // namespace jvpn::perf
