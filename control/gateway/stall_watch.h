// Notices a thread that stands still: the control core or a worker. It says which one, where it is
// and what that means, and when it goes on; and it lets the service manager know as long as all of
// them move. On a thread of its own, because neither side can watch itself.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <sys/types.h>

#include "control/gateway/thread_place.h"

namespace jvpn::gateway {

/// A thread that is watched.
struct WatchedThread {
  std::string name;                    ///< `worker 1`
  std::string harm;                    ///< what follows when it stands still, for the operator
  std::function<uint64_t()> progress;  ///< changes as long as it moves; any thread
  std::function<pid_t()> thread;       ///< its number in the kernel; 0: not started yet
};

class StallWatch {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kInterval{100};
  static constexpr std::chrono::milliseconds kPatience{1'000};

  /// `news` takes lines for the operator's log; `all_move` is called each kInterval in which
  /// nothing stands still. Both on the watch's thread, or in look().
  StallWatch(std::vector<WatchedThread> threads, std::function<void(const std::string&)> news,
             std::function<void()> all_move);
  /// Ends the thread.
  ~StallWatch();
  StallWatch(const StallWatch&) = delete;
  StallWatch& operator=(const StallWatch&) = delete;

  /// Begins to look each kInterval, on a thread of its own.
  void start();
  /// From now on the threads end, and aren't watched; when that takes longer than `limit`,
  /// `overdue` is called, on the watch's thread. Any thread.
  void expect_end(Clock::duration limit, std::function<void()> overdue);
  /// One look. A look that comes late excuses all: the whole process stood still.
  void look(Clock::time_point now);

  /// Since when thread `number` stands still, in milliseconds of CLOCK_BOOTTIME; 0: it moves. Any
  /// thread.
  uint64_t stalled_since_ms(size_t number) const;
  const std::vector<WatchedThread>& threads() const { return threads_; }

 private:
  struct Seen {
    uint64_t progress = 0;
    Clock::time_point moved;
    std::atomic<uint64_t> stalled_since_ms{0};
  };
  void run();
  void look_at(size_t number, Clock::time_point now);
  bool excused(Clock::time_point now);

  std::vector<WatchedThread> threads_;
  std::vector<Seen> seen_;
  std::function<void(const std::string&)> news_;
  std::function<void()> all_move_;
  ThreadPlaces places_;
  Clock::time_point looked_;
  std::mutex mutex_;
  std::condition_variable ends_;
  bool ending_ = false;
  Clock::time_point end_limit_ = Clock::time_point::max();
  std::function<void()> overdue_;
  std::thread thread_;
};

}  // namespace jvpn::gateway
