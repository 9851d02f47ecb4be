#include "perf/jvpn_perf/report_results.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string_view>

#include <fmt/format.h>

namespace jvpn::perf {
namespace {

constexpr std::streamoff kLargestFile = 64 << 20;
constexpr size_t kMostRows = 64;

// What a command was told. Not figures; they tell which results belong together.
constexpr std::array<std::string_view, 18> kSettings{
    "fault",    "cold",    "suite",   "direction", "size",     "bytes",
    "sessions", "rate",    "trial_s", "seed",      "slice_ms", "runs",
    "rounds",   "seconds", "bound",   "burst",     "options",  "width_percent"};
constexpr std::array<std::string_view, 2> kNeverCompared{"environment", "tsc_hz"};
// By which a row of a table is named.
constexpr std::array<std::string_view, 7> kRowNames{"sessions", "load_percent", "peer", "name",
                                                    "size",     "bytes",        "rate"};

template <size_t N>
bool among(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// Results from before commands named themselves.
std::string command_of(const Json& json) {
  if (const auto name = json.find("command"); name != json.end() && name->is_string())
    return name->get<std::string>();
  if (json.contains("p99_blocked_ms")) return "jump";
  if (json.contains("throughput_loss_percent")) return "jump-load";
  return "unknown";
}

std::string scalar_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::optional<std::string> row_name(const Json& row) {
  if (!row.is_object()) return std::nullopt;
  for (const std::string_view name : kRowNames) {
    const auto found = row.find(std::string(name));
    if (found != row.end() && found->is_primitive()) return scalar_text(*found);
  }
  return std::nullopt;
}

void collect(const Json& json, const std::string& prefix, std::vector<Figure>& figures);

void collect_rows(const Json& rows, const std::string& key, std::vector<Figure>& figures) {
  if (rows.size() > kMostRows) return;
  for (const Json& row : rows)
    if (const auto name = row_name(row)) collect(row, fmt::format("{}[{}].", key, *name), figures);
}

void collect(const Json& json, const std::string& prefix, std::vector<Figure>& figures) {
  for (const auto& [name, value] : json.items()) {
    if (among(kSettings, name) || among(kNeverCompared, name)) continue;
    const std::string key = prefix + name;
    if (value.is_number())
      figures.push_back({key, value.get<double>()});
    else if (value.is_object())
      collect(value, key + ".", figures);
    else if (value.is_array())
      collect_rows(value, key, figures);
  }
}

Result<void> add_result(const std::string& file, const Json& json,
                        std::vector<PerfResult>& results) {
  if (!json.is_object())
    return Error{fmt::format("{}: expected a JSON object that `jvpn-perf … --json` printed, got {}",
                             file, json.type_name())};
  results.push_back({file, command_of(json), json});
  return {};
}

Result<std::vector<PerfResult>> parse_lines(const std::string& file, const std::string& text,
                                            const std::string& whole_error) {
  std::vector<PerfResult> results;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_discarded()) return Error{fmt::format("{}: not JSON: {}", file, whole_error)};
    if (auto added = add_result(file, json, results); !added) return added.error();
  }
  if (results.empty()) return Error{fmt::format("{}: it is empty", file)};
  return results;
}

bool ends_with_any(std::string_view text, std::initializer_list<std::string_view> ends) {
  return std::ranges::any_of(ends, [&](std::string_view end) { return text.ends_with(end); });
}
bool has_any(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::ranges::any_of(
      parts, [&](std::string_view part) { return text.find(part) != std::string_view::npos; });
}

Verdict verdict_of(Better better, double before, double after, std::optional<double> percent) {
  if (before == after || (percent && std::abs(*percent) < kSamePercent)) return Verdict::kSame;
  if (better == Better::kNeither) return Verdict::kUnjudged;
  return (after < before) == (better == Better::kLower) ? Verdict::kBetter : Verdict::kWorse;
}

}  // namespace

