#include "perf/pipeline/samples.h"

#include <algorithm>

#include <fmt/format.h>

namespace jvpn::perf {
namespace {

constexpr double kShown = 0.05;  ///< cycles per packet under which a stage isn't in play

Json stages_json(Runs runs) {
  Json json = Json::object();
  for (size_t stage = 0; stage < kStages; ++stage) {
    std::vector<double> values;
    for (const RunSamples& run : runs)
      for (const auto& figures : run.stages) values.push_back(figures[stage]);
    if (median(values) > kShown) json[kStageNames[stage]] = median(values);
  }
  return json;
}

/// Of the runs that were begun.
std::vector<RunFigures> figures_of_all(Runs runs) {
  std::vector<RunFigures> figures;
  for (const RunSamples& run : runs)
    if (!run.slices.empty()) figures.push_back(figures_of(run));
  return figures;
}

/// `of` the figures of both in the same run.
template <typename Of>
std::vector<double> run_by_run(Runs some, Runs others, Of&& of) {
  const std::vector<RunFigures> first = figures_of_all(some);
  const std::vector<RunFigures> second = figures_of_all(others);
  std::vector<double> values;
  for (size_t run = 0; run < std::min(first.size(), second.size()); ++run)
    values.push_back(of(first[run], second[run]));
  return values;
}

/// Median of the pipeline's cycles in a phase.
double phase_cycles(const RunSamples& run, size_t phase) {
  const size_t end = phase + 1 < run.phases.size() ? run.phases[phase + 1] : run.slices.size();
  const auto slices = std::span(run.slices).subspan(run.phases[phase], end - run.phases[phase]);
  return median(each_of(slices, &SliceSample::pipeline));
}

std::string spread_text(const Json& cell, const std::string& key) {
  return render("{" + key + ":.1f} ({" + key + "_min:.1f}-{" + key + "_max:.1f})", cell);
}

}  // namespace

RunFigures figures_of(const RunSamples& run) {
  const auto over = [](const SliceSample& s) { return s.pipeline - s.raw; };
  const auto ratio = [](const SliceSample& s) { return s.raw > 0 ? s.pipeline / s.raw : 0; };
  return {median(each_of(run.slices, &SliceSample::pipeline)),
          median(each_of(run.slices, &SliceSample::raw)), median(each_of(run.slices, over)),
          median(each_of(run.slices, ratio))};
}

Json cell_json(Runs runs, const CellFacts& facts) {
  const std::vector<RunFigures> figures = figures_of_all(runs);
  const auto mpps = [&](const RunFigures& run) {
    return facts.workers * facts.tsc_hz / (1e6 * run.cycles);
  };
  const auto gbps = [&](const RunFigures& run) { return mpps(run) * facts.bytes * 8 / 1e3; };
  uint64_t packets = 0;
  for (const RunSamples& run : runs) packets += run.packets;
  Json json;
  put_spread(json, "cycles_per_packet", spread(each_of(figures, &RunFigures::cycles)));
  put_spread(json, "raw_cycles_per_packet", spread(each_of(figures, &RunFigures::raw)));
  put_spread(json, "overhead_cycles", spread(each_of(figures, &RunFigures::overhead)));
  put_spread(json, "ratio", spread(each_of(figures, &RunFigures::ratio)));
  put_spread(json, "mpps", spread(each_of(figures, mpps)));
  put_spread(json, "gbps", spread(each_of(figures, gbps)));
  json["drops"] = facts.drops;
  json["tsc_hz"] = facts.tsc_hz;
  json["packets"] = packets;
  json["stages"] = stages_json(runs);
  return json;
}

Json scaling_json(Runs alone, Runs together, unsigned workers) {
  const auto gain = [&](const RunFigures& one, const RunFigures& all) {
    return workers * one.cycles / all.cycles;
  };
  const auto raw_gain = [&](const RunFigures& one, const RunFigures& all) {
    return workers * one.raw / all.raw;
  };
  const auto over = [&](const RunFigures& one, const RunFigures& all) {
    return gain(one, all) / raw_gain(one, all);
  };
  Json json{{"workers", workers}};
  put_spread(json, "gain", spread(run_by_run(alone, together, gain)));
  put_spread(json, "raw_gain", spread(run_by_run(alone, together, raw_gain)));
  put_spread(json, "gain_over_raw_gain", spread(run_by_run(alone, together, over)));
  return json;
}

std::vector<double> lost_percent(const RunSamples& with, const RunSamples& without) {
  std::vector<double> lost;
  for (size_t phase = 0; phase < std::min(with.phases.size(), without.phases.size()); ++phase) {
    const double loaded = phase_cycles(with, phase);
    if (loaded > 0) lost.push_back(100 * (1 - phase_cycles(without, phase) / loaded));
  }
  return lost;
}

Spread cycles_over(Runs runs, Runs reference) {
  return spread(run_by_run(runs, reference, [](const RunFigures& a, const RunFigures& b) {
    return a.cycles / b.cycles;
  }));
}

Json join_directions(const NamedCells& directions, const Json& common) {
  Json json;
  if (directions.size() == 1) {
    json = directions.front().second;
    json["direction"] = directions.front().first;
  } else {
    for (const auto& [name, figures] : directions) json[name] = figures;
  }
  json.update(common);
  return json;
}

std::string cell_table(const NamedCells& cells) {
  std::string text = fmt::format("{:<6}{:>22}{:>22}{:>20}{:>10}{:>9}{:>9}\n", "", "cycles/packet",
                                 "raw IPsec-MB", "over raw", "ratio", "Mpps", "Gbit/s");
  for (const auto& [name, cell] : cells)
    text += fmt::format("{:<6}{:>22}{:>22}{:>20}", name, spread_text(cell, "cycles_per_packet"),
                        spread_text(cell, "raw_cycles_per_packet"),
                        spread_text(cell, "overhead_cycles")) +
            render("{ratio:>10.3f}{mpps:>9.3f}{gbps:>9.2f}\n", cell);
  text += "\nstages, cycles/packet\n";
  for (const auto& [name, cell] : cells) {
    text += fmt::format("{:<6}", name);
    for (const auto& [stage, cycles] : cell["stages"].items())
      text += fmt::format("  {} {:.1f}", stage, cycles.get<double>());
    text += "\n";
  }
  return text;
}

Measured bench_result(const BenchOptions& options, const BenchPages& pages, Json json,
                      std::string table) {
  const Json asked{{"suite", to_string(options.suite)},
                   {"seconds", options.seconds},
                   {"runs", options.runs},
                   {"batch", options.batch},
                   {"batches", options.batches},
                   {"burst", options.tuning.burst},
                   {"prefetch_ahead", options.tuning.prefetch_ahead},
                   {"seed", options.seed},
                   {"pages", pages.size()},
                   {"pages_note", pages.note}};
  table += render(
      "run        {runs} runs in {seconds:g} s, seed {seed}; in brackets least and most of the "
      "runs\nmemory     {pages} pages {pages_note}\n",
      asked);
  json.update(asked);
  return {std::move(json), std::move(table)};
}

}  // namespace jvpn::perf
