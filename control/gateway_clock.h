// The gateway's clocks: CLOCK_BOOTTIME for every decision, and the TSC of workers in its terms.
#pragma once

#include <cstdint>

#include <rte_cycles.h>
#include <time.h>

#include "common/types.h"

namespace jvpn {

inline Millis boot_time() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return Millis{static_cast<uint64_t>(now.tv_sec) * 1'000 +
                static_cast<uint64_t>(now.tv_nsec) / 1'000'000};
}

inline uint64_t boot_time_us() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1'000;
}

/// When a worker read the TSC as `tsc`; 0 for 0.
inline Millis boot_time_of_tsc(uint64_t tsc) {
  if (tsc == 0) return Millis{0};
  const uint64_t current = rte_rdtsc();
  const uint64_t cycles_per_ms = rte_get_tsc_hz() / 1'000;
  const uint64_t ago = current > tsc && cycles_per_ms > 0 ? (current - tsc) / cycles_per_ms : 0;
  return boot_time() - Millis{ago};
}

}  // namespace jvpn
