// DPDK's environment for tests and benchmarks: the product's own start, without devices or files.
#pragma once

#include <utility>
#include <vector>

#include "common/profile.h"
#include "common/result.h"
#include "dataplane/eal.h"

namespace jvpn::test {

struct EalOptions {
  std::vector<uint32_t> workers{};  ///< CPU of each; the calling thread becomes lcore 0 on CPU 0
  uint32_t megabytes = 1'024;       ///< of memory, taken at once
  bool hugepages = false;           ///< the kernel has as many of 2 MB
};

/// Once in a process. The environment goes with what is returned.
inline Result<Eal> start_eal(const EalOptions& options) {
  GatewayProfile profile;
  profile.cores.workers = options.workers;
  profile.memory = {.hugepages = options.hugepages, .megabytes = options.megabytes};
  profile.eal_args = {"--no-telemetry", "--log-level=lib.*:4"};
  return Eal::start(profile);
}

}  // namespace jvpn::test
