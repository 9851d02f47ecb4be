// jvpn-perf scale: what a packet costs as the number of sessions grows, and what a session takes.
#include "perf/pipeline/bench_crew.h"

namespace jvpn::perf {
namespace {

constexpr unsigned kScaleWarmUp = 4;  ///< pairs until the caches know this number of sessions
constexpr Direction kBoth[] = {Direction::kSeal, Direction::kOpen};

/// In the order of the rows: for each number of sessions and size both directions.
std::vector<BenchCell> scale_cells(const ScaleOptions& options) {
  std::vector<BenchCell> cells;
  for (size_t rig = 0; rig < options.sessions.size(); ++rig)
    for (const std::string& size : options.sizes)
      for (const Direction direction : kBoth) cells.push_back({rig, direction, sizes_of(size)});
  return cells;
}

Result<Measured> measure_scale(const ScaleOptions& options) {
  // A gateway for each number of sessions, all at once: so their phases can take turns.
  std::vector<BenchRig::Options> rigs;
  for (const uint32_t sessions : options.sessions)
    rigs.push_back({{sessions, options.suite, 1}, 1, options.batch, options.tuning});
  const auto bench = start_bench(rigs, options.small_pages);
  if (!bench) return bench.error();
  const auto crew = BenchCrew::measure(bench->rigs, scale_cells(options),
                                       {.bench = options, .warm_up = kScaleWarmUp});
  if (!crew) return crew.error();
  Measured measured = (*crew)->measured(bench->pages, {});
  for (const auto& rig : bench->rigs)
    measured.json["rigs"].push_back({{"sessions", rig->sessions().shape().count},
                                     {"table_bytes", rig->table_bytes()},
                                     {"setup_sessions_per_s", rig->sessions().attached_per_s()}});
  return measured;
}

}  // namespace

Command add_scale(CLI::App& app) {
  return make_command(
      app, "scale", "What a packet costs as the number of sessions grows, and what a session takes",
      {}, add_scale_options, measure_scale);
}

}  // namespace jvpn::perf
