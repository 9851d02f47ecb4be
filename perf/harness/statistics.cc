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

double nearest_rank(const std::vector<double>& ascending, double percent) {
  if (ascending.empty()) return 0;
  const double rank = std::ceil(percent / 100 * static_cast<double>(ascending.size()));
  const auto at = static_cast<size_t>(std::max(rank, 1.0)) - 1;
  return ascending[std::min(at, ascending.size() - 1)];
}

/// 1, 2, 5, 10, 20, 50, …
double next_edge(double edge) {
  if (edge == 0) return 1;
  const double decade = std::pow(10, std::floor(std::log10(edge) + 1e-9));
  const long digit = std::lround(edge / decade);
  return digit == 1 ? 2 * decade : digit == 2 ? 5 * decade : 10 * decade;
}

}  // namespace

double percentile(std::span<const double> samples, double percent) {
  return nearest_rank(sorted(samples), percent);
}

Summary summarize(std::span<const double> samples) {
  const std::vector<double> ascending = sorted(samples);
  return {ascending.size(), nearest_rank(ascending, 50), nearest_rank(ascending, 90),
          nearest_rank(ascending, 99), nearest_rank(ascending, 100)};
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

std::vector<Bucket> histogram(std::span<const double> samples) {
  std::vector<Bucket> buckets;
  if (samples.empty()) return buckets;
  const std::vector<double> ascending = sorted(samples);
  auto at = ascending.begin();
  const auto fill = [&](double from, double to) {
    const auto end = std::upper_bound(at, ascending.end(), to);
    buckets.push_back({from, to, static_cast<size_t>(end - at)});
    at = end;
  };
  fill(0, 0);
  for (double from = 0; at != ascending.end(); from = buckets.back().to)
    fill(from, next_edge(from));
  return buckets;
}

}  // namespace jvpn::perf
