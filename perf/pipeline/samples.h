// What slices gave, what follows from it, and how JSON and tables tell it. Pure, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/stage_clock.h"
#include "perf/harness/command.h"
#include "perf/harness/hugepages.h"
#include "perf/harness/statistics.h"
#include "perf/pipeline/pipeline_options.h"

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
using Runs = std::span<const RunSamples>;

/// Medians over the slices of one run.
struct RunFigures {
  double cycles = 0;
  double raw = 0;
  double overhead = 0;  ///< of pipeline over raw in neighbouring slices
  double ratio = 0;     ///< the same
};
RunFigures figures_of(const RunSamples& run);

struct CellFacts {
  double bytes = 0;  ///< of an inner packet, mean
  unsigned workers = 1;
  double tsc_hz = 0;
  uint64_t drops = 0;
};
/// One kind of traffic: cycles, rates and stages; medians, least and most over the runs.
Json cell_json(Runs runs, const CellFacts& facts);

/// Throughput of all workers ÷ that of one, run by run; raw's own, and the ratio of the two.
Json scaling_json(Runs alone, Runs together, unsigned workers);

/// 1 - throughput with ÷ throughput without, in percent, for each two phases of the same round.
std::vector<double> lost_percent(const RunSamples& with, const RunSamples& without);

/// Cycles of one cell ÷ those of another, run by run.
Spread cycles_over(Runs runs, Runs reference);

using NamedCells = std::vector<std::pair<std::string, Json>>;
/// One direction's figures stand on top, several in objects of their own; then what is common.
Json join_directions(const NamedCells& directions, const Json& common);
std::string cell_table(const NamedCells& cells);

/// Figures and table, with what was asked for and the pages behind them.
Measured bench_result(const BenchOptions& options, const BenchPages& pages, Json json,
                      std::string table);

}  // namespace jvpn::perf
