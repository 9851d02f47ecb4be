#include "perf/isolation/machine_stalls.h"

#include <chrono>
#include <memory>
#include <random>
#include <thread>

#include <pthread.h>
#include <sched.h>

#include "control/gateway/turn_watch.h"
#include "perf/harness/interrupt.h"

namespace jvpn::perf {
namespace {

constexpr size_t kBytesOfASession = 16 << 10;
constexpr size_t kLine = 64;
constexpr unsigned kTouches = 200;  // of a unit

void touch(gateway::TurnWatch& watch, double seconds, size_t bytes) {
  cpu_set_t control_cpu;
  CPU_ZERO(&control_cpu);
  CPU_SET(0, &control_cpu);
  pthread_setaffinity_np(pthread_self(), sizeof control_cpu, &control_cpu);
  const size_t lines = bytes / kLine;
  const auto memory = std::make_unique<uint8_t[]>(lines * kLine);  // zeroed, hence all there
  std::minstd_rand random;
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < until && !interrupted()) {
    watch.begin();
    for (unsigned i = 0; i < kTouches; ++i) memory[random() % lines * kLine]++;
    watch.end();
  }
}

}  // namespace

Json measure_machine_stalls(double seconds, uint32_t sessions) {
  gateway::TurnWatch watch;
  std::thread(touch, std::ref(watch), seconds, sessions * kBytesOfASession).join();
  return {
      {"seconds", seconds}, {"over_1ms", watch.long_turns()}, {"longest_cpu_us", watch.cpu.ever()}};
}

}  // namespace jvpn::perf
