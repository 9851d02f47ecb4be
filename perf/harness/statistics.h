// What samples say together: medians, percentiles, a histogram. Pure, any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace jvpn::perf {

struct Summary {
  size_t count = 0;
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
  double max = 0;
};

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

Summary summarize(std::span<const double> samples);

/// The middle sample; the mean of the two in the middle of an even number. 0 without samples.
double median(std::span<const double> samples);

struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
};
/// Zeros without samples.
Spread spread(std::span<const double> samples);

/// Samples above `from` and up to `to`. The first bucket holds the zeros alone.
struct Bucket {
  double from = 0;
  double to = 0;
  size_t count = 0;
};

/// Buckets with edges 0, 1, 2, 5, 10, 20, 50, … up to the one that holds the largest sample.
std::vector<Bucket> histogram(std::span<const double> samples);

}  // namespace jvpn::perf
