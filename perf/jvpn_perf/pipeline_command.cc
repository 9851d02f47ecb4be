// jvpn-perf pipeline: shipping workers between in-memory ports, beside the raw AEAD.
#include <cstdio>
#include <memory>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <rte_cycles.h>

#include "perf/jvpn_perf/bench_crew.h"
#include "perf/jvpn_perf/bench_memory.h"
#include "perf/jvpn_perf/bench_report.h"
#include "perf/jvpn_perf/bench_run.h"
#include "perf/jvpn_perf/command.h"
#include "perf/jvpn_perf/environment.h"
#include "perf/jvpn_perf/interrupt.h"

namespace jvpn::perf {
namespace {

struct PipelineResults {
  std::vector<std::pair<std::string, CellFigures>> directions;
  std::vector<std::optional<Scaling>> scaling;  ///< with several workers; by direction
  uint64_t drops = 0;
  double tsc_hz = 0;
  BenchMemory memory;
};

/// For each direction: all workers, and (if that differs) the first of them alone.
std::vector<BenchCell> pipeline_cells(const PipelineOptions& options) {
  std::vector<BenchCell> cells;
  for (const Direction direction : directions_of(options.direction)) {
    cells.push_back({0, direction, sizes_of(options.size), true});
    if (options.workers > 1) cells.push_back({0, direction, sizes_of(options.size), false});
  }
  return cells;
}

PipelineResults evaluate_pipeline(const PipelineOptions& options,
                                  const std::vector<BenchCell>& cells, const BenchCrew& crew) {
  PipelineResults results;
  results.tsc_hz = static_cast<double>(rte_get_tsc_hz());
  const CellFacts facts{mean_bytes(sizes_of(options.size)), options.workers, results.tsc_hz};
  for (size_t cell = 0; cell < cells.size(); ++cell) {
    if (!cells[cell].all_workers) continue;
    const auto& runs = crew.samples()[cell];
    results.directions.emplace_back(to_string(cells[cell].direction), figures_of(runs, facts));
    results.scaling.emplace_back();
    if (options.workers > 1)
      results.scaling.back() = scaling_of(crew.samples()[cell + 1], runs, options.workers);
  }
  return results;
}

Result<PipelineResults> measure_pipeline(const PipelineOptions& options) {
  const BenchRig::Options shape{{options.sessions, options.suite, options.lanes},
                                options.workers,
                                options.batch,
                                options.tuning};
  auto memory = start_bench(BenchRig::megabytes(shape), options.workers, options.small_pages);
  if (!memory) return memory.error();
  auto rig = BenchRig::create(shape);
  if (!rig) return rig.error();
  const std::vector<BenchCell> cells = pipeline_cells(options);
  auto crew = BenchCrew::create({rig->get()}, cells, {.bench = options.shared()});
  if (!crew) return crew.error();
  if (auto done = run_with_progress(**crew, options.seconds, "measuring"); !done)
    return done.error();
  if (auto checked = check_lost(**crew, {rig->get()}); !checked) return checked.error();
  PipelineResults results = evaluate_pipeline(options, cells, **crew);
  results.drops = (*rig)->gateway().all_drops();
  results.memory = *std::move(memory);
  return results;
}

std::string pipeline_table(const PipelineOptions& options, const PipelineResults& results,
                           const Environment& environment) {
  std::string text = fmt::format(
      "{}, inner packets of {} bytes, {} sessions at random, {} worker{}, {} lane{} a session\n\n",
      to_string(options.suite), options.size, options.sessions, options.workers,
      options.workers == 1 ? "" : "s", options.lanes, options.lanes == 1 ? "" : "s");
  text += cell_table(results.directions);
  for (size_t i = 0; i < results.scaling.size(); ++i) {
    if (!results.scaling[i]) continue;
    const Scaling& scaling = *results.scaling[i];
    text += fmt::format(
        "\n{}: {} workers carry {:.2f} times what one does; raw IPsec-MB {:.2f} times; {:.3f} of "
        "it\n",
        results.directions[i].first, scaling.workers, scaling.gain.median, scaling.raw_gain.median,
        scaling.gain_over_raw_gain.median);
  }
  text += fmt::format("\ndrops    {}\n", results.drops);
  return text + footer_of(options, results.memory, environment);
}

nlohmann::ordered_json pipeline_json(const PipelineOptions& options, const PipelineResults& results,
                                     const Environment& environment) {
  std::vector<std::pair<std::string, nlohmann::ordered_json>> directions;
  for (size_t i = 0; i < results.directions.size(); ++i) {
    const auto& [name, figures] = results.directions[i];
    directions.emplace_back(name,
                            cell_json(figures, results.drops, results.tsc_hz, results.scaling[i]));
  }
  nlohmann::ordered_json common = bench_json(options, results.memory, environment);
  common["size"] = size_json(options.size);
  common["sessions"] = options.sessions;
  common["workers"] = options.workers;
  common["lanes"] = options.lanes;
  return join_directions(std::move(directions), common);
}

int run_pipeline(PipelineOptions options) {
  if (options.workers > std::thread::hardware_concurrency()) {
    std::fputs("jvpn-perf pipeline: more workers than CPUs\n", stderr);
    return kExitFailed;
  }
  catch_interrupts();
  options.seed = seed_of(options.seed);
  const Environment environment = describe_environment();
  const auto results = measure_pipeline(options);
  if (!results) return report_failure("pipeline", results.error());
  return print_result(options.json ? pipeline_json(options, *results, environment).dump(2) + "\n"
                                   : pipeline_table(options, *results, environment));
}

}  // namespace

Command add_pipeline(CLI::App& app) {
  auto options = std::make_shared<PipelineOptions>();
  CLI::App* parser = app.add_subcommand(
      "pipeline", "What a packet costs in shipping workers, beside the raw AEAD in the same run");
  add_pipeline_options(*parser, *options);
  return {parser, [options] { return run_pipeline(*options); }};
}

}  // namespace jvpn::perf
