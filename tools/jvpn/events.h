// `jvpn events`: the latest events of a running jvpnd or jvpn-client, and those that come.
#pragma once

#include <cstddef>
#include <string>

#include "tools/jvpn/event_record.h"

namespace jvpn {

struct EventsCommand {
  size_t lines = 10;
  bool follow = false;   ///< until Ctrl-C
  std::string session;   ///< the first digits of its id; empty: all
  bool as_json = false;  ///< lines as they are
};

/// Gives the exit status: 0 also after Ctrl-C.
int run_events(const std::string& socket_path, const EventsCommand& command);

/// One line for people: local time, kind, session, transition or path, reason, details.
std::string render_event(const EventRecord& event, bool with_colours);

}  // namespace jvpn
