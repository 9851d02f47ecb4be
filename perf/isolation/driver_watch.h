// How long the driver's rounds take, and how much of that it was kept from the CPU: then nobody
// answers, whatever the gateway does. The driver's thread only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <ctime>

#include <sys/resource.h>

namespace jvpn::perf {

class DriverWatch {
 public:
  struct Figures {
    uint64_t longest_us = 0;      ///< between two notes
    uint64_t longest_cpu_us = 0;  ///< that it ran between them
    uint64_t longest_kept_us = 0;
    int64_t waited = 0;     ///< times that it waited for memory or a lock
    int64_t preempted = 0;  ///< times that something else took the CPU
  };

  /// A round begins, or the driver looks at the time within one.
  void note(uint64_t now_us) {
    const uint64_t cpu_us = cpu_now_us();
    if (last_us_ != 0) {
      const uint64_t passed = now_us - last_us_;
      const uint64_t ran = cpu_us - last_cpu_us_;
      const uint64_t kept = passed > ran ? passed - ran : 0;
      kept_us_ += kept;
      figures_.longest_us = std::max(figures_.longest_us, passed);
      figures_.longest_cpu_us = std::max(figures_.longest_cpu_us, ran);
      figures_.longest_kept_us = std::max(figures_.longest_kept_us, kept);
    }
    last_us_ = now_us;
    last_cpu_us_ = cpu_us;
  }
  /// That it was kept from the CPU, since the start.
  uint64_t kept_us() const { return kept_us_; }
  /// Since the last call.
  Figures take() {
    rusage used{};
    getrusage(RUSAGE_THREAD, &used);
    Figures taken = figures_;
    taken.waited = used.ru_nvcsw - before_.ru_nvcsw;
    taken.preempted = used.ru_nivcsw - before_.ru_nivcsw;
    figures_ = {};
    before_ = used;
    return taken;
  }

 private:
  static uint64_t cpu_now_us() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000 +
           static_cast<uint64_t>(now.tv_nsec) / 1'000;
  }

  uint64_t last_us_ = 0;
  uint64_t last_cpu_us_ = 0;
  uint64_t kept_us_ = 0;
  Figures figures_;
  rusage before_{};
};

}  // namespace jvpn::perf
