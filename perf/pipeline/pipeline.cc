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

std::string pipeline_table(const NamedCells& directions, const Json& common) {
  std::string text = render(
      "{suite}, inner packets of {size} bytes, {sessions} sessions at random, workers: {workers}, "
      "lanes a session: {lanes}\n\n",
      common);
  text += cell_table(directions) + "\n";
  for (const auto& [name, cell] : directions)
    if (cell.contains("scaling"))
      text += name + render(
                         ": {workers} workers carry {gain:.2f} times what one does; raw "
                         "IPsec-MB {raw_gain:.2f} times; {gain_over_raw_gain:.3f} of it\n",
                         cell["scaling"]);
  return text + render("drops      {drops}\n", directions.front().second);
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
  NamedCells directions;
  for (size_t cell = 0; cell < cells.size(); ++cell) {
    if (!cells[cell].all_workers) continue;
    Json& json =
        directions.emplace_back(to_string(cells[cell].direction), (*crew)->figures(cell)).second;
    const auto& samples = (*crew)->samples();
    if (options.workers > 1)
      json["scaling"] = scaling_json(samples[cell + 1], samples[cell], options.workers);
  }
  const Json common{{"suite", to_string(options.suite)},
                    {"size", size_json(options.size)},
                    {"sessions", options.sessions},
                    {"workers", options.workers},
                    {"lanes", options.lanes}};
  return bench_result(options, bench->pages, join_directions(directions, common),
                      pipeline_table(directions, common));
}

}  // namespace

Command add_pipeline(CLI::App& app) {
  return make_command(
      app, "pipeline",
      "What a packet costs in shipping workers, beside the raw AEAD in the same run", {},
      add_pipeline_options, measure_pipeline);
}

}  // namespace jvpn::perf
