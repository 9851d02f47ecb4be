// jvpn-perf pipeline: shipping workers between in-memory ports, beside the raw AEAD.
#include <thread>

#include "perf/pipeline/bench_crew.h"

namespace jvpn::perf {
namespace {

/// For each direction: all workers and, if that differs, the first of them alone and as many
/// processes.
std::vector<BenchCell> pipeline_cells(const PipelineOptions& options) {
  std::vector<BenchCell> cells;
  for (const Direction direction : directions_of(options.direction)) {
    for (const Team team : {Team::kAll, Team::kFirst, Team::kProcesses})
      if (team == Team::kAll || options.workers > 1)
        cells.push_back({0, direction, sizes_of(options.size), team});
  }
  return cells;
}

BenchRig::Options rig_of(const PipelineOptions& options, uint16_t workers) {
  const auto lanes = static_cast<uint16_t>(options.lanes / options.workers * workers);
  return {{options.sessions, options.suite, lanes}, workers, options.batch, options.tuning};
}

/// One of the processes that the workers are compared with.
Result<void> serve(const PipelineOptions& options, const BenchLink& link) {
  const auto bench =
      start_bench({rig_of(options, 1)}, options.small_pages, 0, uint32_t{link.number} + 1);
  if (!bench) return bench.error();
  return BenchCrew::serve(bench->rigs, pipeline_cells(options), {.bench = options, .link = &link});
}

Result<Measured> measure_pipeline(const PipelineOptions& options) {
  if (options.workers > std::thread::hardware_concurrency()) return Error{"more workers than CPUs"};
  const auto processes =
      BenchProcesses::start(options.workers > 1 ? options.workers : 0,
                            [&](const BenchLink& link) { return serve(options, link); });
  if (!processes) return processes.error();
  const auto bench = start_bench({rig_of(options, options.workers)}, options.small_pages);
  if (!bench) return bench.error();
  const std::vector<BenchCell> cells = pipeline_cells(options);
  const auto crew =
      BenchCrew::measure(bench->rigs, cells, {.bench = options, .processes = processes->get()});
  if (!crew) return crew.error();
  if (auto ended = (*processes)->end(); !ended) return ended.error();
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
