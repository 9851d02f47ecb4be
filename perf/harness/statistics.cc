#include "perf/harness/statistics.h"

#include <algorithm>
#include <cmath>

namespace jvpn::perf {
namespace {

std::vector<double> sorted(std::span<const double> samples) {
  std::vector<double> copy(samples.begin(), samples.end());
  std::ranges::sort(copy);
  return copy;
}

}  // namespace

double percentile(std::span<const double> samples, double percent) {
  if (samples.empty()) return 0;
  const double rank = std::ceil(percent / 100 * static_cast<double>(samples.size()));
  const auto at = static_cast<size_t>(std::max(rank, 1.0)) - 1;
  return sorted(samples)[std::min(at, samples.size() - 1)];
}

double median(std::span<const double> samples) {
  if (samples.empty()) return 0;
  const std::vector<double> ascending = sorted(samples);
  const size_t middle = ascending.size() / 2;
  if (ascending.size() % 2 == 1) return ascending[middle];
  return (ascending[middle - 1] + ascending[middle]) / 2;
}

Spread spread(std::span<const double> samples) {
  if (samples.empty()) return {};
  const auto [least, most] = std::ranges::minmax(samples);
  return {median(samples), least, most};
}

}  // namespace jvpn::perf
