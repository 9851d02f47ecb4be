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
#include "perf/pipeline/bench_rig.h"
#include "perf/pipeline/packet_slices.h"
#include "perf/pipeline/pipeline_options.h"
#include "perf/pipeline/samples.h"

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
  };
  /// Measures the cells; all rigs have the same number of workers and outlive what is returned.
  /// Calls `turn` on this thread again and again while lcores are at work; without, it sleeps.
  /// Fails when packets went neither out nor into a drop's counter, or a binding was refused.
  static Result<std::unique_ptr<BenchCrew>> measure(
      const std::vector<std::unique_ptr<BenchRig>>& rigs, std::vector<BenchCell> cells,
      Options options, const std::function<void()>& turn = {});

  /// By cell, then run.
  const std::vector<std::vector<RunSamples>>& samples() const { return samples_; }
  /// What a cell's samples say: cell_json().
  Json figures(size_t cell) const;

 private:
  struct Phase {
    size_t cell = 0;
    unsigned pairs = 1;
    uint64_t seed = 0;
  };
  struct Seat {
    BenchCrew* crew;
    uint16_t worker;
    std::vector<SliceSample> samples{};  ///< of this phase
  };

  BenchCrew(const std::vector<std::unique_ptr<BenchRig>>& rigs, std::vector<BenchCell> cells,
            Options options);
  Result<void> make_slices();
  Result<void> run(const std::function<void()>& turn);
  void warm(size_t cell, const std::function<void()>& turn);
  size_t run_phase(size_t cell, const std::function<void()>& turn);
  void keep(RunSamples& samples) const;
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
  std::vector<std::vector<RunSamples>> samples_;
  std::vector<double> pair_ms_;  ///< by cell: how long one takes
  std::mt19937_64 random_;
  Phase phase_;
  std::array<double, kStages> stages_{};  ///< of this phase
  std::atomic<uint32_t> over_{0};         ///< phases; writer: worker 0's lcore
};

}  // namespace jvpn::perf
