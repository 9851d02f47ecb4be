// Where a worker's cycles go, stage by stage: for the perf harness. Worker core. Without a clock, a
// stage costs one predictable branch for each burst. What stages do together for speed counts for
// the one that the lap() names.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <rte_cycles.h>

#include "dataplane/stage.h"

namespace jvpn {

/// TSC cycles and laps, per stage.
struct StageClock {
  uint64_t last = 0;
  std::array<uint64_t, kStages> cycles{};
  std::array<uint64_t, kStages> laps{};

  /// What passed until now was none of the worker's.
  void start() { last = rte_rdtsc(); }
  /// What passed since the previous lap was `stage`.
  void lap(Stage stage) {
    const uint64_t now = rte_rdtsc();
    cycles[static_cast<size_t>(stage)] += now - last;
    ++laps[static_cast<size_t>(stage)];
    last = now;
  }
};

}  // namespace jvpn
