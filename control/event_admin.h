// What the operator's socket tells about the event log. Control thread only.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "control/event_log.h"

namespace jvpn {

/// `{"written", "lost", "healthy", "sinks": [{"kind", "target", "healthy", "why", "written",
/// "lost"}]}`; `why` only where something is wrong.
nlohmann::json show_events(const EventLogStatus& status);

}  // namespace jvpn
