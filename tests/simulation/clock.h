// True time, and the clocks of a simulated machine, which are all that its programs see.
#pragma once

#include <cstdint>

#include "common/types.h"

namespace jvpn::sim {

/// Microseconds since the simulation began.
using TrueTime = uint64_t;
inline constexpr TrueTime kNoTime = UINT64_MAX;
inline constexpr TrueTime kMs = 1'000;
inline constexpr TrueTime kSecond = 1'000'000;

/// CLOCK_BOOTTIME with a rate of its own, and a wall clock that may be wrong.
class Clocks {
 public:
  Clocks() = default;
  /// `ppm`: how much faster than true time; `first`: what it showed at `began`.
  Clocks(int64_t ppm, TrueTime began, Millis first) : ppm_(ppm), began_(began), first_(first) {}

  Millis boot(TrueTime now) const { return first_ + Millis{run(now - began_) / kMs}; }
  /// The first moment at which boot() shows that, or more; kNoTime: not in this simulation.
  TrueTime when(Millis shown) const {
    if (shown <= first_) return began_;
    const uint64_t ahead = (shown - first_).value;
    if (ahead > kLongest) return kNoTime;
    const uint64_t needed = ahead * kMs;
    uint64_t span = needed * kMillion / static_cast<uint64_t>(kMillion + ppm_);
    while (run(span) < needed) ++span;
    return began_ + span;
  }
  uint64_t wall_ms(TrueTime now) const {
    return static_cast<uint64_t>(kEpoch + static_cast<int64_t>(now / kMs) + wall_error_ms_);
  }
  /// Somebody sets the wall clock.
  void set_wall_error(int64_t ms) { wall_error_ms_ = ms; }
  /// The machine starts again.
  void reboot(TrueTime now) {
    began_ = now;
    first_ = Millis{20'000};
  }

 private:
  static constexpr int64_t kMillion = 1'000'000;
  static constexpr int64_t kEpoch = 1'700'000'000'000;
  static constexpr uint64_t kLongest = 86'400'000;

  uint64_t run(uint64_t span) const {
    return static_cast<uint64_t>(static_cast<int64_t>(span) +
                                 static_cast<int64_t>(span) * ppm_ / kMillion);
  }

  int64_t ppm_ = 0;
  TrueTime began_ = 0;
  Millis first_{1'000'000};
  int64_t wall_error_ms_ = 0;
};

}  // namespace jvpn::sim
