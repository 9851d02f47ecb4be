// jvpn-perf scale: what a packet costs as the number of sessions grows, and what a session takes.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <rte_cycles.h>

#include "perf/jvpn_perf/bench_crew.h"
#include "perf/jvpn_perf/bench_memory.h"
#include "perf/jvpn_perf/bench_report.h"
#include "perf/jvpn_perf/bench_run.h"
#include "perf/jvpn_perf/command.h"
#include "perf/jvpn_perf/environment.h"
#include "perf/jvpn_perf/interrupt.h"

namespace jvpn::perf {
namespace {

constexpr uint32_t kReference = 1'000;  ///< sessions that others are compared with
constexpr unsigned kScaleWarmUp = 4;    ///< pairs until the caches know this number of sessions

struct ScaleDirection {
  Direction direction{};
  CellFigures figures;
  std::optional<Spread> over_reference;
};

struct ScaleRow {
  uint32_t sessions = 0;
  std::string size;
  std::vector<ScaleDirection> directions;
  double bytes_per_session = 0;
  double sessions_per_s = 0;
  uint64_t drops = 0;
};

struct ScaleResults {
  std::vector<ScaleRow> rows;
  double tsc_hz = 0;
  BenchMemory memory;
};

using Rigs = std::vector<std::unique_ptr<BenchRig>>;

BenchRig::Options rig_of(const ScaleOptions& options, uint32_t sessions) {
  return {{sessions, options.suite, 1}, 1, options.batch, options.tuning};
}

size_t scale_megabytes(const ScaleOptions& options) {
  size_t sum = 0;
  for (const uint32_t sessions : options.sessions)
    sum += BenchRig::megabytes(rig_of(options, sessions));
  return sum;
}

/// A gateway for each number of sessions, all at once: so their phases can take turns.
Result<Rigs> make_rigs(const ScaleOptions& options) {
  ProgressLine progress;
  Rigs rigs;
  for (const uint32_t sessions : options.sessions) {
    progress.show(rigs.size(), options.sessions.size(),
                  fmt::format("setting up {} sessions", sessions));
    auto rig = BenchRig::create(rig_of(options, sessions));
    if (!rig) return rig.error();
    rigs.push_back(*std::move(rig));
  }
  return rigs;
}

/// In the order of rows(): for each number of sessions and size both directions.
std::vector<BenchCell> scale_cells(const ScaleOptions& options) {
  std::vector<BenchCell> cells;
  for (size_t rig = 0; rig < options.sessions.size(); ++rig)
    for (const std::string& size : options.sizes)
      for (const Direction direction : {Direction::kSeal, Direction::kOpen})
        cells.push_back({rig, direction, sizes_of(size), true});
  return cells;
}

/// Where the cell with the same traffic over kReference sessions stands.
std::optional<size_t> reference_cell(const ScaleOptions& options, size_t cell) {
  const auto at = std::ranges::find(options.sessions, kReference);
  if (at == options.sessions.end()) return std::nullopt;
  const size_t of_rig = options.sizes.size() * 2;
  return static_cast<size_t>(at - options.sessions.begin()) * of_rig + cell % of_rig;
}

ScaleDirection evaluate_cell(const ScaleOptions& options, const std::vector<BenchCell>& cells,
                             const BenchCrew& crew, size_t cell) {
  const CellFacts facts{mean_bytes(cells[cell].sizes), 1, static_cast<double>(rte_get_tsc_hz())};
  ScaleDirection direction{cells[cell].direction, figures_of(crew.samples()[cell], facts), {}};
  if (const auto reference = reference_cell(options, cell))
    direction.over_reference = cycles_over(crew.samples()[cell], crew.samples()[*reference]);
  return direction;
}

std::vector<ScaleRow> evaluate_scale(const ScaleOptions& options,
                                     const std::vector<BenchCell>& cells, const BenchCrew& crew,
                                     Rigs& rigs) {
  std::vector<ScaleRow> rows;
  size_t cell = 0;
  for (const auto& rig : rigs) {
    const uint32_t sessions = rig->sessions().shape().count;
    for (const std::string& size : options.sizes) {
      ScaleRow& row = rows.emplace_back();
      row.sessions = sessions;
      row.size = size;
      for (int i = 0; i < 2; ++i)
        row.directions.push_back(evaluate_cell(options, cells, crew, cell++));
      row.bytes_per_session = static_cast<double>(rig->table_bytes()) / sessions;
      row.sessions_per_s = rig->sessions().attached_per_s();
      row.drops = rig->gateway().all_drops();
    }
  }
  return rows;
}

Result<ScaleResults> measure_scale(const ScaleOptions& options) {
  auto memory = start_bench(scale_megabytes(options), 1, options.small_pages);
  if (!memory) return memory.error();
  auto rigs = make_rigs(options);
  if (!rigs) return rigs.error();
  const std::vector<BenchCell> cells = scale_cells(options);
  std::vector<BenchRig*> pointers;
  for (const auto& rig : *rigs) pointers.push_back(rig.get());
  auto crew =
      BenchCrew::create(pointers, cells, {.bench = options.shared(), .warm_up = kScaleWarmUp});
  if (!crew) return crew.error();
  if (auto done = run_with_progress(**crew, options.seconds, "measuring"); !done)
    return done.error();
  if (auto checked = check_lost(**crew, pointers); !checked) return checked.error();
  return ScaleResults{evaluate_scale(options, cells, **crew, *rigs),
                      static_cast<double>(rte_get_tsc_hz()), *std::move(memory)};
}

std::string over_text(const ScaleDirection& direction) {
  if (!direction.over_reference) return "-";
  return fmt::format("{:.3f}", direction.over_reference->median);
}

std::string scale_table(const ScaleOptions& options, const ScaleResults& results,
                        const Environment& environment) {
  std::string text = fmt::format(
      "{}, 1 worker, TSC cycles per packet\n\n"
      "{:>9}{:>7}{:>9}{:>9}{:>8}{:>11}{:>9}{:>9}{:>8}{:>11}{:>11}{:>11}{:>7}\n",
      to_string(options.suite), "sessions", "bytes", "seal", "raw", "ratio", "over 1000", "open",
      "raw", "ratio", "over 1000", "B/session", "set up/s", "drops");
  for (const ScaleRow& row : results.rows) {
    text += fmt::format("{:>9}{:>7}", row.sessions, row.size);
    for (const ScaleDirection& direction : row.directions) {
      const CellFigures& f = direction.figures;
      text += fmt::format("{:>9.1f}{:>9.1f}{:>8.3f}{:>11}", f.cycles.median, f.raw.median,
                          f.ratio.median, over_text(direction));
    }
    text += fmt::format("{:>11.0f}{:>11.0f}{:>7}\n", row.bytes_per_session, row.sessions_per_s,
                        row.drops);
  }
  return text + "\n" + footer_of(options, results.memory, environment);
}

nlohmann::ordered_json row_json(const ScaleRow& row, double tsc_hz) {
  nlohmann::ordered_json json{{"sessions", row.sessions}, {"size", size_json(row.size)}};
  for (const ScaleDirection& direction : row.directions) {
    auto figures = cell_json(direction.figures, row.drops, tsc_hz);
    if (direction.over_reference)
      put_spread(figures, "over_1000", *direction.over_reference);
    else
      figures["over_1000"] = nullptr;
    json[to_string(direction.direction)] = std::move(figures);
  }
  json["bytes_per_session"] = row.bytes_per_session;
  json["setup_sessions_per_s"] = row.sessions_per_s;
  return json;
}

nlohmann::ordered_json scale_json(const ScaleOptions& options, const ScaleResults& results,
                                  const Environment& environment) {
  auto rows = nlohmann::ordered_json::array();
  for (const ScaleRow& row : results.rows) rows.push_back(row_json(row, results.tsc_hz));
  nlohmann::ordered_json json{{"rows", std::move(rows)}};
  json.update(bench_json(options, results.memory, environment));
  return json;
}

int run_scale(ScaleOptions options) {
  catch_interrupts();
  options.seed = seed_of(options.seed);
  const Environment environment = describe_environment();
  const auto results = measure_scale(options);
  if (!results) return report_failure("scale", results.error());
  return print_result(options.json ? scale_json(options, *results, environment).dump(2) + "\n"
                                   : scale_table(options, *results, environment));
}

}  // namespace

Command add_scale(CLI::App& app) {
  auto options = std::make_shared<ScaleOptions>();
  options->seconds = 60;
  CLI::App* parser = app.add_subcommand(
      "scale", "What a packet costs as the number of sessions grows, and what a session takes");
  add_scale_options(*parser, *options);
  return {parser, [options] { return run_scale(*options); }};
}

}  // namespace jvpn::perf
