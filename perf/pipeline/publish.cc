// jvpn-perf publish: what a worker loses while the control core publishes binding updates.
#include <algorithm>

#include "perf/pipeline/bench_crew.h"
#include "perf/pipeline/paced_updates.h"

namespace jvpn::perf {
namespace {

/// For records that wait for their grace period, at most 65 536 of each of two reclaimers.
constexpr size_t kDeferredMegabytes = 2 * 65'536 * sizeof(TxRecord) >> 20;

/// For each direction: with updates, then without.
std::vector<BenchCell> publish_cells(const PublishOptions& options) {
  std::vector<BenchCell> cells;
  for (const Direction direction : directions_of(options.direction))
    for (const bool updates : {true, false})
      cells.push_back({0, direction, sizes_of(options.size), true, updates});
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

std::string publish_table(const NamedCells& directions, const Json& common) {
  std::string text = render(
      "{suite}, inner packets of {size} bytes, {sessions} sessions at random, 1 worker; control "
      "core publishes\n{updates_per_s:.0f} binding updates for each second of the worker's time, "
      "{publish_us:.2f} us each\n\n",
      common);
  NamedCells rows;
  for (const auto& [name, cell] : directions) {
    rows.emplace_back(name, cell);
    rows.emplace_back(" quiet", cell["without_updates"]);
  }
  text += cell_table(rows) + "\n";
  for (const auto& [name, cell] : directions)
    text += name + render(
                       " loses {throughput_lost_percent:.2f} % of its throughput (runs "
                       "{throughput_lost_percent_min:.2f} to "
                       "{throughput_lost_percent_max:.2f} %)\n",
                       cell);
  return text +
         "In quiet slices the control core does the same work on tables that nobody reads.\n" +
         render("\ndrops      {drops}\n", directions.front().second);
}

Measured evaluate_publish(const PublishOptions& options, const BenchPages& pages,
                          const BenchCrew& crew, const PacedUpdates& updates) {
  NamedCells directions;
  double worst = -100;
  for (const Direction direction : directions_of(options.direction)) {
    const size_t with = 2 * directions.size();
    const Spread lost = lost_of(crew.samples()[with], crew.samples()[with + 1]);
    Json json = crew.figures(with);
    json["without_updates"] = crew.figures(with + 1);
    put_spread(json, "throughput_lost_percent", lost);
    directions.emplace_back(to_string(direction), std::move(json));
    worst = std::max(worst, lost.median);
  }
  Json common{
      {"suite", to_string(options.suite)},
      {"updates_per_s", updates.per_second()},
      {"publish_us", updates.publish_us()},
      {"updates_per_s_asked", options.updates_per_second},
      {"control_core", "equally busy in both kinds of slices: the same work on unread tables"},
      {"size", size_json(options.size)},
      {"sessions", options.sessions},
      {"slice_ms", options.slice_ms}};
  if (directions.size() > 1) common["throughput_lost_percent"] = worst;
  return bench_result(options, pages, join_directions(directions, common),
                      publish_table(directions, common));
}

/// Updates go to the worker's own tables, or to a twin of them that nobody reads: the work is the
/// same, and only what the worker feels of it differs.
Result<Measured> measure_publish(const PublishOptions& options) {
  const BenchRig::Options shape{
      {options.sessions, options.suite, 1}, 1, options.batch, options.tuning};
  const auto bench =
      start_bench({shape}, options.small_pages, BenchRig::megabytes(shape) + kDeferredMegabytes);
  if (!bench) return bench.error();
  BenchRig& rig = *bench->rigs.front();
  const auto table = SessionTable::create(options.sessions);
  if (!table) return table.error();
  const auto twin = BenchSessions::create(**table, rig.gateway().dataplane(), shape.sessions);
  if (!twin) return twin.error();
  uint32_t next = 0;
  const auto update = [&](bool felt) {
    next = (next + 1) % options.sessions;
    (felt ? rig.sessions() : **twin).rebind(next);
    return true;
  };
  const auto clean_up = [&] {
    rig.sessions().reclaimer().reclaim();
    (*twin)->reclaimer().reclaim();
    return true;
  };
  WorkerTime time;
  PacedUpdates updates(rig.worker(), options.updates_per_second, &time, {update, clean_up});
  const auto crew =
      BenchCrew::measure(bench->rigs, publish_cells(options),
                         {.bench = options,
                          .phase_ms = options.slice_ms,
                          .time = &time,
                          .before = [&](const BenchCell& cell) { updates.direct(cell.updates); }},
                         [&] { updates.turn(); });
  if (!crew) return crew.error();
  return evaluate_publish(options, bench->pages, **crew, updates);
}

}  // namespace

Command add_publish(CLI::App& app) {
  return make_command(app, "publish",
                      "What a worker loses while the control core publishes binding updates",
                      {.cpus = 2, .why = "two CPUs, one for the worker, one for control"},
                      add_publish_options, measure_publish);
}

}  // namespace jvpn::perf
