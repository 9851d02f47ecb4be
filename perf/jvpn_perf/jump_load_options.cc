// The pure parts of `jvpn-perf jump-load`.
#include <CLI/CLI.hpp>

#include "perf/jvpn_perf/jump_load.h"
#include "perf/jvpn_perf/statistics.h"

namespace jvpn::perf {

void add_jump_load_options(CLI::App& parser, JumpLoadOptions& options) {
  parser.add_option("--sessions", options.sessions, "sessions that carry the traffic")
      ->check(CLI::Range(1U, 10'000U))
      ->capture_default_str();
  parser.add_option("--jumps-per-second", options.jumps_per_second, "of all sessions together")
      ->check(CLI::Range(1U, 100'000U))
      ->capture_default_str();
  parser.add_option("--pairs", options.pairs, "of slices, one with jumps and one without")
      ->check(CLI::Range(1U, 10'000U))
      ->capture_default_str();
  parser.add_option("--slice-ms", options.slice_ms, "length of a slice")
      ->check(CLI::Range(10U, 10'000U))
      ->capture_default_str();
  parser.add_option("--bytes", options.bytes, "of an inner packet")
      ->check(CLI::Range(64U, 1'400U))
      ->capture_default_str();
  parser.add_option("--seed", options.seed, "of the slices' order; 0: a fresh one");
  parser.add_flag("--json", options.json, "one JSON object on stdout");
}

double throughput_loss_percent(const std::vector<SlicePair>& pairs) {
  std::vector<double> losses;
  for (const SlicePair& pair : pairs)
    if (pair.mpps_without > 0) losses.push_back(100 * (1 - pair.mpps_with / pair.mpps_without));
  return median(losses);
}

}  // namespace jvpn::perf
