// Reads the lines of an event log on a thread of its own, as a sink does, and keeps account of what
// became of each event.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "control/events/event_log.h"

namespace jvpn::perf {

class EventAccount {
 public:
  struct Figures {
    uint64_t emitted = 0;
    uint64_t written = 0;    ///< each a line that was read
    uint64_t announced = 0;  ///< the log has said that they are lost
  };

  /// Starts a log that holds `ring` events.
  explicit EventAccount(size_t ring);
  ~EventAccount();
  EventAccount(const EventAccount&) = delete;
  EventAccount& operator=(const EventAccount&) = delete;

  events::EventLog& log() { return log_; }
  /// Since the last call. Waits until the reader has come as far as the log, some seconds at most:
  /// what is then neither written nor announced is lost without a word.
  Figures take();

 private:
  void read();
  Figures total() const;

  events::EventLog log_;
  size_t reader_;
  std::atomic<uint64_t> written_{0};
  std::atomic<uint64_t> announced_{0};
  Figures taken_;
  std::thread thread_;
};

}  // namespace jvpn::perf
