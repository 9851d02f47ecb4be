// jvpn-perf publish: what a worker loses while the control core publishes binding updates.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <thread>

#include <fmt/format.h>
#include <rte_cycles.h>

#include "perf/jvpn_perf/bench_crew.h"
#include "perf/jvpn_perf/bench_memory.h"
#include "perf/jvpn_perf/bench_report.h"
#include "perf/jvpn_perf/bench_run.h"
#include "perf/jvpn_perf/binding_updates.h"
#include "perf/jvpn_perf/command.h"
#include "perf/jvpn_perf/environment.h"
#include "perf/jvpn_perf/interrupt.h"

namespace jvpn::perf {
namespace {

enum PublishTag : unsigned { kQuiet, kUpdating };

struct PublishDirection {
  std::string name;
  CellFigures with;
  CellFigures without;
  Spread lost_percent;
};

struct PublishResults {
  std::vector<PublishDirection> directions;
  double updates_per_s = 0;
  double publish_us = 0;
  uint64_t drops = 0;
  double tsc_hz = 0;
  BenchMemory memory;
};

/// For each direction: with updates, then without.
std::vector<BenchCell> publish_cells(const PublishOptions& options) {
  std::vector<BenchCell> cells;
  for (const Direction direction : directions_of(options.direction))
    for (const unsigned tag : {kUpdating, kQuiet})
      cells.push_back({0, direction, sizes_of(options.size), true, tag});
  return cells;
}

/// Median over all pairs of phases; least and most of the runs' own medians.
Spread lost_of(const std::vector<RunSamples>& with, const std::vector<RunSamples>& without) {
  std::vector<double> all;
  std::vector<double> of_runs;
  for (size_t run = 0; run < with.size(); ++run) {
    const std::vector<double> lost = lost_percent(with[run], without[run]);
    if (lost.empty()) continue;
    all.insert(all.end(), lost.begin(), lost.end());
    of_runs.push_back(median(lost));
  }
  Spread result = spread(of_runs);
  result.median = median(all);
  return result;
}

std::vector<PublishDirection> evaluate_publish(const PublishOptions& options,
                                               const std::vector<BenchCell>& cells,
                                               const BenchCrew& crew) {
  const CellFacts facts{mean_bytes(sizes_of(options.size)), 1,
                        static_cast<double>(rte_get_tsc_hz())};
  std::vector<PublishDirection> directions;
  for (size_t cell = 0; cell + 1 < cells.size(); cell += 2) {
    const auto& with = crew.samples()[cell];
    const auto& without = crew.samples()[cell + 1];
    directions.push_back({to_string(cells[cell].direction), figures_of(with, facts),
                          figures_of(without, facts), lost_of(with, without)});
  }
  return directions;
}

Result<PublishResults> measure_publish(const PublishOptions& options) {
  const BenchRig::Options shape{
      {options.sessions, options.suite, 1}, 1, options.batch, options.tuning};
  auto memory = start_bench(BenchRig::megabytes(shape) + BindingUpdates::megabytes(shape), 1,
                            options.small_pages);
  if (!memory) return memory.error();
  auto rig = BenchRig::create(shape);
  if (!rig) return rig.error();
  WorkerTime time;
  auto updates = BindingUpdates::create(**rig, time, options.updates_per_second);
  if (!updates) return updates.error();

  const std::vector<BenchCell> cells = publish_cells(options);
  BenchCrew::Options crew_options{
      .bench = options.shared(), .phase_ms = options.slice_ms, .time = &time};
  crew_options.before = [&](const BenchCell& cell) { (*updates)->direct(cell.tag == kUpdating); };
  auto crew = BenchCrew::create({rig->get()}, cells, std::move(crew_options));
  if (!crew) return crew.error();
  RunProgress progress(options.seconds, "measuring");
  auto done = (*crew)->run([&] {
    (*updates)->turn();
    progress.show_sometimes((*crew)->elapsed_ms());
  });
  if (!done) return done.error();
  if (const uint64_t refused = (*rig)->gateway().publisher().failures(); refused != 0)
    return Error{fmt::format("the publisher refused {} bindings", refused)};
  if (auto checked = check_lost(**crew, {rig->get()}); !checked) return checked.error();
  return PublishResults{evaluate_publish(options, cells, **crew),
                        (*updates)->per_second(),
                        (*updates)->publish_us(),
                        (*rig)->gateway().all_drops(),
                        static_cast<double>(rte_get_tsc_hz()),
                        *std::move(memory)};
}

double worst_loss(const PublishResults& results) {
  double worst = -100;
  for (const PublishDirection& direction : results.directions)
    worst = std::max(worst, direction.lost_percent.median);
  return worst;
}

std::string publish_table(const PublishOptions& options, const PublishResults& results,
                          const Environment& environment) {
  std::string text = fmt::format(
      "{}, inner packets of {} bytes, {} sessions at random, 1 worker; control core publishes\n"
      "{:.0f} binding updates for each second of the worker's time, {:.2f} us each\n\n",
      to_string(options.suite), options.size, options.sessions, results.updates_per_s,
      results.publish_us);
  std::vector<std::pair<std::string, CellFigures>> rows;
  for (const PublishDirection& direction : results.directions) {
    rows.emplace_back(direction.name, direction.with);
    rows.emplace_back(" quiet", direction.without);
  }
  text += cell_table(rows) + "\n";
  for (const PublishDirection& direction : results.directions)
    text += fmt::format("{} loses {:.2f} % of its throughput (runs {:.2f} to {:.2f} %)\n",
                        direction.name, direction.lost_percent.median, direction.lost_percent.min,
                        direction.lost_percent.max);
  text += "In quiet slices the control core does the same work on tables that nobody reads.\n";
  text += fmt::format("\ndrops    {}\n", results.drops);
  return text + footer_of(options, results.memory, environment);
}

nlohmann::ordered_json publish_json(const PublishOptions& options, const PublishResults& results,
                                    const Environment& environment) {
  std::vector<std::pair<std::string, nlohmann::ordered_json>> directions;
  for (const PublishDirection& direction : results.directions) {
    auto json = cell_json(direction.with, results.drops, results.tsc_hz);
    json["without_updates"] = cell_json(direction.without, results.drops, results.tsc_hz);
    put_spread(json, "throughput_lost_percent", direction.lost_percent);
    directions.emplace_back(direction.name, std::move(json));
  }
  nlohmann::ordered_json common{{"updates_per_s", results.updates_per_s}};
  if (results.directions.size() > 1) common["throughput_lost_percent"] = worst_loss(results);
  common["publish_us"] = results.publish_us;
  common["updates_per_s_asked"] = options.updates_per_second;
  common["control_core"] = "equally busy in both kinds of slices: the same work on unread tables";
  common["size"] = size_json(options.size);
  common["sessions"] = options.sessions;
  common["slice_ms"] = options.slice_ms;
  common.update(bench_json(options, results.memory, environment));
  return join_directions(std::move(directions), common);
}

int run_publish(PublishOptions options) {
  if (std::thread::hardware_concurrency() < 2) {
    std::fputs("jvpn-perf publish: needs two CPUs, one for the worker, one for control\n", stderr);
    return kExitFailed;
  }
  catch_interrupts();
  options.seed = seed_of(options.seed);
  const Environment environment = describe_environment();
  const auto results = measure_publish(options);
  if (!results) return report_failure("publish", results.error());
  return print_result(options.json ? publish_json(options, *results, environment).dump(2) + "\n"
                                   : publish_table(options, *results, environment));
}

}  // namespace

Command add_publish(CLI::App& app) {
  auto options = std::make_shared<PublishOptions>();
  CLI::App* parser = app.add_subcommand(
      "publish", "What a worker loses while the control core publishes binding updates");
  add_publish_options(*parser, *options);
  return {parser, [options] { return run_publish(*options); }};
}

}  // namespace jvpn::perf
