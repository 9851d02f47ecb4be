// What samples say together: medians, percentiles. Pure, any thread.
#pragma once

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

/// Nearest rank: the smallest sample that at least `percent` of all are not above. 0 without
/// samples.
double percentile(std::span<const double> samples, double percent);

/// The middle sample; the mean of the two in the middle of an even number. 0 without samples.
double median(std::span<const double> samples);

struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
};
/// Zeros without samples.
Spread spread(std::span<const double> samples);

}  // namespace jvpn::perf
