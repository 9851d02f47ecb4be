#include "control/session/path_quality.h"

#include <algorithm>
#include <cmath>

namespace jvpn::session {
namespace {

constexpr uint64_t kLeastSpreadUs = 5'000;  // the clocks' grain, and what ends take now and then

bool over(const std::optional<uint32_t>& measured_us, const std::optional<Millis>& threshold) {
  return measured_us && threshold && *measured_us > threshold->value * 1'000;
}

}  // namespace

void LossMeter::sample(Millis now, const RxProgress& totals, Millis window) {
  latest_ = totals;
  if (count_ == 0 || now >= marks_[newest_].at + Millis{window.value / kMarks}) {
    newest_ = (newest_ + 1) % kMarks;
    marks_[newest_] = {now, totals};
    count_ = std::min(count_ + 1, kMarks);
  }
  // The window begins at the youngest mark that is old enough, or else at the oldest there is.
  const size_t oldest = newest_ + kMarks + 1 - count_;
  size_t begin = oldest;
  const auto next = [&] { return marks_[(begin + 1) % kMarks]; };
  while (begin + 1 < oldest + count_ && next().at + window <= now) ++begin;
  // And not before the traffic: at its start, what is overtaken would weigh too much.
  while (begin + 1 < oldest + count_ &&
         next().totals.expected == marks_[begin % kMarks].totals.expected) {
    ++begin;
  }
  const Mark& mark = marks_[begin % kMarks];
  before_ = mark.totals;
  long_enough_ = now >= mark.at + Millis{window.value / 2};
}

std::optional<Ppm> LossMeter::loss(uint32_t min_samples) const {
  if (!long_enough_) return std::nullopt;
  const uint64_t expected = latest_.expected - std::min(before_.expected, latest_.expected);
  const uint64_t received = latest_.received - std::min(before_.received, latest_.received);
  if (expected == 0 || expected < min_samples) return std::nullopt;
  if (received >= expected) return 0;
  return static_cast<Ppm>((expected - received) * kWhole / expected);
}

void RttMeter::add(uint32_t sample_us) {
  const auto step = [](uint32_t before, uint32_t sample, int64_t gain) {
    return static_cast<uint32_t>(int64_t{before} + (int64_t{sample} - before) / gain);
  };
  if (rtt_us_) {
    const uint32_t change = std::max(sample_us, latest_us_) - std::min(sample_us, latest_us_);
    jitter_us_ = step(jitter_us_.value_or(0), change, 4);
    const uint32_t error = std::max(sample_us, *rtt_us_) - std::min(sample_us, *rtt_us_);
    variation_us_ = step(variation_us_, error, 4);
  } else {
    variation_us_ = sample_us / 2;
  }
  samples_ = std::min(samples_ + 1, kSettled);
  rtt_us_ = step(rtt_us_.value_or(sample_us), sample_us, 8);
  latest_us_ = sample_us;
}

std::optional<uint64_t> RttMeter::patience_us() const {
  if (!rtt_us_) return std::nullopt;
  return uint64_t{*rtt_us_} + std::max(4 * uint64_t{variation_us_}, kLeastSpreadUs);
}

Ppm PathQuality::worst_loss(const Policy& policy, Millis now) const {
  return std::max(loss_in(policy).value_or(0), loss_out(now).value_or(0));
}

QualityFinding assess(const PathQuality& quality, const Policy& policy, Millis now) {
  const auto& bounds = policy.volatility;
  const Ppm loss = quality.worst_loss(policy, now);
  if (loss > ppm(bounds.loss_volatile_threshold))
    return {QualityVerdict::kVolatile, Detail::kLoss, loss};
  if (over(quality.rtt.rtt_us(), bounds.latency_volatile)) {
    return {QualityVerdict::kVolatile, Detail::kLatency, *quality.rtt.rtt_us()};
  }
  if (over(quality.rtt.jitter_us(), bounds.jitter_volatile)) {
    return {QualityVerdict::kVolatile, Detail::kJitter, *quality.rtt.jitter_us()};
  }
  const bool too_little = bounds.quality_floor && kWhole - loss < ppm(*bounds.quality_floor);
  if (too_little) return {QualityVerdict::kUnderFloor, Detail::kLoss, loss};
  return {};
}

}  // namespace jvpn::session
