#include "control/gateway/thread_place.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string_view>
#include <thread>

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/thread_signal.h"

namespace jvpn::gateway {
namespace {

constexpr int kFrames = 16;
constexpr int kShown = 5;
constexpr std::chrono::milliseconds kPatience{100};

/// What the handler found, in the thread that was asked.
std::array<void*, kFrames> frames{};
std::atomic<int> found{0};
std::atomic<pid_t> asked{0};

void on_asked(int) {
  const int before = errno;
  if (asked.load(std::memory_order_acquire) == gettid())
    found.store(backtrace(frames.data(), kFrames), std::memory_order_release);
  errno = before;
}

/// `function+0x12`, or `program+0x1234` for addr2line(1).
std::string name_of(const void* address) {
  Dl_info info{};
  if (dladdr(address, &info) == 0) return fmt::format("{}", address);
  const auto at = [address](const void* from) {
    return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(from);
  };
  if (info.dli_sname != nullptr) {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> plain(
        abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status), &std::free);
    std::string_view name = plain ? plain.get() : info.dli_sname;
    return fmt::format("{}+{:#x}", name.substr(0, name.find('(')), at(info.dli_saddr));
  }
  const std::string_view file = info.dli_fname != nullptr ? info.dli_fname : "?";
  return fmt::format("{}+{:#x}", file.substr(file.rfind('/') + 1), at(info.dli_fbase));
}

/// Below the handler and what the kernel puts beneath it.
std::string stack(int count) {
  static constexpr int kHandlers = 2;
  std::string text;
  for (int at = kHandlers; at < std::min(count, kHandlers + kShown); ++at)
    text += (text.empty() ? "" : " < ") + name_of(frames[static_cast<size_t>(at)]);
  return text.empty() ? "an unknown place" : text;
}

/// The state that the kernel gives a thread, proc_pid_stat(5).
std::string state_of(pid_t thread) {
  std::ifstream file(fmt::format("/proc/self/task/{}/stat", thread));
  std::string line;
  if (!std::getline(file, line)) return "it has ended";
  const size_t end = line.rfind(')');
  const char state = end + 2 < line.size() ? line[end + 2] : '?';
  switch (state) {
    case 'R':
      return "it waits for its CPU, or takes no signal";
    case 'D':
      return "the kernel holds it (state D)";
    case 'T':
      return "it was stopped by a signal";
    case 't':
      return "a debugger holds it";
    default:
      return fmt::format("it takes no signal (state {})", state);
  }
}

void handle(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(thread_signal(), &action, nullptr);
}

}  // namespace

ThreadPlaces::ThreadPlaces() {
  std::array<void*, 1> first{};
  backtrace(first.data(), 1);  // loads what it needs: a handler couldn't
  handle(on_asked);
}

ThreadPlaces::~ThreadPlaces() {
  handle(SIG_IGN);
}

std::string ThreadPlaces::of(pid_t thread) {
  found.store(0, std::memory_order_relaxed);
  asked.store(thread, std::memory_order_release);
  if (syscall(SYS_tgkill, getpid(), thread, thread_signal()) != 0) return "it has ended";
  const auto until = std::chrono::steady_clock::now() + kPatience;
  int count = 0;
  while ((count = found.load(std::memory_order_acquire)) == 0) {
    if (std::chrono::steady_clock::now() > until) break;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  asked.store(0, std::memory_order_release);
  return count != 0 ? stack(count) : state_of(thread);
}

}  // namespace jvpn::gateway
