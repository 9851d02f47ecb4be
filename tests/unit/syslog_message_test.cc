#include "control/events/syslog_message.h"

#include <gtest/gtest.h>

namespace jvpn::test {
namespace {

using events::to_syslog_message;

constexpr auto kJump =
    R"({"ts_ms":1764495601234,"seq":7,"event":"TRANSPORT_SWITCH","session_id":"ab","node_id":"gw1",)"
    R"("reason":"TRANSPORT_SWITCH_OK","from_path":"wan0 a → b","latency_ms":12})";

struct SyslogCase {
  const char* what;
  const char* line;
  const char* message;
};

const SyslogCase kSyslogCases[] = {
    {"each field is a parameter", kJump,
     "<30>1 2025-11-30T09:40:01.234Z gw1 jvpnd 42 TRANSPORT_SWITCH [jvpn@32473 "
     "ts_ms=\"1764495601234\" "
     "seq=\"7\" event=\"TRANSPORT_SWITCH\" session_id=\"ab\" node_id=\"gw1\" "
     "reason=\"TRANSPORT_SWITCH_OK\" from_path=\"wan0 a → b\" latency_ms=\"12\"] "
     "TRANSPORT_SWITCH_OK"},
    {"a security event is a warning", R"({"event":"SECURITY_EVENT","node_id":"n"})",
     "<28>1 - n jvpnd 42 SECURITY_EVENT [jvpn@32473 event=\"SECURITY_EVENT\" node_id=\"n\"] "},
    {"a raised flag of health is a warning", R"({"event":"HEALTH_EVENT","reason":"HEALTH_RAISED"})",
     "<28>1 - - jvpnd 42 HEALTH_EVENT [jvpn@32473 event=\"HEALTH_EVENT\" "
     "reason=\"HEALTH_RAISED\"] HEALTH_RAISED"},
    {"lost events are a warning", R"({"event":"CONFIG_EVENT","lost":3})",
     "<28>1 - - jvpnd 42 CONFIG_EVENT [jvpn@32473 event=\"CONFIG_EVENT\" lost=\"3\"] "},
    {"a broken invariant is an error", R"({"event":"AUDIT_EVENT","result":"violated"})",
     "<27>1 - - jvpnd 42 AUDIT_EVENT [jvpn@32473 event=\"AUDIT_EVENT\" result=\"violated\"] "},
    {"the end of a session is worth a notice", R"({"event":"STATE_CHANGE","to":"TERMINATED"})",
     "<29>1 - - jvpnd 42 STATE_CHANGE [jvpn@32473 event=\"STATE_CHANGE\" to=\"TERMINATED\"] "},
    {"quotes, backslashes and brackets are escaped", R"({"event":"E","check":"a\"b\\c]d"})",
     R"(<30>1 - - jvpnd 42 E [jvpn@32473 event="E" check="a\"b\\c\]d"] )"},
    {"no field of the header holds a space", R"({"event":"A B","node_id":"g w\u00e4"})",
     "<30>1 - g_w__ jvpnd 42 A_B [jvpn@32473 event=\"A B\" node_id=\"g wä\"] "},
    {"what is no event is sent as it is", "not JSON", "<27>1 - - jvpnd 42 - - not JSON"},
};

TEST(SyslogMessage, IsAsRfc5424HasIt) {
  for (const SyslogCase& each : kSyslogCases)
    EXPECT_EQ(to_syslog_message(each.line, {"jvpnd", 42}), each.message) << each.what;
}

TEST(SyslogMessage, IsTheSameForTheSameLine) {
  const std::string first = to_syslog_message(kJump, {"jvpnd", 42});
  EXPECT_EQ(to_syslog_message(kJump, {"jvpnd", 42}), first);
}

}  // namespace
}  // namespace jvpn::test
