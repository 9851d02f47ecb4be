// Latencies in a fixed amount of memory, as HdrHistogram does it: buckets whose width grows with
// the value, so that every percentile is right to 1/64 of itself. Pure, any thread.
#pragma once

#include <array>
#include <bit>
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

}  // namespace jvpn::perf
