// What the events tell that no counter does: how long jumps take, and how long sessions are ill.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <prometheus/histogram.h>

#include "common/reason.h"
#include "tools/jvpn/event_record.h"

namespace jvpn::metrics {

/// One thread takes lines; any may read.
class EventMetrics {
 public:
  /// Sessions that are ill at once; more aren't timed.
  static constexpr size_t kMostStays = size_t{1} << 17;

  explicit EventMetrics(size_t most_stays = kMostStays);

  /// A line of the stream. What was taken before isn't taken again, so that a stream may begin with
  /// what is known. Of an earlier time, before this program's (`counted` false), it is only
  /// remembered where sessions are. Gives the event, if it was taken.
  std::optional<EventRecord> take(std::string_view line, bool counted);
  void set_following(bool following) { following_.store(following, std::memory_order_relaxed); }

  bool following() const { return following_.load(std::memory_order_relaxed); }
  /// Events that came between two that were taken.
  uint64_t missed() const { return missed_.load(std::memory_order_relaxed); }
  uint64_t count(Reason reason) const;
  /// Seconds from the first request of a jump to its commit, by cause.
  const std::map<std::string, prometheus::Histogram>& jumps() const { return jumps_; }
  /// Seconds in a state, by its name.
  const std::map<std::string, prometheus::Histogram>& stays() const { return stays_; }

 private:
  struct Stay {
    session::State state{};
    uint64_t since_ms = 0;  ///< boot time
  };
  bool is_new(const EventRecord& event, bool counted);
  void follow_state(const EventRecord& event, bool counted);

  std::map<std::string, prometheus::Histogram> jumps_;
  std::map<std::string, prometheus::Histogram> stays_;
  std::map<Reason, std::atomic<uint64_t>> by_reason_;  ///< all of them, from the start
  std::atomic<uint64_t> missed_{0};
  std::atomic<bool> following_{false};
  // The thread that takes lines:
  size_t most_stays_;
  std::unordered_map<std::string, Stay> ill_;  ///< sessions that are in one of stays()
  uint64_t sequence_ = 0;                      ///< of the latest event of the present run
  uint64_t boot_ms_ = 0;                       ///< the latest
};

}  // namespace jvpn::metrics
