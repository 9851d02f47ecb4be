// What `jvpn-perf jump-load` was asked for. Pure, any thread.
#pragma once

#include <cstdint>

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
  uint64_t seed = 0;     ///< of the slices' order
  bool json = false;
};
void add_jump_load_options(CLI::App& parser, JumpLoadOptions& options);

}  // namespace jvpn::perf
