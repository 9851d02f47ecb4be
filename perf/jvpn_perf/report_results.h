// Results of this harness, as `jvpn-perf report` reads and compares them. Pure but for load(); any
// thread.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/result.h"

namespace jvpn::perf {

using Json = nlohmann::ordered_json;

/// One result: what a command printed with `--json`.
struct PerfResult {
  std::string file;
  std::string command;  ///< "pipeline", "jump", …; "unknown" when it doesn't say and nothing tells
  Json json;
};

/// The results of one file: an object, an array of them, or one object a line. Errors name the file
/// and the place.
Result<std::vector<PerfResult>> parse_results(const std::string& file, const std::string& text);
/// Reads a file of at most 64 MiB.
Result<std::vector<PerfResult>> load_results(const std::string& file);

/// A number in a result: `seal.stages.lookup`, `rows[1000].cycles_per_packet`. Settings and the
/// environment aren't among them, lists of samples neither.
struct Figure {
  std::string key;
  double value = 0;
};
std::vector<Figure> figures_in(const PerfResult& result);

/// What was set: fault, suite, size and the like, as `key=value, …`. Two results with the same
/// command and settings may be compared.
std::string settings_of(const PerfResult& result);

enum class Better { kLower, kHigher, kNeither };
/// Which direction of a figure is the better one.
Better better_direction(const std::string& command, const std::string& key);

enum class Verdict { kBetter, kWorse, kSame, kUnjudged };
struct Change {
  std::string key;
  double before = 0;
  double after = 0;
  std::optional<double> percent;  ///< none when `before` is 0 and `after` isn't
  Verdict verdict = Verdict::kUnjudged;
};
/// Changes below it are called the same.
inline constexpr double kSamePercent = 1;
/// Of the figures that both have, in the order of `after`.
std::vector<Change> compare(const PerfResult& before, const PerfResult& after);

/// Which result of `before` each of `after` is to be compared with; nullptr: none. First those with
/// the same settings, then whatever is left of the same command, in order.
std::vector<const PerfResult*> match(const std::vector<PerfResult>& before,
                                     const std::vector<PerfResult>& after);

}  // namespace jvpn::perf
