// The thread of one sink: takes lines at its own pace, and says in the sink itself what it missed.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "control/events/event_lines.h"
#include "control/events/event_sink.h"

namespace jvpn::events {

struct EventSinkStatus {
  std::string kind;    ///< as in the profile
  std::string target;  ///< path; empty where there is none
  bool healthy = true;
  std::string why;       ///< of an unhealthy one
  uint64_t written = 0;  ///< events
  uint64_t lost = 0;     ///< events that it will never have
};

/// Takes one line for people: a sink is ill, or well again. Called on the sinks' own threads.
using EventReport = std::function<void(const std::string&)>;

class EventWriter : public std::enable_shared_from_this<EventWriter> {
 public:
  EventWriter(std::shared_ptr<EventLines> lines, const EventSinkProfile& profile, std::string node,
              const std::string& program, EventReport report);

  /// The thread lives until `lines` ends, and keeps itself alive so long.
  void start();
  bool ended() const { return ended_.load(std::memory_order_acquire); }
  /// Waits for the thread, or leaves it behind when it hangs in the kernel.
  void release();

  /// Any thread.
  EventSinkStatus status() const;

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  bool put(std::string_view line);
  void tell(const std::string& why);

  const std::shared_ptr<EventLines> lines_;
  const EventSinkProfile profile_;
  const std::string target_;
  const std::string node_;
  const std::unique_ptr<EventSink> sink_;
  const EventReport report_;
  const size_t reader_;
  std::string told_;  ///< why it is ill, as reported; the writer's thread
  std::thread thread_;
  std::atomic<bool> ended_{false};
  std::atomic<uint64_t> written_{0};
  std::atomic<int> trouble_{0};            ///< errno of the latest failure; 0: none since
  std::atomic<Clock::rep> busy_since_{0};  ///< the present line is being written; 0: none is
};

}  // namespace jvpn::events
