// jvpn-perf pipeline: shipping workers between in-memory ports, beside the raw AEAD.
#include <thread>

#include "perf/pipeline/bench_crew.h"

namespace jvpn::perf {
namespace {

/// For each direction: all workers, and (if that differs) the first of them alone.
std::vector<BenchCell> pipeline_cells(const PipelineOptions& options) {
  std::vector<BenchCell> cells;
  for (const Direction direction : directions_of(options.direction)) {
    cells.push_back({0, direction, sizes_of(options.size), true});
    if (options.workers > 1) cells.push_back({0, direction, sizes_of(options.size), false});
  }
  return cells;
}

Result<Measured> measure_pipeline(const PipelineOptions& options) {
  if (options.workers > std::thread::hardware_concurrency()) return Error{"more workers than CPUs"};
  const BenchRig::Options shape{{options.sessions, options.suite, options.lanes},
                                options.workers,
                                options.batch,
                                options.tuning};
  const auto bench = start_bench({shape}, options.small_pages);
  if (!bench) return bench.error();
  const std::vector<BenchCell> cells = pipeline_cells(options);
  const auto crew = BenchCrew::measure(bench->rigs, cells, {.bench = options});
  if (!crew) return crew.error();
  return (*crew)->measured(
      bench->pages,
      {{"sessions", options.sessions}, {"workers", options.workers}, {"lanes", options.lanes}});
}

}  // namespace

Command add_pipeline(CLI::App& app) {
  return make_command(
      app, "pipeline",
      "What a packet costs in shipping workers, beside the raw AEAD in the same run", {},
      add_pipeline_options, measure_pipeline);
}

}  // namespace jvpn::perf
