// The gateway's clocks: CLOCK_BOOTTIME for every decision, and the TSC of workers in its terms.
#pragma once

#include <cstdint>

#include <rte_cycles.h>

#include "common/session_table.h"
#include "common/types.h"
#include "control/session/system_sources.h"

namespace jvpn::gateway {

/// What the control core takes for the time. Control thread only.
class GatewayClock {
 public:
  virtual ~GatewayClock() = default;
  virtual uint64_t now_us() const = 0;
  /// When a worker read the TSC as `tsc`; 0 for 0.
  virtual Millis at_tsc(uint64_t tsc) const = 0;
  Millis now() const { return Millis{now_us() / 1'000}; }
  /// What the TSC will be then; kNoDeadline where it doesn't reach. Now, for what is past.
  uint64_t tsc_at(Millis time) const {
    const uint64_t cycles_per_ms = rte_get_tsc_hz() / 1'000;
    const uint64_t present = rte_rdtsc();
    const uint64_t ahead = (time - now()).value;
    if (cycles_per_ms == 0 || ahead > (kNoDeadline - present) / cycles_per_ms) return kNoDeadline;
    return present + ahead * cycles_per_ms;
  }
};

/// CLOCK_BOOTTIME and the machine's TSC.
class BootClock final : public GatewayClock {
 public:
  uint64_t now_us() const override { return session::boottime_us(); }

  Millis at_tsc(uint64_t tsc) const override {
    if (tsc == 0) return Millis{0};
    const uint64_t current = rte_rdtsc();
    const uint64_t cycles_per_ms = rte_get_tsc_hz() / 1'000;
    const uint64_t ago = current > tsc && cycles_per_ms > 0 ? (current - tsc) / cycles_per_ms : 0;
    return now() - Millis{ago};
  }
};

}  // namespace jvpn::gateway
