// The workers' lcores at work: phases of one kind of traffic each, slices within a phase.
//
//   run     seconds ÷ runs; all phases again and again, in a fresh order each time
//   phase   some 30 ms: one cell; pairs of slices, pipeline and raw in random order, and one slice
//           with the stage clock on
//
// The control thread leads: it launches each phase on the lcores of its workers.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "common/result.h"
#include "perf/harness/command.h"
#include "perf/pipeline/bench_processes.h"
#include "perf/pipeline/bench_rig.h"
#include "perf/pipeline/packet_slices.h"
#include "perf/pipeline/pipeline_options.h"

namespace jvpn::perf {

class BenchCrew {
 public:
  struct Options {
    BenchOptions bench;
    unsigned phase_ms = 30;
    unsigned warm_up = 1;        ///< pairs of slices that don't count, in every phase
    bool raw = true;             ///< pairs of slices, else pipeline slices alone
    WorkerTime* time = nullptr;  ///< of worker 0's pipeline slices
    /// Worker 0's lcore, before each phase's slices; may poll the rig's worker 0.
    std::function<void(const BenchCell&)> before{};
    BenchProcesses* processes = nullptr;  ///< for cells of Team::kProcesses
    const BenchLink* link = nullptr;      ///< of a process that serve()s
  };
  /// Measures the cells; all rigs have the same number of workers and outlive what is returned.
  /// Calls `turn` on this thread again and again while lcores are at work; without, it sleeps.
  /// Fails when packets went neither out nor into a drop's counter, or a binding was refused.
  static Result<std::unique_ptr<BenchCrew>> measure(
      const std::vector<std::unique_ptr<BenchRig>>& rigs, std::vector<BenchCell> cells,
      Options options, const std::function<void()>& turn = {});

  /// In a process that another one started: measures what that one asks for, until it is done. The
  /// rig has one worker. Fails as measure() does.
  static Result<void> serve(const std::vector<std::unique_ptr<BenchRig>>& rigs,
                            std::vector<BenchCell> cells, Options options);

  /// Of each cell what it was and the samples of its runs, as perf/pipeline/cells.py reads them.
  Json cells() const;
  /// The cells and, as facts, what was asked for, the pages behind it, and the caller's own.
  Measured measured(const BenchPages& pages, const Json& facts) const;

 private:
  struct Seat {
    BenchCrew* crew;
    uint16_t worker;
    std::vector<BenchSlice> slices{};  ///< of this phase
  };
  struct Run {
    std::vector<double> pipeline;  ///< of each slice; of several workers, their mean
    std::vector<double> raw;
    std::vector<size_t> phases;  ///< where each begins among the slices
    std::vector<std::array<double, kStages>> stages;
    uint64_t packets = 0;  ///< through the worker, in slices that count
  };

  BenchCrew(const std::vector<std::unique_ptr<BenchRig>>& rigs, std::vector<BenchCell> cells,
            Options options);
  Result<void> make_slices();
  Result<void> run(const std::function<void()>& turn);
  Result<void> warm(size_t cell, const std::function<void()>& turn);
  Result<void> run_phase(size_t cell, const std::function<void()>& turn);
  Result<void> ask_processes();
  void launch(const std::function<void()>& turn);
  bool elsewhere(size_t cell) const { return cells_[cell].team == Team::kProcesses && !serves(); }
  bool serves() const { return options_.link != nullptr; }
  /// Who works at a cell.
  uint16_t crew_of(size_t cell) const { return cells_[cell].team == Team::kFirst ? 1 : workers_; }
  /// That each of them has in a slice.
  size_t packets() const { return size_t{options_.bench.batch} * options_.bench.batches; }
  void keep(Run& run) const;
  static Json json_of(const Run& run);
  void work(Seat& seat);
  void do_pairs(Seat& seat, PacketSlices& slices);
  Result<void> check() const;

  const std::vector<std::unique_ptr<BenchRig>>& rigs_;
  std::vector<BenchCell> cells_;
  Options options_;
  uint16_t workers_;
  SpinBarrier barrier_;
  std::vector<Seat> seats_;                                         ///< by worker
  std::vector<std::vector<std::unique_ptr<PacketSlices>>> slices_;  ///< by cell, worker
  std::vector<std::vector<Run>> runs_;                              ///< by cell
  std::vector<double> pair_ms_;                                     ///< by cell: how long one takes
  std::mt19937_64 random_;
  BenchPhase phase_;
  std::array<double, kStages> stages_{};  ///< of this phase
  std::atomic<uint32_t> over_{0};         ///< phases; writer: worker 0's lcore
};

}  // namespace jvpn::perf
