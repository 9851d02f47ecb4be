// Latencies in a fixed amount of memory, as HdrHistogram does it: buckets whose width grows with
// the value, so that every percentile is right to 1/64 of itself. Pure, any thread.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace jvpn::perf {

class LatencyHistogram {
 public:
  /// Any unit. Values from 2^40 on count as the largest bucket; max() is exact even then.
  void record(uint64_t value) {
    ++counts_[bucket_of(value)];
    ++samples_;
    if (value > max_) max_ = value;
  }
  uint64_t samples() const { return samples_; }
  uint64_t max() const { return max_; }
  /// Nearest rank: at least `percent` of all samples are not above it. 0 without samples.
  uint64_t percentile(double percent) const;

 private:
  // Below 2^kLinearBits each value has a bucket; above, each power of two has half as many.
  static constexpr unsigned kLinearBits = 7;
  static constexpr unsigned kTopBits = 40;
  static constexpr size_t kHalf = size_t{1} << (kLinearBits - 1);
  static constexpr size_t kBuckets = (kTopBits - kLinearBits + 2) * kHalf;

  static size_t bucket_of(uint64_t value) {
    const auto bits = static_cast<unsigned>(std::bit_width(value));
    if (bits <= kLinearBits) return value;
    if (bits > kTopBits) return kBuckets - 1;
    const unsigned shift = bits - kLinearBits;
    return shift * kHalf + (value >> shift);
  }
  static uint64_t largest_in(size_t bucket);

  std::array<uint64_t, kBuckets> counts_{};
  uint64_t samples_ = 0;
  uint64_t max_ = 0;
};

inline uint64_t LatencyHistogram::largest_in(size_t bucket) {
  if (bucket < 2 * kHalf) return bucket;
  const size_t shift = bucket / kHalf - 1;
  const uint64_t low = uint64_t{bucket - shift * kHalf} << shift;
  return low + (uint64_t{1} << shift) - 1;
}

inline uint64_t LatencyHistogram::percentile(double percent) const {
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
