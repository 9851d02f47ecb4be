// Event lines as syslog messages with structured data, for collectors that index fields (RFC 5424).
// Any thread.
#pragma once

#include <string>
#include <string_view>

namespace jvpn::events {

/// Who sends: the APP-NAME and PROCID of its messages.
struct SyslogSender {
  std::string program;
  int process = 0;
};

/// One message, RFC 5424 §6: HOSTNAME is the line's node, MSGID its event, MSG its reason, and
/// every field of `line`, an event's JSON (control/events/event_json.h), a parameter of one
/// element. The same line gives the same bytes.
std::string to_syslog_message(std::string_view line, const SyslogSender& sender);

}  // namespace jvpn::events
