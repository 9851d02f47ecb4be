// jvpn-perf publish: what a worker loses while the control core publishes binding updates.
#include <algorithm>
#include <atomic>

#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_pause.h>

#include "control/publish/publisher.h"
#include "control/publish/reclaimer.h"
#include "perf/harness/keep.h"
#include "perf/pipeline/bench_run.h"
#include "perf/pipeline/frames.h"

namespace jvpn::perf {
namespace {

constexpr size_t kMostDeferred = 65'536;  ///< records, of each reclaimer

/// Binding updates at a steady pace, through the shipping publisher: to the worker's own tables, or
/// to a twin of them that nobody reads. The work is the same, so both kinds of slices have an
/// equally busy neighbour, and only what the worker feels of the updates differs.
///
/// The pace follows the worker's time: while its packets are prepared, nothing is published, as if
/// it were never interrupted.
class BindingUpdates {
 public:
  /// `rig` and `time` outlive it. Control thread.
  BindingUpdates(BenchRig& rig, const WorkerTime& time, uint32_t updates_per_second)
      : rig_(rig),
        time_(time),
        interval_(rte_get_tsc_hz() / updates_per_second),
        most_behind_(rte_get_tsc_hz() / 1'000),
        worker_{&rig.gateway().publisher(), &rig.sessions(), &rig.gateway().reclaimer()} {}

  /// DPDK's memory that the twin takes, and records that wait for their grace period.
  static size_t megabytes(const BenchRig::Options& options) {
    return BenchRig::megabytes(options) + (2 * kMostDeferred * sizeof(TxRecord) >> 20);
  }

  /// The twin's tables, with all sessions attached.
  Result<void> make_twin() {
    MemoryGateway& gateway = rig_.gateway();
    auto done = keep(twin_table_, SessionTable::create(rig_.sessions().shape().count));
    if (!done) return done;
    twin_reclaimer_ = std::make_unique<publish::Reclaimer>(gateway.rcu(), kMostDeferred);
    auto publisher =
        publish::Publisher::create(*twin_table_, *twin_reclaimer_, gateway.ports(), rig_.workers());
    if (done = keep(twin_publisher_, std::move(publisher)); !done) return done;
    twin_sessions_ = std::make_unique<BenchSessions>(*twin_publisher_, twin_table_->slot_bits(),
                                                     rig_.sessions().shape());
    twin_ = {twin_publisher_.get(), twin_sessions_.get(), twin_reclaimer_.get()};
    return twin_sessions_->attach();
  }

  /// Control thread, again and again: publishes when it is time, reclaims.
  void turn() {
    const uint64_t worker_cycles = time_.at(rte_rdtsc());
    const bool wanted = wanted_.load(std::memory_order_acquire);
    if (wanted != to_worker_) change_over(wanted, worker_cycles);
    if (worker_cycles >= due_) {
      due_ = std::max(due_ + interval_, worker_cycles - std::min(worker_cycles, most_behind_));
      update(to_worker_ ? worker_ : twin_);
    }
    worker_.reclaimer->reclaim();
    twin_.reclaimer->reclaim();
    directed_.store(to_worker_, std::memory_order_release);
    rte_pause();
  }

  /// Worker's lcore: from now on updates go to the worker's tables, or to the twin. Returns when
  /// they do; polls the worker meanwhile.
  void direct(bool to_worker) {
    wanted_.store(to_worker, std::memory_order_release);
    while (directed_.load(std::memory_order_acquire) != to_worker)
      rig_.gateway().worker().poll_once();
  }

  /// Updates of the worker's tables for each second of the worker's time in those slices.
  double per_second() const {
    uint64_t cycles = worker_.worker_cycles;
    if (to_worker_) cycles += time_.at(rte_rdtsc()) - worker_.first_cycles;
    return cycles == 0 ? 0 : static_cast<double>(worker_.updates) / seconds(cycles);
  }
  /// Mean time of the control core for an update.
  double publish_us() const {
    return updates_ == 0 ? 0 : seconds(spent_) * 1e6 / static_cast<double>(updates_);
  }

 private:
  /// A publisher with its tables and sessions.
  struct Target {
    publish::Publisher* publisher = nullptr;
    const BenchSessions* sessions = nullptr;
    publish::Reclaimer* reclaimer = nullptr;
    uint64_t updates = 0;
    uint64_t first_cycles = 0;   ///< of the worker's time, when its latest turn began
    uint64_t worker_cycles = 0;  ///< in its turns before
  };

  static double seconds(uint64_t cycles) {
    return static_cast<double>(cycles) / static_cast<double>(rte_get_tsc_hz());
  }

  void change_over(bool to_worker, uint64_t worker_cycles) {
    Target& before = to_worker ? twin_ : worker_;
    before.worker_cycles += worker_cycles - before.first_cycles;
    (to_worker ? worker_ : twin_).first_cycles = worker_cycles;
    to_worker_ = to_worker;
  }

  /// The send side anew, as after a jump to another port; the receive side is told its remote
  /// again.
  void update(Target& target) {
    const uint64_t begun = rte_rdtsc();
    next_ = (next_ + 1) % target.sessions->shape().count;
    const BenchBinding binding = target.sessions->binding(next_, ++binding_);
    target.publisher->install_tx(tx_of(binding), kPeerMac);
    target.publisher->bind_rx(binding.index, outer_of(next_, kPeerPort));
    ++target.updates;
    ++updates_;
    spent_ += rte_rdtsc() - begun;
  }

  BenchRig& rig_;
  const WorkerTime& time_;
  uint64_t interval_;
  uint64_t most_behind_;  ///< that it catches up with when it was off its CPU
  std::unique_ptr<SessionTable> twin_table_;
  std::unique_ptr<publish::Reclaimer> twin_reclaimer_;
  std::unique_ptr<publish::Publisher> twin_publisher_;
  std::unique_ptr<BenchSessions> twin_sessions_;
  Target worker_;
  Target twin_;
  bool to_worker_ = false;
  uint64_t due_ = 0;
  uint32_t next_ = 0;
  uint32_t binding_ = 1;
  uint64_t spent_ = 0;
  uint64_t updates_ = 0;
  alignas(64) std::atomic<bool> wanted_{false};  ///< writer: the worker's lcore
  alignas(64) std::atomic<bool> directed_{false};
};

enum PublishTag : unsigned { kQuiet, kUpdating };

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

Result<Measured> evaluate_publish(const PublishOptions& options, const BenchMemory& memory,
                                  const BenchCrew& crew, const BindingUpdates& updates,
                                  uint64_t drops) {
  const CellFacts facts{mean_bytes(sizes_of(options.size)), 1,
                        static_cast<double>(rte_get_tsc_hz()), drops};
  NamedCells directions;
  double worst = -100;
  for (const Direction direction : directions_of(options.direction)) {
    const auto& with = crew.samples()[2 * directions.size()];
    const auto& without = crew.samples()[2 * directions.size() + 1];
    const Spread lost = lost_of(with, without);
    Json json = cell_json(with, facts);
    json["without_updates"] = cell_json(without, facts);
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
  return bench_result(options, memory, join_directions(directions, common),
                      publish_table(directions, common));
}

Result<Measured> measure_publish(const PublishOptions& options) {
  const BenchRig::Options shape{
      {options.sessions, options.suite, 1}, 1, options.batch, options.tuning};
  const auto memory = start_bench(BenchRig::megabytes(shape) + BindingUpdates::megabytes(shape), 1,
                                  options.small_pages);
  if (!memory) return memory.error();
  auto rig = BenchRig::create(shape);
  if (!rig) return rig.error();
  WorkerTime time;
  BindingUpdates updates(**rig, time, options.updates_per_second);
  if (auto made = updates.make_twin(); !made) return made.error();
  BenchCrew::Options crew_options{.bench = options, .phase_ms = options.slice_ms, .time = &time};
  crew_options.before = [&](const BenchCell& cell) { updates.direct(cell.tag == kUpdating); };
  auto crew = BenchCrew::create({rig->get()}, publish_cells(options), std::move(crew_options));
  if (!crew) return crew.error();
  auto done = run_crew(**crew, {rig->get()}, options.seconds, [&] { updates.turn(); });
  if (!done) return done.error();
  if (const uint64_t refused = (*rig)->gateway().publisher().failures(); refused != 0)
    return Error{fmt::format("the publisher refused {} bindings", refused)};
  return evaluate_publish(options, *memory, **crew, updates, (*rig)->gateway().all_drops());
}

}  // namespace

Command add_publish(CLI::App& app) {
  return make_command(app, "publish",
                      "What a worker loses while the control core publishes binding updates",
                      {.cpus = 2, .why = "two CPUs, one for the worker, one for control"},
                      add_publish_options, measure_publish);
}

}  // namespace jvpn::perf
