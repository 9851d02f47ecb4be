// What samples say together: medians, percentiles. Pure, any thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace jvpn::perf {

/// A figure (member or function) of each of `items`.
template <typename Items, typename Figure>
std::vector<double> each_of(const Items& items, Figure&& figure) {
  std::vector<double> values;
  for (const auto& item : items) values.push_back(std::invoke(figure, item));
  return values;
}

inline std::vector<double> sorted(std::span<const double> samples) {
  std::vector<double> copy(samples.begin(), samples.end());
  std::ranges::sort(copy);
  return copy;
}

/// Nearest rank: the smallest sample that at least `percent` of all are not above. 0 without
/// samples.
inline double percentile(std::span<const double> samples, double percent) {
  if (samples.empty()) return 0;
  const double rank = std::ceil(percent / 100 * static_cast<double>(samples.size()));
  const auto at = static_cast<size_t>(std::max(rank, 1.0)) - 1;
  return sorted(samples)[std::min(at, samples.size() - 1)];
}

/// The middle sample; the mean of the two in the middle of an even number. 0 without samples.
inline double median(std::span<const double> samples) {
  if (samples.empty()) return 0;
  const std::vector<double> ascending = sorted(samples);
  const size_t end = ascending.size();
  return (ascending[(end - 1) / 2] + ascending[end / 2]) / 2;
}

struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
};
/// Zeros without samples.
inline Spread spread(std::span<const double> samples) {
  if (samples.empty()) return {};
  const auto [least, most] = std::ranges::minmax(samples);
  return {median(samples), least, most};
}

}  // namespace jvpn::perf
