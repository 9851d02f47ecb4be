// A thread of a test's own beside the workers: it may run on any CPU, where EAL pins whoever starts
// it to one.
#pragma once

#include <thread>

#include <pthread.h>

namespace jvpn::test {

inline void run_anywhere(std::thread& thread) {
  cpu_set_t all;
  CPU_ZERO(&all);
  for (unsigned cpu = 0; cpu < std::thread::hardware_concurrency(); ++cpu) CPU_SET(cpu, &all);
  pthread_setaffinity_np(thread.native_handle(), sizeof all, &all);
}

}  // namespace jvpn::test
