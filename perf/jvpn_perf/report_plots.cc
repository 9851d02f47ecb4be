#include "perf/jvpn_perf/report_plots.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "perf/jvpn_perf/report_chart.h"

namespace jvpn::perf {
namespace {

using Results = std::vector<const PerfResult*>;

/// 0 when there is no such number.
double number_in(const Json& json, const std::string& key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  return found != json.end() && found->is_number() ? found->get<double>() : 0;
}
bool has_number(const Json& json, const std::string& key) {
  return json.is_object() && json.contains(key) && json[key].is_number();
}
const Json& child(const Json& json, const std::string& key) {
  static const Json nothing;
  const auto found = json.is_object() ? json.find(key) : json.end();
  return found != json.end() ? *found : nothing;
}
std::string text_in(const Json& json, const std::string& key) {
  const Json& value = child(json, key);
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump();
}

std::optional<std::pair<double, double>> spread_in(const Json& json, const std::string& key) {
  if (!has_number(json, key + "_min") || !has_number(json, key + "_max")) return std::nullopt;
  return std::pair{number_in(json, key + "_min"), number_in(json, key + "_max")};
}

std::string joined(const std::string& first, const std::string& second) {
  return first.empty() || second.empty() ? first + second : first + " " + second;
}

/// Suite, size and sessions in few words; the file's name without them.
std::string short_name(const PerfResult& result) {
  std::string name;
  for (const Json* source : {&result.json, &child(result.json, "options")})
    for (const char* key : {"fault", "direction", "suite", "size", "bytes"})
      if (const Json& value = child(*source, key); value.is_primitive())
        name = joined(name, text_in(*source, key));
  if (!name.empty()) return name;
  return result.file.substr(result.file.rfind('/') + 1);
}

/// The object itself, or what it holds of both directions.
std::vector<std::pair<std::string, const Json*>> directions_of(const Json& json,
                                                               const std::string& key) {
  std::vector<std::pair<std::string, const Json*>> found;
  if (has_number(json, key)) found.emplace_back("", &json);
  for (const char* direction : {"seal", "open"})
    if (const Json& one = child(json, direction); has_number(one, key))
      found.emplace_back(direction, &one);
  return found;
}

void add_cycle_bars(const std::string& name, const Json& cell, std::vector<Bar>& bars) {
  Bar worker{name, {}, spread_in(cell, "cycles_per_packet")};
  double known = 0;
  for (const auto& [stage, cycles] : child(cell, "stages").items()) {
    if (!cycles.is_number()) continue;
    worker.parts.emplace_back(stage, cycles.get<double>());
    known += std::max(cycles.get<double>(), 0.0);
  }
  const double rest = number_in(cell, "cycles_per_packet") - known;
  const bool all_known = known > 0 && rest <= 0.5;
  if (!all_known) worker.parts.emplace_back(known > 0 ? "other" : "worker", rest);
  bars.push_back(std::move(worker));
  if (has_number(cell, "raw_cycles_per_packet"))
    bars.push_back({"raw AEAD",
                    {{"raw AEAD", number_in(cell, "raw_cycles_per_packet")}},
                    spread_in(cell, "raw_cycles_per_packet")});
}

std::string cycle_bars(const Results& results) {
  std::vector<Bar> bars;
  for (const PerfResult* result : results)
    for (const auto& [direction, cell] : directions_of(result->json, "cycles_per_packet"))
      add_cycle_bars(joined(direction, short_name(*result)), *cell, bars);
  return bar_chart("Worker by stage, beside the raw AEAD of the same packets", "cycles per packet",
                   bars);
}

/// The first list of objects that tell for how many sessions they are.
const Json& session_rows(const Json& json) {
  static const Json nothing = Json::array();
  for (const auto& item : json.items())
    if (item.value().is_array() && !item.value().empty() &&
        has_number(item.value().front(), "sessions"))
      return item.value();
  return nothing;
}

using Curves = std::map<std::string, std::vector<std::pair<double, double>>>;

void add_point(const std::string& name, double sessions, const Json& cell, const char* figure,
               Curves& curves) {
  if (has_number(cell, figure)) curves[name].emplace_back(sessions, number_in(cell, figure));
}

std::vector<Line> lines_of(Curves curves) {
  std::vector<Line> lines;
  for (auto& [name, points] : curves) {
    std::ranges::sort(points);
    lines.push_back({name, std::move(points)});
  }
  return lines;
}

std::string session_lines(const PerfResult& result) {
  Curves cycles;
  Curves rates;
  for (const Json& row : session_rows(result.json)) {
    for (const auto& [direction, cell] : directions_of(row, "cycles_per_packet")) {
      const std::string side = direction.empty() ? text_in(row, "direction") : direction;
      const double sessions = number_in(row, "sessions");
      add_point(joined("worker", side), sessions, *cell, "cycles_per_packet", cycles);
      add_point(joined("raw AEAD", side), sessions, *cell, "raw_cycles_per_packet", cycles);
      add_point(joined("worker", side), sessions, *cell, "mpps", rates);
    }
  }
  const XAxis x{"sessions", true, {}};
  return line_chart("Cycles per packet over sessions, " + short_name(result), "cycles", x, false,
                    lines_of(std::move(cycles))) +
         line_chart("Packet rate over sessions, " + short_name(result), "Mpps", x, false,
                    lines_of(std::move(rates)));
}

std::string blocked_histogram(const PerfResult& result) {
  std::vector<Bar> bars;
  for (const Json& bucket : child(result.json, "distribution")) {
    if (!bucket.is_object()) continue;
    const double to = number_in(bucket, "up_to_ms");
    const std::string range =
        to == 0 ? "0 ms"
                : fmt::format("{} to {} ms", number_text(number_in(bucket, "over_ms")),
                              number_text(to));
    bars.push_back({range, {{"jumps", number_in(bucket, "jumps")}}, std::nullopt});
  }
  return bar_chart("Effective blocked time, " + short_name(result), "jumps", bars);
}

std::string load_bars(const Results& results) {
  std::vector<Bar> bars;
  for (const PerfResult* result : results) {
    for (const auto& [key, name] :
         {std::pair{"mpps_without", "without jumps"}, std::pair{"mpps_with", "while jumping"}})
      bars.push_back(
          {joined(name, short_name(*result)), {{name, number_in(result->json, key)}}, {}});
  }
  return bar_chart("A worker while sessions jump", "Mpps", bars);
}

constexpr std::array<std::pair<const char*, const char*>, 5> kPercentiles{
    {{"p50", "50 %"}, {"p90", "90 %"}, {"p99", "99 %"}, {"p99_9", "99.9 %"}, {"max", "max"}}};

std::string latency_lines(const PerfResult& result) {
  XAxis x{"percentile", false, {}};
  for (const auto& percentile : kPercentiles) x.names.emplace_back(percentile.second);
  std::vector<Line> lines;
  for (const Json& row : child(result.json, "latency_us")) {
    if (!row.is_object()) continue;
    Line line{fmt::format("{} % of PDR", number_text(number_in(row, "load_percent"))), {}};
    for (size_t i = 0; i < kPercentiles.size(); ++i)
      if (has_number(row, kPercentiles[i].first))
        line.points.emplace_back(i, number_in(row, kPercentiles[i].first));
    lines.push_back(std::move(line));
  }
  return line_chart("Latency, " + short_name(result), "us", x, true, lines);
}

std::string rate_bars(const Results& results) {
  std::vector<Bar> bars;
  for (const PerfResult* result : results)
    for (const auto& [key, name] : {std::pair{"ndr_mpps", "NDR"}, std::pair{"pdr_mpps", "PDR"}})
      if (has_number(result->json, key))
        bars.push_back(
            {joined(name, short_name(*result)), {{name, number_in(result->json, key)}}, {}});
  return bar_chart("Rate without loss (NDR) and with 0.5 % of it (PDR)", "Mpps", bars);
}

std::string handshake_bars(const Results& results) {
  std::vector<Bar> bars;
  for (const PerfResult* result : results) {
    const Json& json = result->json;
    const std::string name = short_name(*result);
    for (const char* side : {"responder", "both_sides"}) {
      const Json& one = child(json, side);
      if (!has_number(one, "handshakes_per_s")) continue;
      const char* label = side[0] == 'r' ? "responder" : "both sides";
      bars.push_back({joined(label, name),
                      {{label, number_in(one, "handshakes_per_s")}},
                      spread_in(one, "handshakes_per_s")});
    }
    if (has_number(json, "raw_x25519_per_s"))
      bars.push_back({"raw X25519 / 4",
                      {{"raw X25519 / 4", number_in(json, "raw_x25519_per_s") / 4}},
                      std::nullopt});
  }
  return bar_chart("Handshakes of one core", "per second", bars);
}

std::string peer_bars(const Results& results) {
  std::vector<Bar> bars;
  for (const PerfResult* result : results)
    for (const Json& peer : child(result->json, "peers"))
      if (has_number(peer, "gbps"))
        bars.push_back({text_in(peer, "peer"),
                        {{text_in(peer, "peer"), number_in(peer, "gbps")}},
                        spread_in(peer, "gbps")});
  return bar_chart("One TCP stream through the tunnel", "Gbit/s", bars);
}

template <typename Plot>
std::string each(const Results& results, Plot&& plot) {
  std::string html;
  for (const PerfResult* result : results) html += plot(*result);
  return html;
}

}  // namespace

std::string plots_of(const std::string& command, const Results& results) {
  if (command == "jump") return each(results, blocked_histogram);
  if (command == "jump-load") return load_bars(results);
  if (command == "ndr") return rate_bars(results) + each(results, latency_lines);
  if (command == "handshake") return handshake_bars(results);
  if (command == "peers") return peer_bars(results);
  return cycle_bars(results) + each(results, session_lines);
}

}  // namespace jvpn::perf
