// Latencies in a fixed amount of memory: buckets whose width grows with the value, so that every
// percentile is right to 1/64 of itself. Pure, any thread.
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
  /// Any unit. max() is exact.
  void record(uint64_t value) {
    ++counts_[bucket_of(value)];
    ++samples_;
    max_ = std::max(max_, value);
  }
  uint64_t samples() const { return samples_; }
  uint64_t max() const { return max_; }
  /// Nearest rank: at least `percent` of all samples are not above it. 0 without samples.
  uint64_t percentile(double percent) const {
    const double rank = std::ceil(percent / 100 * static_cast<double>(samples_));
    const auto wanted = static_cast<uint64_t>(std::max(rank, 1.0));
    size_t bucket = 0;
    for (uint64_t seen = counts_[0]; seen < wanted && bucket + 1 < kBuckets;)
      seen += counts_[++bucket];
    const float end = std::bit_cast<float>(static_cast<uint32_t>((bucket + kOfOne) << kShift));
    if (end > static_cast<float>(max_) || end >= 0x1p64F) return max_;
    return static_cast<uint64_t>(std::ceil(end)) - 1;
  }

 private:
  // A bucket holds the floats that have sign, exponent and the first 7 bits of the fraction in
  // common; the first one holds 0.
  static constexpr unsigned kShift = 23 - 7;
  static constexpr size_t kOfOne = std::bit_cast<uint32_t>(1.0F) >> kShift;
  static constexpr size_t kBuckets = (std::bit_cast<uint32_t>(0x1p64F) >> kShift) - kOfOne + 2;

  static size_t bucket_of(uint64_t value) {
    if (value == 0) return 0;
    return (std::bit_cast<uint32_t>(static_cast<float>(value)) >> kShift) - kOfOne + 1;
  }

  std::array<uint64_t, kBuckets> counts_{};
  uint64_t samples_ = 0;
  uint64_t max_ = 0;
};

}  // namespace jvpn::perf
