// Events as JSON lines: from the control thread, which never waits, to the configured sinks and the
// operator. What can't be written in time is lost, counted and told of.
//
//   control thread ─ ring ─▶ sink thread: formats ─▶ EventLines ─▶ a writer thread for each sink
//                    bounded                         bounded    ─▶ `jvpn events`, on the control
//                    thread
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/profile.h"
#include "control/events/event_lines.h"
#include "control/events/event_ring.h"
#include "control/events/event_writer.h"
#include "control/session/event.h"

namespace jvpn::events {

struct EventLogStatus {
  uint64_t written = 0;  ///< events that became lines
  uint64_t lost = 0;     ///< events that the sink with the most losses will never have
  bool healthy = true;
  std::vector<EventSinkStatus> sinks;
};

struct EventLogOptions {
  std::string node;
  std::string program = "jvpn";  ///< the name that syslog shows
  size_t ring = 4'096;           ///< events that may wait, policy.observability.event_ring
  std::vector<EventSinkProfile> sinks;
  EventReport report;  ///< of sinks' health; may be empty
};

/// As a gateway's or a client's profile has it.
template <typename Profile>
EventLogOptions event_options(const Profile& profile, std::string program, EventReport report) {
  return {profile.node, std::move(program), profile.policy.observability.event_ring,
          profile.events.sinks, std::move(report)};
}

class EventLog {
 public:
  static constexpr size_t kKeptLines = 1'024;  ///< for `jvpn events`

  explicit EventLog(EventLogOptions options);
  ~EventLog() { close(); }
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  /// Starts the threads; they take no signals. What was added before waits in the ring.
  void start();
  /// Numbers and dates the event, and wakes the sink thread, a system call when it sleeps. Control
  /// thread; never blocks, allocates or formats.
  void add(const session::Event& event) {
    put(event);
    wake();
  }
  /// Of several: the sink thread may sleep until wake(), which must follow the last.
  void put(const session::Event& event);
  /// The sink thread is to look, if anything was put since it last was.
  void wake();
  /// Writes what waits, a second at most; what is then left is lost. Nothing may be added after.
  void close();

  /// Events so far, lost ones too. Control thread.
  uint64_t added() const { return sequence_; }
  EventLogStatus status() const;
  EventLines& lines() { return *lines_; }
  const std::string& node() const { return node_; }

 private:
  void run();
  void format_waiting();
  void note_lost_before(uint64_t sequence, uint32_t policy_version);
  template <typename Condition>
  static void wait_until(std::chrono::steady_clock::time_point limit, Condition&& condition);

  const std::string node_;
  EventRing ring_;
  const std::shared_ptr<EventLines> lines_;  ///< shared with writers that may outlive the log
  std::vector<std::shared_ptr<EventWriter>> writers_;
  std::thread formatter_;
  bool closed_ = false;

  uint64_t sequence_ = 0;            ///< of the latest event; control thread
  uint64_t woken_for_ = 0;           ///< the same, when the sink thread was last woken
  std::atomic<uint64_t> issued_{0};  ///< the same, once the event is in the ring or lost
  std::atomic<uint32_t> wake_{0};    ///< changes when there is something to do
  std::atomic<bool> stopping_{false};
  std::atomic<bool> hurry_{false};      ///< what still waits is lost
  std::atomic<bool> formatted_{false};  ///< the sink thread has ended

  uint64_t drained_ = 0;         ///< sequence of the latest event that is a line or told as lost
  uint32_t policy_version_ = 0;  ///< of that event
  std::atomic<uint64_t> written_{0};
  std::atomic<uint64_t> ring_lost_{0};
};

}  // namespace jvpn::events
