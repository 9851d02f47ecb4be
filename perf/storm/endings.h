// Why sessions ended, as the events of one end tell it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <fmt/format.h>

#include "common/reason.h"
#include "control/session/event.h"

namespace jvpn::perf {

using Endings = std::map<std::string, uint64_t>;

/// `REASON detail`, or `REASON` alone.
inline std::string reason_of(const session::Event& event) {
  if (event.detail == Detail::kNone) return to_string(event.reason);
  return fmt::format("{} {}", to_string(event.reason), to_string(event.detail));
}

/// Counts the end of a session that had been attached.
inline void note_ending(const session::Event& event, Endings& endings) {
  const bool ends = event.kind == session::EventKind::kStateChange &&
                    event.to == session::State::kTerminated && event.from != session::State::kBirth;
  if (ends) ++endings[reason_of(event)];
}

}  // namespace jvpn::perf
