#include "perf/jvpn_perf/latency_histogram.h"

#include <algorithm>
#include <cmath>

namespace jvpn::perf {

uint64_t LatencyHistogram::largest_in(size_t bucket) {
  if (bucket < 2 * kHalf) return bucket;
  const size_t shift = bucket / kHalf - 1;
  const uint64_t low = uint64_t{bucket - shift * kHalf} << shift;
  return low + (uint64_t{1} << shift) - 1;
}

uint64_t LatencyHistogram::percentile(double percent) const {
  if (samples_ == 0) return 0;
  const double rank = std::ceil(percent / 100 * static_cast<double>(samples_));
  const auto wanted = static_cast<uint64_t>(std::max(rank, 1.0));
  uint64_t seen = 0;
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    seen += counts_[bucket];
    if (seen >= wanted && bucket + 1 < kBuckets) return std::min(largest_in(bucket), max_);
  }
  return max_;
}

}  // namespace jvpn::perf
