#include <map>

#include <gtest/gtest.h>

#include "control/events/drop_watch.h"
#include "control/events/event_json.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

Event state_change() {
  Event event;
  event.kind = EventKind::kStateChange;
  event.at = Millis{77};
  event.session.bytes[15] = 0xab;
  event.peer = PeerId{3};
  event.policy_version = 5;
  event.reason = Reason::kPolicyTermination;
  event.detail = Detail::kSuperseded;
  event.from = State::kAttached;
  event.to = State::kTerminated;
  event.state_version = StateVersion{2};
  event.to_path = Path{1, *Endpoint::parse("192.0.2.2:40000"), *Endpoint::parse("192.0.2.1:51900")};
  return event;
}

TEST(Events, StateChangeLine) {
  EXPECT_EQ(to_json_line(state_change(), 9, 1234, "gw1"),
            R"({"ts_ms":1234,"seq":9,"event":"STATE_CHANGE",)"
            R"("session_id":"000000000000000000000000000000ab","node_id":"gw1",)"
            R"("policy_version":5,"reason":"POLICY_TERMINATION","detail":"superseded",)"
            R"("from":"ATTACHED","to":"TERMINATED","state_version":2,"peer":3,)"
            R"("path":"192.0.2.2:40000>192.0.2.1:51900","boot_ms":77})");
}

TEST(Events, LinesLeaveOutWhatAKindHasNot) {
  Event event;
  event.kind = EventKind::kSecurityEvent;
  event.reason = Reason::kSecReplayAttempt;
  EXPECT_EQ(to_json_line(event, 1, 2, "n"),
            R"({"ts_ms":2,"seq":1,"event":"SECURITY_EVENT",)"
            R"("session_id":"00000000000000000000000000000000","node_id":"n",)"
            R"("policy_version":0,"reason":"SEC_REPLAY_ATTEMPT","boot_ms":0})");
}

TEST(Events, SwitchNamesBothPaths) {
  Event event = state_change();
  event.kind = EventKind::kTransportSwitch;
  event.from_path = Path{0, *Endpoint::parse("[2001:db8::1]:1"), *Endpoint::parse("192.0.2.1:2")};
  const std::string line = to_json_line(event, 1, 2, "n");
  EXPECT_NE(line.find(R"("from_path":"[2001:db8::1]:1>192.0.2.1:2")"), std::string::npos);
  EXPECT_NE(line.find(R"("to_path":"192.0.2.2:40000>192.0.2.1:51900")"), std::string::npos);
}

TEST(Events, ABoundIsWrittenInItsOwnUnit) {
  Event event = state_change();
  event.fired = {"max_recovery_window_ms", 10'000, 10'001};
  EXPECT_NE(to_json_line(event, 1, 2, "n")
                .find(R"("limit":"max_recovery_window_ms","threshold":10000,"observed":10001)"),
            std::string::npos);
  event.fired = {"loss_volatile_threshold", 200'000, 312'500, true};
  EXPECT_NE(to_json_line(event, 1, 2, "n")
                .find(R"("limit":"loss_volatile_threshold","threshold":0.2,"observed":0.3125)"),
            std::string::npos);
}

/// Counters of the data path become events: at once, then once in ten seconds, and no packet is
/// left out of the count.
TEST(DropWatch, TellsWhatTheCountersGained) {
  DropWatch watch;
  uint64_t bad_tags = 0;
  std::vector<Event> told;
  const auto poll = [&](uint64_t ms) {
    watch.poll(
        Millis{ms}, 7, [&](Drop drop) { return drop == Drop::kBadTag ? bad_tags : uint64_t{0}; },
        [&](const Event& event) { told.push_back(event); });
  };
  poll(1'000);
  EXPECT_TRUE(told.empty());
  bad_tags = 5;
  poll(1'500);
  EXPECT_TRUE(told.empty()) << "once a second is often enough";
  poll(2'000);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].kind, EventKind::kSecurityEvent);
  EXPECT_EQ(told[0].reason, Reason::kAuthFail);
  EXPECT_STREQ(told[0].check, "bad_tag");
  EXPECT_EQ(told[0].count, 5U);
  EXPECT_EQ(told[0].policy_version, 7U);
  for (uint64_t ms = 3'000; ms < 12'000; ms += 1'000) {
    ++bad_tags;
    poll(ms);
  }
  EXPECT_EQ(told.size(), 1U);
  poll(12'000);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[1].count, 9U);
}

TEST(DropWatch, TellsOfEveryRefusalByTheWorkers) {
  const std::map<Drop, Reason> watched{
      {Drop::kBadTag, Reason::kAuthFail},
      {Drop::kUnknownIndex, Reason::kSessionNotFound},
      {Drop::kSessionExpired, Reason::kSessionExpired},
      {Drop::kReplayDuplicate, Reason::kSecReplayAttempt},
      {Drop::kReplayTooOld, Reason::kSecReplayAttempt},
      {Drop::kBadMac, Reason::kHandshakeFail},
      {Drop::kUnawaitedAnswer, Reason::kSecAbuseControlPlane},
      {Drop::kUnconfirmedSource, Reason::kSecAbuseControlPlane},
      {Drop::kControlRate, Reason::kSecAbuseControlPlane},
      {Drop::kCookieRate, Reason::kSecAbuseControlPlane},
      {Drop::kHandshakeRepeated, Reason::kSecAbuseControlPlane},
      {Drop::kHandshakeShare, Reason::kSecAbuseControlPlane},
      {Drop::kControlRingFull, Reason::kSecAbuseControlPlane},
  };
  std::map<std::string, Reason> told;
  uint64_t counted = 2;
  DropWatch watch;
  const auto poll = [&](uint64_t ms) {
    watch.poll(
        Millis{ms}, 1, [&](Drop) { return counted; },
        [&](const Event& event) {
          told[event.check] = event.reason;
          EXPECT_EQ(event.count, counted == 2 ? 2U : 1'000U) << event.check;
        });
  };
  poll(1'000);
  EXPECT_EQ(told.size(), watched.size());
  for (const auto& [drop, reason] : watched)
    EXPECT_EQ(told[kDropInfo[static_cast<size_t>(drop)].name], reason);
  counted += 1'000;
  told.clear();
  poll(2'000);
  EXPECT_TRUE(told.empty()) << "suppressed, but not forgotten:";
  poll(12'000);
  EXPECT_EQ(told.size(), watched.size());
}

TEST(Events, NodeNamesAreEscaped) {
  const std::string line = to_json_line(state_change(), 1, 2, "a\"\n\xff");
  EXPECT_NE(line.find(R"("node_id":"a\"\n)"), std::string::npos);
  EXPECT_EQ(line.find('\n'), std::string::npos);
}

TEST(Events, EveryKindHasAName) {
  for (unsigned kind = 0; kind <= static_cast<unsigned>(EventKind::kOwnershipChange); ++kind) {
    EXPECT_STRNE(to_string(static_cast<EventKind>(kind)), "UNKNOWN");
  }
}

}  // namespace
}  // namespace jvpn
