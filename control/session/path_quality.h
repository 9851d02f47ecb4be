// How a path does, as far as this end can tell (docs/DESIGN.md, quality): loss from the gaps in the
// counters that arrive and from what the peer reports, round trips and jitter from heartbeats and
// probes. Values; no clock, no I/O. Control thread only.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "common/policy.h"
#include "common/reason.h"
#include "common/types.h"
#include "control/session/state_machine.h"

namespace jvpn::session {

/// A fraction in millionths, so that equal inputs give equal decisions everywhere.
using Ppm = uint32_t;
inline constexpr Ppm kWhole = 1'000'000;
/// Millionths of a fraction, rounded.
inline Ppm ppm(double fraction) {
  return static_cast<Ppm>(std::lround(std::clamp(fraction, 0.0, 1.0) * kWhole));
}

/// Data packets on one receiver index: those that the peer has sent, by the highest counter of each
/// lane, and those of them that came, authentic and fresh.
struct RxProgress {
  uint64_t expected = 0;
  uint64_t received = 0;
  Millis last_rx{};  ///< when the latest came; 0: none yet
};

/// Loss on one receiver index, over the latest loss_window_ms.
class LossMeter {
 public:
  /// Totals at `now`; both only rise. Overtaken packets that come later make their gap good.
  void sample(Millis now, const RxProgress& totals, Millis window);
  /// Lost fraction within the window; nullopt while fewer than `min_samples` packets count, or
  /// while they came for less than half the window.
  std::optional<Ppm> loss(uint32_t min_samples) const;

 private:
  struct Mark {
    Millis at;
    RxProgress totals;
  };
  static constexpr size_t kMarks = 8;
  std::array<Mark, kMarks> marks_{};  ///< a ring, an eighth of the window apart at least
  size_t newest_ = 0;
  size_t count_ = 0;
  RxProgress before_;         ///< where the window begins
  bool long_enough_ = false;  ///< overtaken packets at its ends are few beside the others
  RxProgress latest_;
};

/// Smoothed round-trip time and its variation (RFC 6298, alpha 1/8, beta 1/4), and jitter: the mean
/// change from one round trip to the next (RFC 3550's, with a gain of 1/4 because heartbeats are
/// few).
class RttMeter {
 public:
  void add(uint32_t sample_us);
  /// Within which an answer comes from a peer that is there: RFC 6298's srtt + 4 rttvar, with the
  /// grain of clocks and schedulers for the least variation. nullopt while nothing was measured.
  std::optional<uint64_t> patience_us() const;
  /// Round trips that count, at most kSettled.
  static constexpr uint32_t kSettled = 8;  ///< so many have forgotten the first guess
  uint32_t samples() const { return samples_; }
  std::optional<uint32_t> rtt_us() const { return rtt_us_; }
  std::optional<uint32_t> jitter_us() const { return jitter_us_; }

 private:
  std::optional<uint32_t> rtt_us_;
  std::optional<uint32_t> jitter_us_;
  uint32_t variation_us_ = 0;
  uint32_t samples_ = 0;
  uint32_t latest_us_ = 0;
};

/// The bound path, from its binding on.
struct PathQuality {
  LossMeter in;
  RttMeter rtt;
  std::optional<Ppm> reported;  ///< loss in the other direction, by the peer's latest report
  Millis reported_until;        ///< then it is too old to count

  std::optional<Ppm> loss_in(const Policy& policy) const {
    return in.loss(policy.volatility.loss_min_samples);
  }
  std::optional<Ppm> loss_out(Millis now) const {
    return now < reported_until ? reported : std::nullopt;
  }
  /// The worse direction; 0 when neither is known.
  Ppm worst_loss(const Policy& policy, Millis now) const;
};

/// A verdict and what it rests on: loss, latency or jitter; nothing when all is well.
struct QualityFinding {
  QualityVerdict verdict = QualityVerdict::kHealthy;
  Detail detail = Detail::kNone;
  uint64_t observed = 0;  ///< loss in millionths, or microseconds
};
/// Thresholds first, then the floor. Silence is the state machine's own affair.
QualityFinding assess(const PathQuality& quality, const Policy& policy, Millis now);

/// Whether latency or jitter is judged at all, so that round trips must be measured under traffic.
inline bool measures_round_trips(const Policy& policy) {
  return policy.volatility.latency_volatile || policy.volatility.jitter_volatile;
}

}  // namespace jvpn::session
