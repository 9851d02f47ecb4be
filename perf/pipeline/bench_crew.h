// The workers' lcores at work: phases of one kind of traffic each, slices within a phase.
//
//   run     seconds ÷ runs; all phases again and again, in a fresh order each time
//   phase   some 30 ms: one cell; pairs of slices, pipeline and raw in random order, and one slice
//           with the stage clock on
//
// Worker 0's lcore leads; the others sleep in phases that are not theirs.
#pragma once

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

/// A kind of traffic to be measured.
struct BenchCell {
  size_t rig = 0;
  Direction direction = Direction::kSeal;
  std::vector<uint16_t> sizes;
  bool all_workers = true;  ///< false: worker 0 alone
  bool updates = false;     ///< for the hook
};

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
  /// All rigs have the same number of workers and outlive it.
  static Result<std::unique_ptr<BenchCrew>> create(
      const std::vector<std::unique_ptr<BenchRig>>& rigs, std::vector<BenchCell> cells,
      Options options);

  /// Launches the lcores; calls `turn` on this thread again and again until they are done. Fails
  /// when packets went neither out nor into a drop's counter.
  Result<void> run(const std::function<void()>& turn = rest);

  /// By cell, then run.
  const std::vector<std::vector<RunSamples>>& samples() const { return samples_; }

 private:
  struct Order {
    size_t cell = 0;
    unsigned pairs = 1;
    uint64_t seed = 0;
    bool over = false;
  };
  struct Seat {
    BenchCrew* crew;
    uint16_t worker;
  };

  BenchCrew(const std::vector<std::unique_ptr<BenchRig>>& rigs, std::vector<BenchCell> cells,
            Options options);
  Result<void> make_slices();
  static void rest();
  Result<void> check_drops() const;
  void work(uint16_t worker);
  void lead();
  void follow(uint16_t worker);
  void warm(size_t cell);
  size_t run_phase(size_t cell, bool counts);
  void keep(size_t cell, const Order& order);
  void do_order(uint16_t worker, const Order& order);
  void give_order(const Order& order);
  bool together(size_t cell) const { return cells_[cell].all_workers && workers_ > 1; }

  const std::vector<std::unique_ptr<BenchRig>>& rigs_;
  std::vector<BenchCell> cells_;
  Options options_;
  uint16_t workers_;
  SpinBarrier barrier_;
  std::vector<std::vector<std::unique_ptr<PacketSlices>>> slices_;  ///< by cell, worker
  std::vector<std::vector<RunSamples>> samples_;
  std::vector<std::vector<SliceSample>> fresh_;  ///< by worker, of this phase
  std::vector<double> pair_ms_;                  ///< by cell: how long one takes
  std::mt19937_64 random_;
  size_t run_ = 0;
  Order order_;
  alignas(64) std::atomic<uint32_t> orders_{0};  ///< given; order_ is the latest
  alignas(64) std::atomic<uint32_t> done_{0};    ///< workers that finished it
  alignas(64) std::atomic<uint64_t> elapsed_ms_{0};
  std::atomic<bool> finished_{false};
};

}  // namespace jvpn::perf
