// jvpn-perf publish: what a worker loses while the control core publishes binding updates.
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
      cells.push_back({0, direction, sizes_of(options.size), Team::kAll, updates});
  return cells;
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
  return (*crew)->measured(
      bench->pages,
      {{"updates_per_s", updates.per_second()},
       {"publish_us", updates.publish_us()},
       {"updates_per_s_asked", options.updates_per_second},
       {"control_core", "equally busy in both kinds of slices: the same work on unread tables"},
       {"sessions", options.sessions},
       {"slice_ms", options.slice_ms}});
}

}  // namespace

Command add_publish(CLI::App& app) {
  return make_command(app, "publish",
                      "What a worker loses while the control core publishes binding updates",
                      {.cpus = 2, .why = "two CPUs, one for the worker, one for control"},
                      add_publish_options, measure_publish);
}

}  // namespace jvpn::perf
