// The measurement behind `jvpn-perf jump-load`: how much slower a worker gets because sessions
// jump.
//
//   lcore 1 (CPU 1): peers and LAN hosts make packets, untimed → worker, timed → packets are taken
//   lcore 0 (CPU 0): paces; in every other slice it publishes a jump each time, in the others it
//                    does all but that. So both kinds of slice have an equally busy neighbour.
//
// A jump is what the engine asks of the publisher: the next spare's receive side, the send side
// with fresh lanes, what the peer's lanes counted, and the old index once it has drained.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/types.h"

namespace CLI {
class App;
}

namespace jvpn::perf {

struct JumpLoadOptions {
  uint32_t sessions = 1'000;
  uint32_t jumps_per_second = 1'000;
  unsigned pairs = 150;  ///< of slices, one with jumps and one without
  unsigned slice_ms = 50;
  unsigned bytes = 128;  ///< of inner packets
  uint64_t seed = 0;     ///< of the slices' order; 0: a fresh one
  bool json = false;
};
void add_jump_load_options(CLI::App& parser, JumpLoadOptions& options);

/// Two neighbouring slices. Mpps: packets per microsecond of the worker's own time; polls in which
/// the CPU did something else are left out.
struct SlicePair {
  double mpps_with = 0;
  double mpps_without = 0;
};

struct JumpLoadResults {
  std::vector<SlicePair> pairs;
  double jumps_per_s = 0;  ///< in the slices with jumps
  double publish_us = 0;   ///< mean time of the control core for a jump
  uint64_t packets = 0;    ///< that the worker took
  uint64_t dropped = 0;    ///< of those
  uint64_t seed = 0;
  bool interrupted = false;
};

/// Fails when more than a few packets were dropped: then something else was measured.
Result<JumpLoadResults> run_jump_load(const JumpLoadOptions& options);

/// Median over the pairs of 1 - with ÷ without, in percent. Pure.
double throughput_loss_percent(const std::vector<SlicePair>& pairs);

}  // namespace jvpn::perf
