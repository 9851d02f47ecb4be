// One event of a log or a stream, as `jvpn` reads it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/reason.h"
#include "control/session/event.h"
#include "control/session/state_machine.h"

namespace jvpn {

/// Where a line stands.
struct LogPlace {
  uint32_t file = 0;  ///< in the order in which they were given
  uint32_t line = 0;  ///< from 1
};

struct EventRecord {
  LogPlace place;
  session::EventKind kind{};
  uint64_t ts_ms = 0;
  uint64_t boot_ms = 0;
  uint64_t sequence = 0;
  uint64_t lost = 0;    ///< of EVENTS_LOST: so many up to `sequence`; else 0
  std::string session;  ///< empty when it is of no session
  std::string node;
  session::SessionEnd end = session::SessionEnd::kNone;
  std::optional<Reason> reason;
  std::string reason_text;  ///< as it stands there
  std::string detail;
  std::string check;
  std::string result;
  std::optional<session::State> from;  ///< STATE_CHANGE, with `to` and `version`
  std::optional<session::State> to;
  std::optional<uint64_t> version;
  std::optional<uint64_t> duration_ms;
  std::string cause;  ///< TRANSPORT_SWITCH, with `latency_ms`
  std::optional<uint64_t> latency_ms;
  std::string path;  ///< that it is about, `to_path` of a switch
  std::string from_path;
  std::string about;  ///< detail, cause, check, result, durations, for a person

  /// The last number before those that the line is about.
  uint64_t before() const { return sequence - (lost == 0 ? 1 : lost); }
};

/// nullopt for a line that isn't a whole event of ours. What a kind's own fields lack stays empty.
std::optional<EventRecord> read_event(std::string_view line);

}  // namespace jvpn
