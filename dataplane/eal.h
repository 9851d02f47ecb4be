// DPDK's environment for the life of the process: arguments from the profile, cleanup by RAII.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/profile.h"
#include "common/result.h"

namespace jvpn {

/// The EAL's command line for a profile, program name first. The main lcore is 0, on the control
/// CPU; worker i is lcore i + 1 (lcore_of_worker()). The profile's own eal_args stand last.
std::vector<std::string> eal_arguments(const GatewayProfile& profile);

/// What is missing of so many megabytes of hugepages, where, and what mends it, when the kernel has
/// fewer free ones; empty: they are there. `folder` is /sys/kernel/mm/hugepages.
std::string lacking_hugepages(const std::string& folder, uint32_t megabytes);

/// Which of the CPUs isn't online, which are, and what mends it; empty: all are. `online` is the
/// kernel's list, as in /sys/devices/system/cpu/online.
std::string lacking_cpus(const CoresProfile& cores, const std::string& online);

/// The lcore that runs worker `worker`.
constexpr unsigned lcore_of_worker(size_t worker) {
  return static_cast<unsigned>(worker) + 1;
}

/// The initialised environment. At most one per process, and none after it has gone (DPDK can't
/// start twice). Everything that holds DPDK memory, ports or rings goes before it.
class Eal {
 public:
  /// Runs rte_eal_init() on the calling thread, which becomes the main lcore: the control core.
  /// It is then pinned to cores.control; threads that it starts later inherit that.
  static Result<Eal> start(const GatewayProfile& profile);
  Eal(Eal&& other) noexcept : running_(other.running_) { other.running_ = false; }
  Eal& operator=(Eal&&) = delete;
  ~Eal();

 private:
  Eal() = default;
  bool running_ = true;
};

}  // namespace jvpn
