// What slices gave, and what follows from it. Pure, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/stage_clock.h"
#include "perf/jvpn_perf/statistics.h"

namespace jvpn::perf {

/// Neighbouring slices over the same packets, in TSC cycles per packet; of several workers, their
/// mean.
struct SliceSample {
  double pipeline = 0;
  double raw = 0;
};

struct RunSamples {
  std::vector<SliceSample> slices;
  std::vector<size_t> phases;  ///< where each phase begins among the slices
  std::vector<std::array<double, kStages>> stages;
  uint64_t packets = 0;  ///< through the worker, in slices that count
};

/// Medians over the slices of one run.
struct RunFigures {
  double cycles = 0;
  double raw = 0;
  double overhead = 0;  ///< of pipeline over raw in neighbouring slices
  double ratio = 0;     ///< the same
};
RunFigures figures_of(const RunSamples& run);

/// Medians, least and most over the runs.
struct CellFigures {
  Spread cycles;
  Spread raw;
  Spread overhead;
  Spread ratio;
  Spread mpps;  ///< of all workers
  Spread gbps;  ///< of inner packets
  std::array<double, kStages> stages{};
  uint64_t packets = 0;
};
struct CellFacts {
  double bytes = 0;  ///< of an inner packet, mean
  unsigned workers = 1;
  double tsc_hz = 0;
};
CellFigures figures_of(std::span<const RunSamples> runs, const CellFacts& facts);

/// 1 - throughput with ÷ throughput without, in percent, for each two phases of the same round.
std::vector<double> lost_percent(const RunSamples& with, const RunSamples& without);

/// Cycles of one cell ÷ those of another, run by run.
Spread cycles_over(std::span<const RunSamples> runs, std::span<const RunSamples> reference);

/// Throughput of all workers ÷ that of one, run by run.
struct Scaling {
  unsigned workers = 1;
  Spread gain;
  Spread raw_gain;
  Spread gain_over_raw_gain;
};
Scaling scaling_of(std::span<const RunSamples> alone, std::span<const RunSamples> together,
                   unsigned workers);

}  // namespace jvpn::perf
