#include "perf/harness/interrupt.h"

#include <atomic>
#include <csignal>
#include <thread>

namespace jvpn::perf {
namespace {

std::atomic<bool> requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set by a signal handler");

void on_signal(int) {
  requested.store(true, std::memory_order_relaxed);
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() {
  return requested.load(std::memory_order_relaxed);
}

Waited wait_until(const std::function<bool()>& holds, std::chrono::milliseconds limit,
                  std::chrono::milliseconds step) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!holds()) {
    if (interrupted()) return Waited::kInterrupted;
    if (std::chrono::steady_clock::now() >= deadline) return Waited::kTimedOut;
    std::this_thread::sleep_for(step);
  }
  return Waited::kHolds;
}

}  // namespace jvpn::perf
