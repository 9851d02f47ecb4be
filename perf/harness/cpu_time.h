// What the CPUs were used for, whoever else wanted them.
#pragma once

#include <chrono>
#include <ctime>

namespace jvpn::perf {

inline std::chrono::nanoseconds cpu_time(clockid_t of) {
  timespec now{};
  clock_gettime(of, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}
/// Of this thread.
inline std::chrono::nanoseconds thread_cpu_time() {
  return cpu_time(CLOCK_THREAD_CPUTIME_ID);
}
/// Of all threads of this process.
inline std::chrono::nanoseconds process_cpu_time() {
  return cpu_time(CLOCK_PROCESS_CPUTIME_ID);
}

inline double as_seconds(std::chrono::nanoseconds span) {
  return std::chrono::duration<double>(span).count();
}

}  // namespace jvpn::perf
