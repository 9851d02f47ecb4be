// What a bad link does to frames: loss, a bounded rate, delay, jitter, reordering, duplicates. No
// I/O and no clock: time is a parameter, everything random comes from one seed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"

namespace jvpn::lab {

/// Nanoseconds of any one clock that never goes back.
using Nanos = uint64_t;
inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kNever = UINT64_MAX;

/// The settings of one direction. Default: a perfect link.
struct LinkFaults {
  double delay_ms = 0;
  double jitter_ms = 0;  ///< the delay wanders within ± this, slowly enough to keep the order
  double loss = 0;       ///< probabilities, of each frame by itself
  double reorder = 0;    ///< of being held back, so that later frames overtake it
  double duplicate = 0;
  double rate_mbit = 0;  ///< 0: no bound
  double flap_ms = 0;    ///< loses all for so long, then passes all for so long; 0: never
};

struct FaultSetting {
  const char* name;
  double LinkFaults::*value;
  double most;  ///< the least is 0
};

/// Every setting there is, for command lines and texts.
inline constexpr std::array kFaultSettings = {
    FaultSetting{"delay_ms", &LinkFaults::delay_ms, 10'000},
    FaultSetting{"jitter_ms", &LinkFaults::jitter_ms, 10'000},
    FaultSetting{"loss", &LinkFaults::loss, 1},
    FaultSetting{"reorder", &LinkFaults::reorder, 1},
    FaultSetting{"duplicate", &LinkFaults::duplicate, 1},
    FaultSetting{"rate_mbit", &LinkFaults::rate_mbit, 100'000},
    FaultSetting{"flap_ms", &LinkFaults::flap_ms, 60'000},
};

/// `faults` changed by a text like `delay_ms=40 loss=0.01`; or what is wrong with the text.
Result<LinkFaults> changed_faults(LinkFaults faults, std::string_view text);
/// The same text for all settings.
std::string to_text(const LinkFaults& faults);

struct LinkCounters {
  uint64_t in = 0;
  uint64_t out = 0;
  uint64_t lost = 0;      ///< by `loss` and `flap_ms`
  uint64_t overflow = 0;  ///< by the rate's queue, or for want of room
  uint64_t held_back = 0;
  uint64_t duplicated = 0;
};

/// One direction of a link. Bounded: what doesn't fit is dropped and counted. One thread.
class DelayQueue {
 public:
  /// `max_bytes`: of all frames that wait.
  DelayQueue(uint64_t seed, size_t max_bytes);

  /// For the frames that come from now on; the ones inside keep their times.
  void set(const LinkFaults& faults) { faults_ = faults; }
  const LinkFaults& faults() const { return faults_; }

  void push(std::span<const uint8_t> frame, Nanos now);
  /// Past all faults: leaves at `release`.
  void hold(std::span<const uint8_t> frame, Nanos release);
  /// When the next frame leaves; kNever when none waits.
  Nanos due() const { return frames_.empty() ? kNever : frames_.begin()->first.first; }
  /// The next frame, once its time has come.
  std::optional<std::vector<uint8_t>> pop(Nanos now);

  const LinkCounters& counters() const { return counters_; }

 private:
  bool flapped_down(Nanos now) const;
  std::optional<Nanos> departure(size_t bytes, Nanos now);
  Nanos delay(Nanos now);
  void add(std::span<const uint8_t> frame, Nanos release);

  LinkFaults faults_;
  size_t max_bytes_;
  size_t bytes_ = 0;
  uint64_t order_ = 0;  ///< of frames released at the same time
  std::map<std::pair<Nanos, uint64_t>, std::vector<uint8_t>> frames_;
  LinkCounters counters_;
  std::mt19937_64 fates_;   ///< three numbers for each frame, whatever the settings
  std::mt19937_64 wander_;  ///< of the jitter
  Nanos line_free_ = 0;     ///< when the bounded rate lets the next frame begin
  Nanos latest_ = 0;        ///< the latest release of a frame that keeps its place
  // The jitter's current leg, as fractions of jitter_ms.
  double from_ = 0;
  double to_ = 0;
  Nanos leg_begin_ = 0;
  Nanos leg_end_ = 0;
};

}  // namespace jvpn::lab
