#include "perf/pipeline/pipeline_options.h"

#include <CLI/CLI.hpp>

#include "common/limits.h"
#include "perf/harness/options.h"

namespace jvpn::perf {
namespace {

constexpr unsigned kLeastSize = 40;
constexpr unsigned kMostSize = 1'440;  ///< what a tunnel over 1500 bytes takes
constexpr uint32_t kMostRing = 8'192;

std::string check_size(const std::string& text) {
  if (text == "imix") return {};
  return CLI::Range(kLeastSize, kMostSize)(std::string(text));
}

void add_bench_options(CLI::App& parser, BenchOptions& options) {
  add_suite(parser, options.suite);
  add_number(parser, "--seconds", options.seconds, 0.1, 86'400, "of the measurement");
  add_number(parser, "--runs", options.runs, 1, 1'000,
             "that the time is divided into; medians are over them");
  add_number(parser, "--batch", options.batch, kMaxBurst, kMostRing, "packets prepared at once");
  add_number(parser, "--batches", options.batches, 1, 1'000,
             "of a slice, before raw and pipeline change over");
  add_number(parser, "--burst", options.tuning.burst, 1, kMaxBurst,
             "packets that a worker takes at once");
  add_number(parser, "--prefetch-ahead", options.tuning.prefetch_ahead, 0, kMaxAhead,
             "packets between fetching a key and using it");
  add_seed(parser, options.seed);
  parser.add_flag("--small-pages", options.small_pages, "no 2 MB pages, even if there are any");
  add_json(parser, options.json);
}

CLI::Option* check_sizes(CLI::Option* option) {
  return option->check(check_size, "40-1440|imix")->capture_default_str();
}

void add_traffic_options(CLI::App& parser, TrafficOptions& options) {
  add_bench_options(parser, options);
  parser
      .add_option("--direction", options.direction, "seal: inside to outside; open: the way back")
      ->check(CLI::IsMember({"seal", "open", "both"}))
      ->capture_default_str();
  check_sizes(parser.add_option("--size", options.size, "of inner IP packets, in bytes"));
  add_number(parser, "--sessions", options.sessions, 1, kMaxPeers,
             "that packets are spread over at random");
}

}  // namespace

const char* to_string(Direction direction) {
  return direction == Direction::kSeal ? "seal" : "open";
}

void add_pipeline_options(CLI::App& parser, PipelineOptions& options) {
  add_traffic_options(parser, options);
  add_number(parser, "--workers", options.workers, 1, kMaxWorkers, "each on an lcore of its own");
  parser.add_option("--lanes", options.lanes, "of a session; 0: one for each worker")
      ->check(CLI::Range(size_t{0}, kMaxLanes));
  parser.final_callback([&options] {
    if (options.lanes == 0) options.lanes = options.workers;
    if (options.lanes % options.workers != 0)
      throw CLI::ValidationError("--lanes", "expected a multiple of --workers");
  });
}

void add_publish_options(CLI::App& parser, PublishOptions& options) {
  add_traffic_options(parser, options);
  add_number(parser, "--updates-per-second", options.updates_per_second, 1, 10'000'000,
             "of bindings");
  add_number(parser, "--slice-ms", options.slice_ms, 5, 10'000,
             "length of a slice with or without updates");
}

void add_scale_options(CLI::App& parser, ScaleOptions& options) {
  add_bench_options(parser, options);
  parser.add_option("--sessions", options.sessions, "numbers of them, one after the other")
      ->delimiter(',')
      ->check(CLI::Range(1U, kMaxPeers))
      ->expected(1, 12)
      ->capture_default_str();
  check_sizes(
      parser.add_option("--size", options.sizes, "of inner IP packets, in bytes")->delimiter(','));
}

std::vector<Direction> directions_of(const std::string& text) {
  if (text == "seal") return {Direction::kSeal};
  if (text == "open") return {Direction::kOpen};
  return {Direction::kSeal, Direction::kOpen};
}

std::vector<uint16_t> sizes_of(const std::string& text) {
  if (text == "imix") return {64, 64, 64, 64, 64, 64, 64, 570, 570, 570, 570, 1'420};
  return {static_cast<uint16_t>(std::stoul(text))};
}

}  // namespace jvpn::perf
