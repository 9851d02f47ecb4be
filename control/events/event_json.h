// An event as one line of the log (docs/ARCHITECTURE.md, An event's way).
#pragma once

#include <cstdint>
#include <string>

#include "control/session/event.h"

namespace jvpn::events {

/// One JSON object without a line end: ts_ms, seq, event, session_id, node_id, policy_version,
/// reason, then the fields of its kind; `boot_ms` is Event::at. The order of keys is fixed.
std::string to_json_line(const session::Event& event, uint64_t sequence, uint64_t realtime_ms,
                         const std::string& node);

}  // namespace jvpn::events
