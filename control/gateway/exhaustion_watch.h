// What a gateway runs out of, found by counters that only rise when something was refused for want
// of it. One that rose is a flag of health until nothing was refused for ten seconds. Control
// thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/types.h"
#include "control/gateway/health_flags.h"

namespace jvpn::gateway {

/// Something bounded, that may be exhausted.
enum class Bounded : uint8_t {
  kTransmitRings,   ///< descriptors of a port's transmit queue
  kControlRings,    ///< from the workers to control
  kWorkerRings,     ///< from control to the workers
  kControlPackets,  ///< control's own, to send with
  kWaitingPackets,  ///< for their neighbour's address
  kNeighbors,
  kEvents,       ///< in the ring, or waiting for a sink
  kControlCore,  ///< wanted in vain: seconds that it was busy throughout
  kCount
};
inline constexpr size_t kBounded = static_cast<size_t>(Bounded::kCount);

/// Seconds that a thread ran for more than nine tenths of.
class BusySeconds {
 public:
  /// `cpu_us`: what the thread ran so far. Called about once a second; returns the sum.
  uint64_t note(Millis now, uint64_t cpu_us) {
    const uint64_t passed_us = (now - then_).value * 1'000;
    if (then_ != Millis{} && (cpu_us - cpu_us_) * 10 > passed_us * 9) ++seconds_;
    then_ = now;
    cpu_us_ = cpu_us;
    return seconds_;
  }

 private:
  Millis then_;
  uint64_t cpu_us_ = 0;
  uint64_t seconds_ = 0;
};

class ExhaustionWatch {
 public:
  static constexpr Millis kLook{1'000};
  static constexpr Millis kQuiet{10'000};
  /// Of each, how often it was wanted in vain so far.
  using Totals = std::array<uint64_t, kBounded>;

  /// `totals()` is asked once a second.
  template <typename TotalsOf>
  void poll(Millis now, TotalsOf totals) {
    if (now < due_) return;
    due_ = now + kLook;
    take(now, totals());
  }
  /// Raises a flag for each that is exhausted.
  void look(HealthFlags& flags) const;

 private:
  struct State {
    uint64_t seen = 0;    ///< of the total
    uint64_t before = 0;  ///< the total when it began; a flag's text counts from there
    Millis until;         ///< exhausted until then, as far as is known
    bool exhausted = false;
  };
  void take(Millis now, const Totals& totals);

  Millis due_;
  std::array<State, kBounded> states_{};
};

}  // namespace jvpn::gateway
