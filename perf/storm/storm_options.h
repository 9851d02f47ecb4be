// What `jvpn-perf storm` was asked for, and the measurement.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/policy.h"
#include "common/profile.h"
#include "perf/harness/command.h"

namespace jvpn::perf {

struct StormOptions {
  uint32_t sessions = 100'000;
  std::vector<std::string> phases;  ///< all when empty
  uint32_t delay_ms = 10;           ///< of each path, one way
  uint32_t rest_ms = 6'000;         ///< before each phase: paths are probed, cooldowns pass
  uint32_t absence_ms = 4'000;      ///< for which nobody comes back
  uint32_t limit_ms = 60'000;       ///< after which a phase is given up
  uint32_t rekey_ms = 120'000;      ///< of the peers' keys
  uint32_t handshakes_per_s = LimitsProfile{}.handshakes_per_s;
  uint32_t ring = 512;            ///< limits.control_ring: messages that wait for control
  uint64_t heartbeat_factor = 1;  ///< of the policy's heartbeats, and of the silence it bears
  double most_s = 10;             ///< until the last session is attached again
  Policy policy;
  bool json = false;
  uint64_t seed = 0;
};
void add_storm_options(CLI::App& parser, StormOptions& options);
/// What was measured, as perf/storm/storm.py reads it. The caller's thread is control and all
/// peers.
Result<Measured> measure_storm(const StormOptions& options);

}  // namespace jvpn::perf
