// What the operator's socket tells about the event log. Control thread only.
#pragma once

#include <memory>

#include <nlohmann/json_fwd.hpp>

#include "control/admin/admin_socket.h"
#include "control/events/event_log.h"

namespace jvpn::admin {

/// `{"written", "lost", "healthy", "sinks": [{"kind", "target", "healthy", "why", "written",
/// "lost"}]}`; `why` only where something is wrong.
nlohmann::json show_events(const events::EventLogStatus& status);

/// `{"command": "events", "lines": N, "follow": B}`: the latest N lines (10 by default), and all
/// that come, if asked for. A follower that is too slow reads EVENTS_LOST where lines are missing.
class EventSource : public LineSource {
 public:
  /// `log` outlives it.
  explicit EventSource(events::EventLog& log) : log_(log) {}
  std::unique_ptr<LineStream> open(const nlohmann::json& request) override;
  int descriptor() const override { return log_.lines().descriptor(); }
  void drain() override { log_.lines().drain(); }
  void set_followed(bool followed) override { log_.lines().follow(followed); }

 private:
  events::EventLog& log_;
};

}  // namespace jvpn::admin
