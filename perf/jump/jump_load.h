// The pure parts of `jvpn-perf jump-load`. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "perf/pipeline/samples.h"

namespace jvpn::perf {

struct JumpLoadOptions {
  uint32_t sessions = 1'000;
  uint32_t jumps_per_second = 1'000;
  unsigned pairs = 150;  ///< of slices, one with jumps and one without
  unsigned slice_ms = 50;
  unsigned bytes = 128;  ///< of inner packets
  uint64_t seed = 0;     ///< of the slices' order
  bool json = false;
};
void add_jump_load_options(CLI::App& parser, JumpLoadOptions& options);

/// Mean over a phase's slices; those in which the CPU did something else are left out.
double undisturbed_cycles(std::span<const SliceSample> slices);

/// Two neighbouring slices. Mpps: packets per microsecond of the worker's own, undisturbed time.
struct SlicePair {
  double mpps_with = 0;
  double mpps_without = 0;
};

/// Median over the pairs of 1 - with ÷ without, in percent.
double throughput_loss_percent(const std::vector<SlicePair>& pairs);

}  // namespace jvpn::perf
