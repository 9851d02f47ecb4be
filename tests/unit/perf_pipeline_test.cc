// The pure parts of jvpn-perf pipeline, publish and scale: options, hugepages.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "perf/harness/hugepages.h"
#include "perf/pipeline/bench_processes.h"
#include "perf/pipeline/pipeline_options.h"
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
  EXPECT_EQ(directions_of("both"), (std::vector{Direction::kSeal, Direction::kOpen}));
  EXPECT_EQ(directions_of("open"), std::vector{Direction::kOpen});
}

// ---- Processes to compare with.

TEST(BenchProcesses, EachMeasuresWhatAllAreAskedFor) {
  const auto body = [](const BenchLink& link) -> Result<void> {
    BenchPhase phase;
    while (link.await(phase)) {
      link.barrier->meet();
      const double mine = 100.0 * link.number + static_cast<double>(phase.cell);
      if (!link.send(std::vector<BenchSlice>(phase.pairs, {mine, 1}))) break;
    }
    return {};
  };
  const auto processes = BenchProcesses::start(2, body);
  ASSERT_TRUE(processes) << processes.error().message;
  for (size_t cell = 0; cell < 3; ++cell) {
    ASSERT_TRUE((*processes)->begin({.cell = cell, .pairs = 2, .seed = 1}));
    for (uint16_t process = 0; process < 2; ++process) {
      std::vector<BenchSlice> samples(2);
      ASSERT_TRUE((*processes)->collect(process, samples));
      EXPECT_EQ(samples[1].pipeline, 100.0 * process + static_cast<double>(cell));
    }
  }
  EXPECT_TRUE((*processes)->end());
}

TEST(BenchProcesses, FailWithOneThatFails) {
  const auto unready = BenchProcesses::start(
      2, [](const BenchLink&) -> Result<void> { return Error{"expected in this test"}; });
  EXPECT_FALSE(unready);
  const auto late = BenchProcesses::start(1, [](const BenchLink& link) -> Result<void> {
    BenchPhase phase;
    link.await(phase);
    return Error{"expected in this test"};
  });
  ASSERT_TRUE(late);
  EXPECT_FALSE((*late)->end());
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
