#include "perf/jvpn_perf/pipeline_options.h"

#include <map>
#include <numeric>

#include <CLI/CLI.hpp>

#include "common/limits.h"

namespace jvpn::perf {
namespace {

constexpr unsigned kLeastSize = 40;
constexpr unsigned kMostSize = 1'440;  ///< what a tunnel over 1500 bytes takes
constexpr uint32_t kMostRing = 8'192;

const std::map<std::string, Suite>& suites() {
  static const std::map<std::string, Suite> names{{"aes-128-gcm", Suite::kAes128Gcm},
                                                  {"aes-256-gcm", Suite::kAes256Gcm},
                                                  {"chacha20-poly1305", Suite::kChaCha20Poly1305}};
  return names;
}

std::string check_size(const std::string& text) {
  if (text == "imix") return {};
  return CLI::Range(kLeastSize, kMostSize)(std::string(text));
}

void add_bench_options(CLI::App& parser, BenchOptions& options) {
  parser.add_option("--suite", options.suite, "of all sessions")
      ->transform(CLI::CheckedTransformer(suites()).description(
          "aes-128-gcm|aes-256-gcm|chacha20-poly1305"));
  parser.add_option("--seconds", options.seconds, "of the measurement")
      ->check(CLI::Range(0.1, 86'400.0))
      ->capture_default_str();
  parser.add_option("--runs", options.runs, "that the time is divided into; medians are over them")
      ->check(CLI::Range(1U, 1'000U))
      ->capture_default_str();
  parser.add_option("--batch", options.batch, "packets prepared at once")
      ->check(CLI::Range(uint32_t{kMaxBurst}, kMostRing))
      ->capture_default_str();
  parser
      .add_option("--batches", options.batches, "of a slice, before raw and pipeline change over")
      ->check(CLI::Range(1U, 1'000U))
      ->capture_default_str();
  parser.add_option("--burst", options.tuning.burst, "packets that a worker takes at once")
      ->check(CLI::Range(size_t{1}, kMaxBurst))
      ->capture_default_str();
  parser
      .add_option("--prefetch-ahead", options.tuning.prefetch_ahead,
                  "packets between fetching a key and using it")
      ->check(CLI::Range(uint16_t{0}, kMaxAhead))
      ->capture_default_str();
  parser.add_option("--seed", options.seed, "of sessions and slices' order; 0: a fresh one");
  parser.add_flag("--small-pages", options.small_pages, "no 2 MB pages, even if there are any");
  parser.add_flag("--json", options.json, "one JSON object on stdout");
}

void add_direction(CLI::App& parser, std::string& direction) {
  parser.add_option("--direction", direction, "seal: inside to outside; open: the way back")
      ->check(CLI::IsMember({"seal", "open", "both"}))
      ->capture_default_str();
}

CLI::Option* check_sizes(CLI::Option* option) {
  return option->check(check_size, "40-1440|imix")->capture_default_str();
}

CLI::Option* add_sessions(CLI::App& parser, uint32_t& sessions) {
  return parser.add_option("--sessions", sessions, "that packets are spread over at random")
      ->check(CLI::Range(1U, kMaxPeers))
      ->capture_default_str();
}

}  // namespace

const char* to_string(Direction direction) {
  return direction == Direction::kSeal ? "seal" : "open";
}

void add_pipeline_options(CLI::App& parser, PipelineOptions& options) {
  add_bench_options(parser, options);
  add_direction(parser, options.direction);
  check_sizes(parser.add_option("--size", options.size, "of inner IP packets, in bytes"));
  add_sessions(parser, options.sessions);
  parser.add_option("--workers", options.workers, "each on an lcore of its own")
      ->check(CLI::Range(size_t{1}, kMaxWorkers))
      ->capture_default_str();
  parser.add_option("--lanes", options.lanes, "of a session; 0: one for each worker")
      ->check(CLI::Range(size_t{0}, kMaxLanes));
  parser.final_callback([&options] {
    if (options.lanes == 0) options.lanes = options.workers;
    if (options.lanes % options.workers != 0)
      throw CLI::ValidationError("--lanes", "expected a multiple of --workers");
  });
}

void add_publish_options(CLI::App& parser, PublishOptions& options) {
  add_bench_options(parser, options);
  add_direction(parser, options.direction);
  check_sizes(parser.add_option("--size", options.size, "of inner IP packets, in bytes"));
  add_sessions(parser, options.sessions);
  parser.add_option("--updates-per-second", options.updates_per_second, "of bindings")
      ->check(CLI::Range(1U, 10'000'000U))
      ->capture_default_str();
  parser.add_option("--slice-ms", options.slice_ms, "length of a slice with or without updates")
      ->check(CLI::Range(5U, 10'000U))
      ->capture_default_str();
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

double mean_bytes(const std::vector<uint16_t>& sizes) {
  return static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), size_t{0})) /
         static_cast<double>(sizes.size());
}

}  // namespace jvpn::perf
