// Ctrl-C: a flag that everything that waits looks at. Any thread.
#pragma once

#include <atomic>
#include <csignal>

namespace jvpn::perf {

inline std::atomic<bool> interrupt_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set by a signal handler");

inline bool interrupted() {
  return interrupt_requested.load(std::memory_order_relaxed);
}

/// From now on SIGINT, SIGTERM and SIGHUP only set the flag.
inline void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupt_requested.store(true, std::memory_order_relaxed); };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace jvpn::perf
