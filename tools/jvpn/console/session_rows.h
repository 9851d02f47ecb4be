// The console's table of sessions: what the program answers, what events say meanwhile, and what is
// proven.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <nlohmann/json.hpp>

#include "tools/jvpn/event_record.h"

namespace jvpn::console {

using Clock = std::chrono::steady_clock;

/// What is known of a session. The page has its colour and its words by the number.
enum class Standing : uint8_t {
  kProven,   ///< ATTACHED, and heard within two heartbeats
  kSilent,   ///< ATTACHED, but not heard for longer than that
  kIll,      ///< VOLATILE, RECOVERING or DEGRADED
  kAwaited,  ///< its state changed, and nothing that came since then has been seen yet
  kIdle,     ///< ATTACHED, and silent by agreement
  kBegins,   ///< BIRTH
  kEnded,
};

/// Not locked: one thread at a time.
class SessionRows {
 public:
  /// More aren't kept.
  static constexpr size_t kMost = 20'000;

  explicit SessionRows(size_t most = kMost) : most_(most) {}

  /// What comes by take() from here on is one sweep over all sessions.
  void begin_sweep();
  /// A page of `show` that was asked for at `asked`: what it says was true then or later.
  void take(const nlohmann::json& page, Clock::time_point asked);
  /// Sessions that the sweep hasn't met are gone.
  void end_sweep();
  /// A state that changed holds at once; green it is again when a page tells of a packet that came
  /// after `now`.
  void take_event(const EventRecord& event, Clock::time_point now);
  void clear();

  size_t size() const { return rows_.size(); }
  /// A session of this sweep isn't kept: there are too many.
  bool refused() const { return refused_; }
  /// Of one session, as the page has it; null when there is none.
  nlohmann::json row(const std::string& id) const;
  /// `{"rows": […], "gone": […]}` since the last call; each row is an array, in the order of
  /// FIELDS in rows.js.
  nlohmann::json changes();
  /// All rows, without forgetting what changed.
  nlohmann::json all() const;

 private:
  struct Row {
    Row() noexcept(false) = default;  // JSON's own constructors say noexcept, and allocate
    std::string peer, state, reason, local, remote;
    Standing standing{};
    nlohmann::json loss_in, loss_out, rtt_us, jitter_us, rx_bps, tx_bps, switches, silent_ms;
    uint64_t rx_bytes = 0;
    uint64_t tx_bytes = 0;
    std::optional<Clock::time_point> counted;  ///< when these bytes were
    std::optional<Clock::time_point> doubted;  ///< an event said so, and no packet is known since
    uint64_t sweep = 0;
    bool changed = false;
  };
  Row* row_of(const nlohmann::json& session);
  void take_session(const nlohmann::json& session, uint64_t heartbeat_ms, Clock::time_point asked);
  void take_ended(const nlohmann::json& session);
  static Standing judge(Row& row, const nlohmann::json& session, uint64_t heartbeat_ms,
                        Clock::time_point asked);
  static nlohmann::json text_of(const std::string& id, const Row& row);

  size_t most_;
  uint64_t sweep_ = 0;
  bool refused_ = false;
  std::unordered_map<std::string, Row> rows_;  ///< by session id
  std::vector<std::string> gone_;
};

}  // namespace jvpn::console
