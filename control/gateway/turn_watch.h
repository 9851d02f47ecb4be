// How long the control loop's turns take, and what of them takes longest: nothing may keep control
// from its sessions for a millisecond. Written by the control thread; any thread may read.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ctime>

#include <rte_cycles.h>

namespace jvpn::gateway {

/// What a turn consists of, in order.
enum class Work : uint8_t {
  kHandshakes,
  kControl,
  kSlowPath,
  kSignals,
  kUplinks,
  kTimers,
  kNeighbors,
  kWatches,
  kReclaim,
  kReload,
  kAdmin,
  kCount
};
inline constexpr size_t kWorks = static_cast<size_t>(Work::kCount);
inline constexpr std::array<const char*, kWorks> kWorkNames{
    "handshakes", "control", "slow_path", "signals", "uplinks", "timers",
    "neighbors",  "watches", "reclaim",   "reload",  "admin"};

/// The most of what was noted, over all and since it was last taken.
class Longest {
 public:
  void note(uint64_t value) {
    if (value > ever_.load(std::memory_order_relaxed))
      ever_.store(value, std::memory_order_relaxed);
    if (value > lately_.load(std::memory_order_relaxed))
      lately_.store(value, std::memory_order_relaxed);
  }
  uint64_t ever() const { return ever_.load(std::memory_order_relaxed); }
  /// Forgets it: the next one counts from here on. For one reader.
  uint64_t take() { return lately_.exchange(0, std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> ever_{0};
  std::atomic<uint64_t> lately_{0};
};

class TurnWatch {
 public:
  static constexpr uint64_t kLongUs = 1'000;

  void begin() {
    cpu_ns_ = cpu_now_ns();
    begun_ = lapped_ = rte_rdtsc();
  }
  /// The work that ends here began at the lap before.
  void lap(Work work) {
    const uint64_t now = rte_rdtsc();
    parts[static_cast<size_t>(work)].note(us_of(now - lapped_));
    lapped_ = now;
  }
  void end() {
    const uint64_t cpu_us = (cpu_now_ns() - cpu_ns_) / 1'000;
    cpu.note(cpu_us);
    wall.note(us_of(lapped_ - begun_));
    cpu_us_.fetch_add(cpu_us, std::memory_order_relaxed);
    turns_.fetch_add(1, std::memory_order_relaxed);
    if (cpu_us > kLongUs) long_turns_.fetch_add(1, std::memory_order_relaxed);
  }

  Longest cpu;                        ///< microseconds of a turn that the thread ran
  Longest wall;                       ///< and that passed: with what else the CPU did meanwhile
  std::array<Longest, kWorks> parts;  ///< microseconds that passed, of each part of a turn
  /// Turns in which the thread ran for longer than kLongUs.
  uint64_t long_turns() const { return long_turns_.load(std::memory_order_relaxed); }
  /// Microseconds that the thread ran in all its turns.
  uint64_t cpu_us() const { return cpu_us_.load(std::memory_order_relaxed); }
  uint64_t turns() const { return turns_.load(std::memory_order_relaxed); }

 private:
  static uint64_t us_of(uint64_t cycles) { return cycles / (rte_get_tsc_hz() / 1'000'000 + 1); }
  static uint64_t cpu_now_ns() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  }

  uint64_t cpu_ns_ = 0;
  uint64_t begun_ = 0;
  uint64_t lapped_ = 0;
  std::atomic<uint64_t> cpu_us_{0};
  std::atomic<uint64_t> turns_{0};
  std::atomic<uint64_t> long_turns_{0};
};

}  // namespace jvpn::gateway
