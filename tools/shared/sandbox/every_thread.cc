#include "tools/shared/sandbox/every_thread.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <thread>

#include <sys/syscall.h>
#include <unistd.h>

#include "common/thread_signal.h"

namespace jvpn::sandbox {
namespace {

constexpr std::chrono::milliseconds kPatience{2'000};  ///< for a thread to take the signal
constexpr const char* kTasks = "/proc/self/task";

enum class Outcome : int { kNone, kDone, kFailed };

/// For the handler.
std::atomic<bool (*)()> wanted{nullptr};
std::atomic<Outcome> outcome{Outcome::kNone};

void on_signal(int) {
  const int before = errno;
  const bool done = wanted.load(std::memory_order_acquire)();
  outcome.store(done ? Outcome::kDone : Outcome::kFailed, std::memory_order_release);
  errno = before;
}

Outcome ask(pid_t thread) {
  outcome.store(Outcome::kNone, std::memory_order_relaxed);
  if (syscall(SYS_tgkill, getpid(), thread, thread_signal()) != 0)
    return errno == ESRCH ? Outcome::kDone : Outcome::kNone;  // it has ended; no signal is left
  const auto until = std::chrono::steady_clock::now() + kPatience;
  Outcome found = Outcome::kNone;
  while ((found = outcome.load(std::memory_order_acquire)) == Outcome::kNone) {
    if (std::chrono::steady_clock::now() > until) break;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return found;
}

Result<std::set<pid_t>> all_threads() {
  std::set<pid_t> threads;
  std::error_code failed;
  std::filesystem::directory_iterator at(kTasks, failed);
  for (; !failed && at != std::filesystem::directory_iterator(); at.increment(failed))
    threads.insert(std::atoi(at->path().filename().c_str()));
  if (failed) return Error{std::string(kTasks) + ": " + failed.message()};
  return threads;
}

/// Asks those that weren't yet; true: there were some, and there may be more by now.
Result<bool> ask_others(std::set<pid_t>& asked) {
  const auto threads = all_threads();
  if (!threads) return threads.error();
  bool some = false;
  for (const pid_t thread : *threads) {
    if (!asked.insert(thread).second) continue;
    some = true;
    const Outcome found = ask(thread);
    if (found == Outcome::kNone)
      return Error{"thread " + std::to_string(thread) + " takes no signal"};
    if (found == Outcome::kFailed)
      return Error{"the kernel refused it in thread " + std::to_string(thread)};
  }
  return some;
}

}  // namespace

Result<void> in_every_thread(bool (*act)()) {
  if (!act()) return errno_error("the kernel refused it");
  wanted.store(act, std::memory_order_release);
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  if (sigaction(thread_signal(), &action, &before) != 0) return errno_error("sigaction");
  std::set<pid_t> asked{gettid()};
  Result<bool> some(true);
  while (some && *some) some = ask_others(asked);
  sigaction(thread_signal(), &before, nullptr);
  if (!some) return some.error();
  return {};
}

}  // namespace jvpn::sandbox
