#include "perf/pipeline/bench_crew.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "common/assert.h"
#include "dataplane/eal.h"
#include "dataplane/own_ipsec_mb.h"
#include "perf/harness/interrupt.h"
#include "perf/harness/progress.h"

namespace jvpn::perf {
namespace {

using BenchClock = std::chrono::steady_clock;

double ms_since(BenchClock::time_point begun) {
  return std::chrono::duration<double, std::milli>(BenchClock::now() - begun).count();
}

}  // namespace

Result<std::unique_ptr<BenchCrew>> BenchCrew::measure(
    const std::vector<std::unique_ptr<BenchRig>>& rigs, std::vector<BenchCell> cells,
    Options options, const std::function<void()>& turn) {
  std::unique_ptr<BenchCrew> crew(new BenchCrew(rigs, std::move(cells), std::move(options)));
  auto done = crew->make_slices();
  if (done) done = crew->run(turn);
  if (!done) return done.error();
  return crew;
}

Result<void> BenchCrew::serve(const std::vector<std::unique_ptr<BenchRig>>& rigs,
                              std::vector<BenchCell> cells, Options options) {
  BenchCrew crew(rigs, std::move(cells), std::move(options));
  auto done = crew.make_slices();
  if (!done) return done;
  while (crew.options_.link->await(crew.phase_)) {
    crew.launch({});
    if (!crew.options_.link->send(crew.seats_.front().slices)) break;
  }
  return crew.check();
}

Json BenchCrew::json_of(const Run& run) {
  Json stages;
  for (size_t stage = 0; stage < kStages; ++stage) {
    Json& cycles = stages[kStageNames[stage]] = Json::array();
    for (const auto& of_phase : run.stages) cycles.push_back(of_phase[stage]);
  }
  return {{"pipeline", run.pipeline},
          {"raw", run.raw},
          {"phases", run.phases},
          {"stages", std::move(stages)},
          {"packets", run.packets}};
}

Json BenchCrew::cells() const {
  Json cells = Json::array();
  for (size_t cell = 0; cell < cells_.size(); ++cell) {
    const BenchCell& kind = cells_[cell];
    Json runs = Json::array();
    for (const Run& run : runs_[cell]) runs.push_back(json_of(run));
    cells.push_back({{"rig", kind.rig},
                     {"direction", to_string(kind.direction)},
                     {"sizes", kind.sizes},
                     {"workers", crew_of(cell)},
                     {"tsc_hz", static_cast<double>(rte_get_tsc_hz())},
                     {"drops", rigs_[kind.rig]->gateway().all_drops()},
                     {"runs", std::move(runs)}});
  }
  return cells;
}

Measured BenchCrew::measured(const BenchPages& pages, const Json& facts) const {
  const BenchOptions& asked = options_.bench;
  Json all{{"suite", to_string(asked.suite)},
           {"seconds", asked.seconds},
           {"runs", asked.runs},
           {"batch", asked.batch},
           {"batches", asked.batches},
           {"burst", asked.tuning.burst},
           {"prefetch_ahead", asked.tuning.prefetch_ahead},
           {"seed", asked.seed},
           {"pages", pages.size()},
           {"pages_note", pages.note}};
  if (!facts.empty()) all.update(facts);
  return {{{"cells", cells()}, {"facts", std::move(all)}}};
}

BenchCrew::BenchCrew(const std::vector<std::unique_ptr<BenchRig>>& rigs,
                     std::vector<BenchCell> cells, Options options)
    : rigs_(rigs),
      cells_(std::move(cells)),
      options_(std::move(options)),
      workers_(rigs_.front()->workers()),
      barrier_(workers_),
      slices_(cells_.size()),
      runs_(cells_.size(), std::vector<Run>(options_.bench.runs)),
      pair_ms_(cells_.size(), 0),
      random_(options_.bench.seed) {
  for (uint16_t worker = 0; worker < workers_; ++worker) seats_.push_back({this, worker});
}

Result<void> BenchCrew::make_slices() {
  std::vector<IpsecMb> libraries;  // raw calls of two workers share no more than the workers do
  for (uint16_t worker = 0; worker < workers_; ++worker) {
    auto own = own_ipsec_mb();
    if (!own) return own.error();
    libraries.push_back(*std::move(own));
  }
  for (size_t cell = 0; cell < cells_.size(); ++cell) {
    if (elsewhere(cell)) continue;
    for (uint16_t worker = 0; worker < crew_of(cell); ++worker) {
      auto slices =
          PacketSlices::create(*rigs_[cells_[cell].rig], cells_[cell], options_.bench, worker,
                               libraries[worker], random_(), worker == 0 ? options_.time : nullptr);
      if (!slices) return slices.error();
      slices_[cell].push_back(*std::move(slices));
    }
  }
  return {};
}

Result<void> BenchCrew::run(const std::function<void()>& turn) {
  std::vector<size_t> order(cells_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  for (const size_t cell : order)
    if (auto done = warm(cell, turn); !done) return done;
  const ProgressLine line;
  const auto total = static_cast<size_t>(std::max(options_.bench.seconds, 1.0));
  const auto begun = BenchClock::now();
  const double run_ms = options_.bench.seconds * 1'000 / options_.bench.runs;
  for (unsigned run = 0; run < options_.bench.runs && !interrupted(); ++run) {
    const double until = run_ms * (run + 1);
    do {
      std::ranges::shuffle(order, random_);
      for (const size_t cell : order) {
        if (interrupted()) break;
        if (auto done = run_phase(cell, turn); !done) return done;
        keep(runs_[cell][run]);
      }
      line.show(std::min(static_cast<size_t>(ms_since(begun) / 1'000), total), total, "measuring");
    } while (ms_since(begun) < until && !interrupted());
  }
  return check();
}

/// Until nearly every session has had a packet: what a worker learns by a flow's first one is
/// known.
Result<void> BenchCrew::warm(size_t cell, const std::function<void()>& turn) {
  constexpr size_t kPacketsPerSession = 3;
  const BenchCell& here = cells_[cell];
  const bool known = std::any_of(
      cells_.begin(), cells_.begin() + static_cast<ptrdiff_t>(cell), [&](const BenchCell& before) {
        return before.rig == here.rig && before.direction == here.direction &&
               here.team != Team::kProcesses;
      });
  const size_t wanted = known ? 1 : kPacketsPerSession * rigs_[here.rig]->sessions().shape().count;
  for (size_t done = 0; done < wanted && !interrupted();) {
    if (auto run = run_phase(cell, turn); !run) return run;
    done += (options_.warm_up + size_t{phase_.pairs}) * packets();
  }
  return {};
}

Result<void> BenchCrew::run_phase(size_t cell, const std::function<void()>& turn) {
  const double pair_ms = pair_ms_[cell];
  const double fit = pair_ms > 0 ? options_.phase_ms / pair_ms : 1;
  phase_ = {cell, static_cast<unsigned>(std::max(fit, 1.0)), random_()};
  if (elsewhere(cell)) return ask_processes();
  launch(turn);
  return {};
}

Result<void> BenchCrew::ask_processes() {
  const auto begun = BenchClock::now();
  if (auto done = options_.processes->begin(phase_); !done) return done;
  for (Seat& seat : seats_) {
    seat.slices.resize(phase_.pairs);
    if (auto done = options_.processes->collect(seat.worker, seat.slices); !done) return done;
  }
  pair_ms_[phase_.cell] = ms_since(begun) / (phase_.pairs + options_.warm_up);
  return {};
}

/// The phase, on the lcores of its workers.
void BenchCrew::launch(const std::function<void()>& turn) {
  const auto sit = [](void* seat) {
    static_cast<Seat*>(seat)->crew->work(*static_cast<Seat*>(seat));
    return 0;
  };
  const uint32_t over = over_.load(std::memory_order_relaxed);
  const size_t crew = slices_[phase_.cell].size();
  // The first last: nobody is missing when it begins.
  for (size_t worker = crew; worker-- > 0;)
    JVPN_ASSERT(rte_eal_remote_launch(sit, &seats_[worker], lcore_of_worker(worker)) == 0,
                "every lcore waits between phases");
  if (!turn) over_.wait(over, std::memory_order_acquire);
  while (over_.load(std::memory_order_acquire) == over) turn();
  rte_eal_mp_wait_lcore();
}

void BenchCrew::keep(Run& run) const {
  const size_t crew = crew_of(phase_.cell);
  run.phases.push_back(run.pipeline.size());
  for (size_t slice = 0; slice < phase_.pairs; ++slice) {
    BenchSlice sum;
    for (size_t worker = 0; worker < crew; ++worker) {
      sum.pipeline += seats_[worker].slices[slice].pipeline / static_cast<double>(crew);
      sum.raw += seats_[worker].slices[slice].raw / static_cast<double>(crew);
    }
    run.pipeline.push_back(sum.pipeline);
    run.raw.push_back(sum.raw);
  }
  run.packets += crew * phase_.pairs * packets();
  run.stages.push_back(stages_);
}

/// A worker's lcore: its part of the phase; of worker 0 also its slice with the stage clock.
void BenchCrew::work(Seat& seat) {
  PacketSlices& slices = *slices_[phase_.cell][seat.worker];
  Worker& worker = rigs_[cells_[phase_.cell].rig]->worker(seat.worker);
  worker.enter();
  if (seat.worker == 0 && options_.before) options_.before(cells_[phase_.cell]);
  const auto begun = BenchClock::now();
  do_pairs(seat, slices);
  if (seat.worker == 0) {
    pair_ms_[phase_.cell] = ms_since(begun) / (phase_.pairs + options_.warm_up);
    slices.plan();
    stages_ = slices.stages();
  }
  worker.leave();
  if (seat.worker != 0) return;
  over_.fetch_add(1, std::memory_order_release);
  over_.notify_one();
}

/// The workers' orders of slices are the same: they start together, each kind with its like.
void BenchCrew::do_pairs(Seat& seat, PacketSlices& slices) {
  SpinBarrier* barrier = slices_[phase_.cell].size() > 1 ? &barrier_ : nullptr;
  if (serves()) barrier = options_.link->barrier;
  std::mt19937_64 coin(phase_.seed);
  seat.slices.clear();
  for (unsigned pair = 0; pair < options_.warm_up + phase_.pairs; ++pair) {
    slices.plan();
    BenchSlice sample;
    const bool raw_first = coin() % 2 == 0;
    if (options_.raw && raw_first) sample.raw = slices.raw(barrier);
    sample.pipeline = slices.pipeline(barrier);
    if (options_.raw && !raw_first) sample.raw = slices.raw(barrier);
    if (pair >= options_.warm_up) seat.slices.push_back(sample);
  }
}

Result<void> BenchCrew::check() const {
  uint64_t lost = 0;
  uint64_t drops = 0;
  for (const auto& cell : slices_)
    for (const auto& slices : cell) lost += slices->lost();
  for (const auto& rig : rigs_) {
    drops += rig->gateway().all_drops();
    if (const uint64_t refused = rig->sessions().refused(); refused != 0)
      return Error{fmt::format("the publisher refused {} bindings", refused)};
  }
  if (lost == drops) return {};
  return Error{fmt::format("{} packets didn't come out, {} were counted as drops", lost, drops)};
}

}  // namespace jvpn::perf
