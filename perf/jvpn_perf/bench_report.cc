#include "perf/jvpn_perf/bench_report.h"

#include <fmt/format.h>

namespace jvpn::perf {
namespace {

constexpr double kShown = 0.05;  ///< cycles per packet under which a stage isn't in play

nlohmann::ordered_json stages_json(const std::array<double, kStages>& stages) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (size_t stage = 0; stage < kStages; ++stage)
    if (stages[stage] > kShown) json[kStageNames[stage]] = stages[stage];
  return json;
}

nlohmann::ordered_json scaling_json(const Scaling& scaling) {
  nlohmann::ordered_json json{{"workers", scaling.workers}};
  put_spread(json, "gain", scaling.gain);
  put_spread(json, "raw_gain", scaling.raw_gain);
  put_spread(json, "gain_over_raw_gain", scaling.gain_over_raw_gain);
  return json;
}

std::string spread_text(const Spread& spread) {
  return fmt::format("{:.1f} ({:.1f}-{:.1f})", spread.median, spread.min, spread.max);
}

std::string stages_text(const std::array<double, kStages>& stages) {
  std::string text;
  for (size_t stage = 0; stage < kStages; ++stage)
    if (stages[stage] > kShown)
      text += fmt::format("  {} {:.1f}", kStageNames[stage], stages[stage]);
  return text;
}

}  // namespace

void put_spread(nlohmann::ordered_json& json, const std::string& key, const Spread& spread) {
  json[key] = spread.median;
  json[key + "_min"] = spread.min;
  json[key + "_max"] = spread.max;
}

nlohmann::ordered_json cell_json(const CellFigures& figures, uint64_t drops, double tsc_hz,
                                 const std::optional<Scaling>& scaling) {
  nlohmann::ordered_json json;
  put_spread(json, "cycles_per_packet", figures.cycles);
  put_spread(json, "raw_cycles_per_packet", figures.raw);
  put_spread(json, "overhead_cycles", figures.overhead);
  put_spread(json, "ratio", figures.ratio);
  put_spread(json, "mpps", figures.mpps);
  put_spread(json, "gbps", figures.gbps);
  json["drops"] = drops;
  json["tsc_hz"] = tsc_hz;
  json["packets"] = figures.packets;
  json["stages"] = stages_json(figures.stages);
  if (scaling) json["scaling"] = scaling_json(*scaling);
  return json;
}

nlohmann::ordered_json join_directions(
    std::vector<std::pair<std::string, nlohmann::ordered_json>> directions,
    const nlohmann::ordered_json& common) {
  nlohmann::ordered_json json;
  if (directions.size() == 1) {
    json = std::move(directions.front().second);
    json["direction"] = directions.front().first;
  } else {
    for (auto& [name, figures] : directions) json[name] = std::move(figures);
  }
  json.update(common);
  return json;
}

std::string cell_table(const std::vector<std::pair<std::string, CellFigures>>& directions) {
  std::string text = fmt::format("{:<6}{:>22}{:>22}{:>20}{:>10}{:>9}{:>9}\n", "", "cycles/packet",
                                 "raw IPsec-MB", "over raw", "ratio", "Mpps", "Gbit/s");
  for (const auto& [name, f] : directions) {
    text += fmt::format("{:<6}{:>22}{:>22}{:>20}{:>10.3f}{:>9.3f}{:>9.2f}\n", name,
                        spread_text(f.cycles), spread_text(f.raw), spread_text(f.overhead),
                        f.ratio.median, f.mpps.median, f.gbps.median);
  }
  text += "\nstages, cycles/packet\n";
  for (const auto& [name, f] : directions)
    text += fmt::format("{:<6}{}\n", name, stages_text(f.stages));
  return text;
}

}  // namespace jvpn::perf
