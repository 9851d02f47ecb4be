// A figure over several runs. Pure, any thread.
#pragma once

#include <algorithm>
#include <span>

#include "perf/jvpn_perf/statistics.h"

namespace jvpn::perf {

struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
};

/// Zeros without samples.
inline Spread spread_of(std::span<const double> samples) {
  if (samples.empty()) return {};
  const auto [min, max] = std::ranges::minmax(samples);
  return {median(samples), min, max};
}

}  // namespace jvpn::perf
