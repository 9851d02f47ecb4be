// The session as both programs see it: asked over their admin sockets, and followed in their event
// logs, which costs them nothing. One thread.
#pragma once

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "perf/jump/clock.h"
#include "perf/jump/lab_driver.h"

namespace jvpn::perf {

/// One end's answer to `show`.
struct EndView {
  std::string session_id;  ///< empty: no session, or several
  std::string state;
  uint64_t binding_version = 0;
  std::string active;              ///< client: the underlay in use
  size_t usable_paths = 0;         ///< client: the active one and its candidates
  std::vector<std::string> ended;  ///< `id: reason` of each session that it remembers
};

/// Why there is none is an empty state.
EndView ask_end(const std::string& socket);

struct LoggedEvent {
  Nanos at = 0;
  nlohmann::json fields;
};

/// Follows the event log of one program: JSON lines, among others that are skipped.
class EventFollower {
 public:
  EventFollower(std::string who, const std::string& path);
  /// Reads what was written since the last call.
  void follow();
  const std::string& who() const { return who_; }
  const std::vector<LoggedEvent>& events() const { return events_; }
  /// A committed switch since then: the row by which the session was ATTACHED anew.
  std::optional<Nanos> switched(Nanos since) const;

 private:
  void take(const std::string& line);

  std::string who_;
  std::ifstream file_;
  std::string half_line_;
  std::vector<LoggedEvent> events_;
};

/// One line for people: `RECOVERING -> ATTACHED TRANSPORT_SWITCH_OK version 7`.
std::string describe(const LoggedEvent& event);

}  // namespace jvpn::perf
