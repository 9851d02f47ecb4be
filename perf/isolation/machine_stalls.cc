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

constexpr unsigned kControlCpu = 0;  // IsolatedGateway's
constexpr unsigned kDriverCpu = 1;
constexpr size_t kDriverBytes = size_t{1} << 20;

void touch(gateway::TurnWatch& watch, unsigned cpu, double seconds, size_t bytes) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(cpu, &only);
  pthread_setaffinity_np(pthread_self(), sizeof only, &only);
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
  gateway::TurnWatch driver;
  // Both at once, as in the phases: a host may give a machine that is half idle more than its
  // share.
  std::thread beside(touch, std::ref(driver), kDriverCpu, seconds, kDriverBytes);
  std::thread(touch, std::ref(watch), kControlCpu, seconds, sessions * kBytesOfASession).join();
  beside.join();
  return {
      {"seconds", seconds}, {"over_1ms", watch.long_turns()}, {"longest_cpu_us", watch.cpu.ever()}};
}

}  // namespace jvpn::perf
