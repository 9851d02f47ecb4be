// What `jvpn-perf isolation` was asked for, and the measurement.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "perf/harness/command.h"

namespace jvpn::perf {

struct IsolationOptions {
  uint32_t sessions = 100'000;
  double seconds = 8;               ///< of each fault
  std::vector<std::string> faults;  ///< all when empty
  uint32_t heartbeat_ms = 10'000;   ///< that an idle session agrees to
  uint32_t replays_per_s = 10'000;  ///< captured control messages
  uint32_t rekeys_per_s = 10'000;   ///< REKEY_INITIATIONs of one peer
  uint32_t flood_per_s = 100'000;   ///< cookie replies, or ARP claims
  double most_delay_ms = 50;        ///< that a heartbeat may take longer than without a fault
  double most_turn_ms = 1;          ///< that the control thread may run at once
  bool small_pages = false;
  uint64_t seed = 0;
  bool json = false;
};
void add_isolation_options(CLI::App& parser, IsolationOptions& options);
/// Once in a process, which it gives to DPDK. What was measured, as perf/isolation/isolation.py
/// reads it. The caller becomes the control thread.
Result<Measured> measure_isolation(const IsolationOptions& options);

}  // namespace jvpn::perf
