// One event of a log, as `jvpn audit` reads it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/reason.h"
#include "control/events.h"
#include "control/session_fsm.h"

namespace jvpn {

/// Where a line stands.
struct LogPlace {
  uint32_t file = 0;  ///< in the order in which they were given
  uint32_t line = 0;  ///< from 1
};

struct AuditEvent {
  LogPlace place;
  EventKind kind{};
  uint64_t ts_ms = 0;
  uint64_t boot_ms = 0;
  uint64_t sequence = 0;
  uint64_t lost = 0;        ///< EVENTS_LOST: as many, this number included
  std::string session;      ///< empty when the event is of no session
  std::string node;
  SessionEnd end = SessionEnd::kNone;
  std::string reason_text;  ///< as it stands
  std::optional<Reason> reason;
  std::string detail;
  std::string check;
  std::string result;
  // STATE_CHANGE
  std::optional<State> from;
  std::optional<State> to;
  std::optional<uint64_t> version;
  std::string rest;  ///< for the timeline: paths, checks, durations
};

/// nullopt for a line that is no event of ours, or not a whole one.
std::optional<AuditEvent> read_event(std::string_view line);

/// Seconds are too coarse and dates too long: `1 234.567` without the date, from a start.
std::string relative_ms(uint64_t ts_ms, uint64_t start_ms);

}  // namespace jvpn
