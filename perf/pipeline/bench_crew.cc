#include "perf/pipeline/bench_crew.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

#include <fmt/format.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "dataplane/eal.h"
#include "perf/harness/interrupt.h"
#include "perf/harness/progress.h"

namespace jvpn::perf {
namespace {

using BenchClock = std::chrono::steady_clock;

constexpr uint64_t kProgressMs = 250;

double ms_since(BenchClock::time_point begun) {
  return std::chrono::duration<double, std::milli>(BenchClock::now() - begun).count();
}

}  // namespace

Result<std::unique_ptr<BenchCrew>> BenchCrew::create(
    const std::vector<std::unique_ptr<BenchRig>>& rigs, std::vector<BenchCell> cells,
    Options options) {
  std::unique_ptr<BenchCrew> crew(new BenchCrew(rigs, std::move(cells), std::move(options)));
  if (auto made = crew->make_slices(); !made) return made.error();
  return crew;
}

BenchCrew::BenchCrew(const std::vector<std::unique_ptr<BenchRig>>& rigs,
                     std::vector<BenchCell> cells, Options options)
    : rigs_(rigs),
      cells_(std::move(cells)),
      options_(std::move(options)),
      workers_(rigs_.front()->workers()),
      barrier_(workers_),
      slices_(cells_.size()),
      samples_(cells_.size(), std::vector<RunSamples>(options_.bench.runs)),
      fresh_(workers_),
      pair_ms_(cells_.size(), 0),
      random_(options_.bench.seed) {}

Result<void> BenchCrew::make_slices() {
  for (size_t cell = 0; cell < cells_.size(); ++cell) {
    const unsigned crew = cells_[cell].all_workers ? workers_ : 1;
    for (uint16_t worker = 0; worker < crew; ++worker) {
      auto slices = PacketSlices::create(*rigs_[cells_[cell].rig],
                                         {.worker = worker,
                                          .direction = cells_[cell].direction,
                                          .sizes = cells_[cell].sizes,
                                          .batch = options_.bench.batch,
                                          .batches = options_.bench.batches,
                                          .seed = random_(),
                                          .time = worker == 0 ? options_.time : nullptr});
      if (!slices) return slices.error();
      slices_[cell].push_back(*std::move(slices));
    }
  }
  return {};
}

void BenchCrew::rest() {
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

Result<void> BenchCrew::run(const std::function<void()>& turn) {
  std::vector<Seat> seats;
  for (uint16_t worker = 0; worker < workers_; ++worker) seats.push_back({this, worker});
  const auto sit = [](void* seat) {
    static_cast<Seat*>(seat)->crew->work(static_cast<Seat*>(seat)->worker);
    return 0;
  };
  // The leader last: nobody is missing at its first order.
  for (size_t worker = workers_; worker-- > 0;) {
    const unsigned lcore = lcore_of_worker(worker);
    if (rte_eal_remote_launch(sit, &seats[worker], lcore) == 0) continue;
    give_order({.over = true});
    rte_eal_mp_wait_lcore();
    return Error{fmt::format("lcore {} can't be launched", lcore)};
  }
  const ProgressLine line;
  const auto total = static_cast<size_t>(std::max(options_.bench.seconds, 1.0));
  for (uint64_t shown_ms = 0; !finished_.load(std::memory_order_acquire);) {
    turn();
    const uint64_t elapsed_ms = elapsed_ms_.load(std::memory_order_relaxed);
    if (elapsed_ms < shown_ms) continue;
    shown_ms = elapsed_ms + kProgressMs;
    line.show(std::min<size_t>(elapsed_ms / 1'000, total), total, "measuring");
  }
  rte_eal_mp_wait_lcore();
  return check_drops();
}

Result<void> BenchCrew::check_drops() const {
  uint64_t lost = 0;
  uint64_t drops = 0;
  for (const auto& cell : slices_)
    for (const auto& slices : cell) lost += slices->lost();
  for (const auto& rig : rigs_) drops += rig->gateway().all_drops();
  if (lost == drops) return {};
  return Error{fmt::format("{} packets didn't come out, {} were counted as drops", lost, drops)};
}

void BenchCrew::work(uint16_t worker) {
  for (const auto& rig : rigs_) rig->worker(worker).enter();
  if (worker == 0)
    lead();
  else
    follow(worker);
  for (const auto& rig : rigs_) rig->worker(worker).leave();
  if (worker == 0) finished_.store(true, std::memory_order_release);
}

void BenchCrew::lead() {
  std::vector<size_t> order(cells_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  for (const size_t cell : order) warm(cell);
  const auto begun = BenchClock::now();
  const double run_ms = options_.bench.seconds * 1'000 / options_.bench.runs;
  for (run_ = 0; run_ < options_.bench.runs && !interrupted(); ++run_) {
    const double until = run_ms * static_cast<double>(run_ + 1);
    do {
      std::ranges::shuffle(order, random_);
      for (const size_t cell : order) {
        if (interrupted()) break;
        run_phase(cell, true);
        elapsed_ms_.store(static_cast<uint64_t>(ms_since(begun)), std::memory_order_relaxed);
      }
    } while (ms_since(begun) < until && !interrupted());
  }
  give_order({.over = true});
}

void BenchCrew::follow(uint16_t worker) {
  for (uint32_t seen = 0;; ++seen) {
    orders_.wait(seen, std::memory_order_acquire);
    if (order_.over) return;
    do_order(worker, order_);
    done_.fetch_add(1, std::memory_order_release);
  }
}

void BenchCrew::give_order(const Order& order) {
  order_ = order;
  done_.store(0, std::memory_order_relaxed);
  orders_.fetch_add(1, std::memory_order_release);
  orders_.notify_all();
}

/// Until nearly every session has had a packet: what a worker learns by a flow's first one is
/// known.
void BenchCrew::warm(size_t cell) {
  constexpr size_t kPacketsPerSession = 3;
  const BenchCell& here = cells_[cell];
  const bool known = std::any_of(
      cells_.begin(), cells_.begin() + static_cast<ptrdiff_t>(cell), [&](const BenchCell& before) {
        return before.rig == here.rig && before.direction == here.direction;
      });
  const size_t wanted = known ? 1 : kPacketsPerSession * rigs_[here.rig]->sessions().shape().count;
  for (size_t packets = 0; packets < wanted && !interrupted();) packets += run_phase(cell, false);
}

/// Packets that each worker had.
size_t BenchCrew::run_phase(size_t cell, bool counts) {
  const double pair_ms = pair_ms_[cell];
  const double fit = pair_ms > 0 ? options_.phase_ms / pair_ms : 1;
  const Order order{cell, static_cast<unsigned>(std::max(fit, 1.0)), random_(), false};
  if (options_.before) options_.before(cells_[cell]);
  const auto begun = BenchClock::now();
  if (together(cell)) give_order(order);
  do_order(0, order);
  if (together(cell))
    while (done_.load(std::memory_order_acquire) != workers_ - 1U) rte_pause();
  pair_ms_[cell] = ms_since(begun) / (order.pairs + options_.warm_up);
  if (counts) keep(cell, order);
  return (options_.warm_up + size_t{order.pairs}) * slices_[cell].front()->packets();
}

/// What the phase gave; then its slice with the stage clock.
void BenchCrew::keep(size_t cell, const Order& order) {
  PacketSlices& leaders = *slices_[cell].front();
  RunSamples& samples = samples_[cell][run_];
  const size_t crew = slices_[cell].size();
  samples.phases.push_back(samples.slices.size());
  for (size_t slice = 0; slice < order.pairs; ++slice) {
    SliceSample sum;
    for (size_t worker = 0; worker < crew; ++worker) {
      sum.pipeline += fresh_[worker][slice].pipeline / static_cast<double>(crew);
      sum.raw += fresh_[worker][slice].raw / static_cast<double>(crew);
    }
    samples.slices.push_back(sum);
  }
  samples.packets += crew * order.pairs * leaders.packets();
  leaders.plan();
  samples.stages.push_back(leaders.stages());
}

/// The workers' orders of slices are the same: they start together, each kind with its like.
void BenchCrew::do_order(uint16_t worker, const Order& order) {
  SpinBarrier* barrier = together(order.cell) ? &barrier_ : nullptr;
  PacketSlices& slices = *slices_[order.cell][worker];
  std::mt19937_64 coin(order.seed);
  fresh_[worker].clear();
  for (unsigned pair = 0; pair < options_.warm_up + order.pairs; ++pair) {
    slices.plan();
    SliceSample sample;
    const bool raw_first = coin() % 2 == 0;
    if (options_.raw && raw_first) sample.raw = slices.raw(barrier);
    sample.pipeline = slices.pipeline(barrier);
    if (options_.raw && !raw_first) sample.raw = slices.raw(barrier);
    if (pair >= options_.warm_up) fresh_[worker].push_back(sample);
  }
}

}  // namespace jvpn::perf