Result<std::vector<PerfResult>> parse_results(const std::string& file, const std::string& text) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::exception& error) {
    return parse_lines(file, text, error.what());
  }
  std::vector<PerfResult> results;
  if (!json.is_array()) {
    if (auto added = add_result(file, json, results); !added) return added.error();
    return results;
  }
  for (const Json& one : json)
    if (auto added = add_result(file, one, results); !added) return added.error();
  return results;
}

Result<std::vector<PerfResult>> load_results(const std::string& file) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  const std::streamoff bytes = in ? std::streamoff{in.tellg()} : -1;
  if (bytes < 0) return errno_error(file);
  if (bytes > kLargestFile) return Error{fmt::format("{}: {} bytes are too many", file, bytes)};
  std::string text(static_cast<size_t>(bytes), '\0');
  in.seekg(0);
  if (!in.read(text.data(), bytes)) return errno_error(file);
  return parse_results(file, text);
}

std::vector<Figure> figures_in(const PerfResult& result) {
  std::vector<Figure> figures;
  collect(result.json, "", figures);
  return figures;
}

std::string settings_of(const PerfResult& result) {
  std::string text;
  const auto add = [&](std::string_view name, const Json& value) {
    if (value.is_null() || name == "seed" || name == "bound") return;
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", name, scalar_text(value));
  };
  for (const auto& [name, value] : result.json.items()) {
    if (!among(kSettings, name)) continue;
    if (value.is_object())
      for (const auto& [option, set] : value.items()) add(option, set);
    else
      add(name, value);
  }
  return text;
}

Better better_direction(const std::string& command, const std::string& key) {
  const std::string_view name = std::string_view(key).substr(key.rfind('.') + 1);
  if (name.starts_with("raw_") || has_any(name, {"bound_ms", "rtt_ms", "offered", "count"}))
    return has_any(name, {"over_bound"}) ? Better::kLower : Better::kNeither;
  if (name.starts_with("ratio")) return command == "handshake" ? Better::kHigher : Better::kLower;
  if (has_any(name, {"_per_s", "mpps", "gbps", "gbit", "_kept", "jvpn_over_"}))
    return name == "jumps_per_s" ? Better::kNeither : Better::kHigher;
  if (has_any(key, {"stages", "latency", "blocked", "loss", "lost", "drop", "overhead", "cpu_s",
                    "duplicate", "over_bound", "gap", "failures"}))
    return Better::kLower;
  if (has_any(name, {"cycles"}) || ends_with_any(name, {"_ms", "_us", "_ns"}) ||
      has_any(key, {"_us.", "_ms."}))
    return Better::kLower;
  return Better::kNeither;
}

std::vector<Change> compare(const PerfResult& before, const PerfResult& after) {
  const std::vector<Figure> old = figures_in(before);
  std::vector<Change> changes;
  for (const Figure& figure : figures_in(after)) {
    if (ends_with_any(figure.key, {"_min", "_max"})) continue;  // the spread of what is compared
    const auto same = std::ranges::find(old, figure.key, &Figure::key);
    if (same == old.end()) continue;
    Change change{figure.key, same->value, figure.value, std::nullopt, Verdict::kUnjudged};
    if (same->value != 0)
      change.percent = 100 * (figure.value - same->value) / std::abs(same->value);
    else if (figure.value == 0)
      change.percent = 0;
    change.verdict = verdict_of(better_direction(after.command, figure.key), change.before,
                                change.after, change.percent);
    changes.push_back(std::move(change));
  }
  return changes;
}

std::vector<const PerfResult*> match(const std::vector<PerfResult>& before,
                                     const std::vector<PerfResult>& after) {
  std::vector<const PerfResult*> found(after.size());
  const auto pair_up = [&](auto&& alike) {
    for (size_t i = 0; i < after.size(); ++i) {
      for (const PerfResult& old : before) {
        if (found[i] != nullptr) break;
        const bool taken = std::ranges::find(found, &old) != found.end();
        if (!taken && old.command == after[i].command && alike(old, after[i])) found[i] = &old;
      }
    }
  };
  pair_up(
      [](const PerfResult& a, const PerfResult& b) { return settings_of(a) == settings_of(b); });
  pair_up([](const PerfResult&, const PerfResult&) { return true; });
  return found;
}

}  // namespace jvpn::perf
