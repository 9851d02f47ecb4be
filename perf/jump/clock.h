// The wall clock in nanoseconds: the one that kernel timestamps and event logs share. Any thread.
#pragma once

#include <cstdint>
#include <ctime>

namespace jvpn::perf {

using Nanos = int64_t;

inline constexpr Nanos kSecond = 1'000'000'000;
inline constexpr Nanos kMillisecond = 1'000'000;

inline Nanos to_nanos(const timespec& time) {
  return Nanos{time.tv_sec} * kSecond + time.tv_nsec;
}
inline Nanos wall_clock() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return to_nanos(now);
}
inline double to_ms(Nanos span) {
  return static_cast<double>(span) / static_cast<double>(kMillisecond);
}

}  // namespace jvpn::perf
