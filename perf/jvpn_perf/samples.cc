#include "perf/jvpn_perf/samples.h"

#include <algorithm>

namespace jvpn::perf {
namespace {

template <typename Of>
double median_of(const std::vector<SliceSample>& slices, Of of) {
  std::vector<double> values;
  values.reserve(slices.size());
  for (const SliceSample& slice : slices) values.push_back(of(slice));
  return median(values);
}

std::array<double, kStages> median_stages(std::span<const RunSamples> runs) {
  std::array<double, kStages> medians{};
  for (size_t stage = 0; stage < kStages; ++stage) {
    std::vector<double> values;
    for (const RunSamples& run : runs)
      for (const auto& figures : run.stages) values.push_back(figures[stage]);
    medians[stage] = median(values);
  }
  return medians;
}

/// Median of the pipeline's cycles in a phase.
double phase_cycles(const RunSamples& run, size_t phase) {
  const size_t end = phase + 1 < run.phases.size() ? run.phases[phase + 1] : run.slices.size();
  std::vector<double> cycles;
  for (size_t slice = run.phases[phase]; slice < end; ++slice)
    cycles.push_back(run.slices[slice].pipeline);
  return median(cycles);
}

}  // namespace

std::vector<double> lost_percent(const RunSamples& with, const RunSamples& without) {
  std::vector<double> lost;
  for (size_t phase = 0; phase < std::min(with.phases.size(), without.phases.size()); ++phase) {
    const double loaded = phase_cycles(with, phase);
    if (loaded > 0) lost.push_back(100 * (1 - phase_cycles(without, phase) / loaded));
  }
  return lost;
}

RunFigures figures_of(const RunSamples& run) {
  const auto over_raw = [](const SliceSample& s) { return s.raw > 0 ? s.pipeline / s.raw : 0; };
  return {median_of(run.slices, [](const SliceSample& s) { return s.pipeline; }),
          median_of(run.slices, [](const SliceSample& s) { return s.raw; }),
          median_of(run.slices, [](const SliceSample& s) { return s.pipeline - s.raw; }),
          median_of(run.slices, over_raw)};
}

CellFigures figures_of(std::span<const RunSamples> runs, const CellFacts& facts) {
  std::vector<double> cycles, raw, overhead, ratio, mpps, gbps;
  CellFigures figures;
  for (const RunSamples& run : runs) {
    if (run.slices.empty()) continue;
    const RunFigures of_run = figures_of(run);
    cycles.push_back(of_run.cycles);
    raw.push_back(of_run.raw);
    overhead.push_back(of_run.overhead);
    ratio.push_back(of_run.ratio);
    mpps.push_back(facts.workers * facts.tsc_hz / (1e6 * of_run.cycles));
    gbps.push_back(mpps.back() * facts.bytes * 8 / 1e3);
    figures.packets += run.packets;
  }
  figures.cycles = spread(cycles);
  figures.raw = spread(raw);
  figures.overhead = spread(overhead);
  figures.ratio = spread(ratio);
  figures.mpps = spread(mpps);
  figures.gbps = spread(gbps);
  figures.stages = median_stages(runs);
  return figures;
}

Spread cycles_over(std::span<const RunSamples> runs, std::span<const RunSamples> reference) {
  std::vector<double> ratios;
  for (size_t run = 0; run < std::min(runs.size(), reference.size()); ++run)
    if (!runs[run].slices.empty() && !reference[run].slices.empty())
      ratios.push_back(figures_of(runs[run]).cycles / figures_of(reference[run]).cycles);
  return spread(ratios);
}

Scaling scaling_of(std::span<const RunSamples> alone, std::span<const RunSamples> together,
                   unsigned workers) {
  std::vector<double> gains, raw_gains, over;
  for (size_t run = 0; run < std::min(alone.size(), together.size()); ++run) {
    if (alone[run].slices.empty() || together[run].slices.empty()) continue;
    const RunFigures one = figures_of(alone[run]);
    const RunFigures all = figures_of(together[run]);
    gains.push_back(workers * one.cycles / all.cycles);
    raw_gains.push_back(workers * one.raw / all.raw);
    over.push_back(gains.back() / raw_gains.back());
  }
  return {workers, spread(gains), spread(raw_gains), spread(over)};
}

}  // namespace jvpn::perf
