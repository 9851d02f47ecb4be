// jvpn-perf scale: what a packet costs as the number of sessions grows, and what a session takes.
#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "perf/pipeline/bench_crew.h"

namespace jvpn::perf {
namespace {

constexpr uint32_t kReference = 1'000;  ///< sessions that others are compared with
constexpr unsigned kScaleWarmUp = 4;    ///< pairs until the caches know this number of sessions
constexpr Direction kBoth[] = {Direction::kSeal, Direction::kOpen};

/// In the order of the rows: for each number of sessions and size both directions.
std::vector<BenchCell> scale_cells(const ScaleOptions& options) {
  std::vector<BenchCell> cells;
  for (size_t rig = 0; rig < options.sessions.size(); ++rig)
    for (const std::string& size : options.sizes)
      for (const Direction direction : kBoth)
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

Json rows_json(const ScaleOptions& options, const BenchCrew& crew, const Bench& bench) {
  Json rows = Json::array();
  size_t cell = 0;
  for (const auto& rig : bench.rigs) {
    const uint32_t sessions = rig->sessions().shape().count;
    for (const std::string& size : options.sizes) {
      Json row{{"sessions", sessions}, {"size", size_json(size)}};
      for (const Direction direction : kBoth) {
        Json json = crew.figures(cell);
        json["over_1000"] = nullptr;
        if (const auto reference = reference_cell(options, cell))
          put_spread(json, "over_1000",
                     cycles_over(crew.samples()[cell], crew.samples()[*reference]));
        row[to_string(direction)] = std::move(json);
        ++cell;
      }
      row["bytes_per_session"] = static_cast<double>(rig->table_bytes()) / sessions;
      row["setup_sessions_per_s"] = rig->sessions().attached_per_s();
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

std::string scale_table(const ScaleOptions& options, const Json& rows) {
  std::string text = fmt::format(
      "{}, 1 worker, TSC cycles per packet\n\n"
      "{:>9}{:>7}{:>9}{:>9}{:>8}{:>11}{:>9}{:>9}{:>8}{:>11}{:>11}{:>11}{:>7}\n",
      to_string(options.suite), "sessions", "bytes", "seal", "raw", "ratio", "over 1000", "open",
      "raw", "ratio", "over 1000", "B/session", "set up/s", "drops");
  for (const Json& row : rows) {
    text += render("{sessions:>9}{size:>7}", row);
    for (const Direction direction : kBoth) {
      const Json& cell = row[to_string(direction)];
      const std::string over = cell["over_1000"].is_null() ? "-" : render("{over_1000:.3f}", cell);
      text += render("{cycles_per_packet:>9.1f}{raw_cycles_per_packet:>9.1f}{ratio:>8.3f}", cell) +
              fmt::format("{:>11}", over);
    }
    text += render("{bytes_per_session:>11.0f}{setup_sessions_per_s:>11.0f}{seal_drops:>7}\n", row);
  }
  return text + "\n";
}

Result<Measured> measure_scale(const ScaleOptions& options) {
  // A gateway for each number of sessions, all at once: so their phases can take turns.
  std::vector<BenchRig::Options> rigs;
  for (const uint32_t sessions : options.sessions)
    rigs.push_back({{sessions, options.suite, 1}, 1, options.batch, options.tuning});
  const auto bench = start_bench(rigs, options.small_pages);
  if (!bench) return bench.error();
  const auto crew = BenchCrew::measure(bench->rigs, scale_cells(options),
                                       {.bench = options, .warm_up = kScaleWarmUp});
  if (!crew) return crew.error();
  const Json rows = rows_json(options, **crew, *bench);
  return bench_result(options, bench->pages, {{"rows", rows}}, scale_table(options, rows));
}

}  // namespace

Command add_scale(CLI::App& app) {
  return make_command(
      app, "scale", "What a packet costs as the number of sessions grows, and what a session takes",
      {}, add_scale_options, measure_scale);
}

}  // namespace jvpn::perf
