// Matrix section 2: what the control plane refuses, and that refusing changes nothing.
#include "control/session/control_message.h"
#include "tests/matrix/bad_requests.h"
#include "tests/matrix/forger.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

using wire::ControlType;

TEST(Control, stale_version) {
  Rig rig;
  rig.connect();
  ASSERT_TRUE(rig.jump(1));
  rig.run_for(Millis{2'000});
  Forger forger(rig);
  forger.nonce = 10;
  const Still still(rig);
  wire::ReattachRequest request = forger.request();
  request.binding_version = 1;  // before the jump
  forger.send(forger.spare(), 2, request);
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.count(EventKind::kReattach, Reason::kFreshnessInvalid, Detail::kStaleVersion),
            1U);
  const auto rejects = forger.answers<wire::ReattachReject>(ControlType::kReattachReject);
  ASSERT_EQ(rejects.size(), 1U);
  EXPECT_EQ(rejects[0].reason, static_cast<uint16_t>(Reason::kFreshnessInvalid));
  EXPECT_EQ(rejects[0].binding_version, 3U) << "what to try again with";
  still.expect();
}

TEST(Control, nonce_reused) {
  Rig rig;
  rig.connect();
  ASSERT_TRUE(rig.jump(1));
  rig.run_for(Millis{2'000});
  const EventBook& events = rig.gateway().events();
  const Still still(rig);
  rig.inject(rig.last(ControlType::kReattachRequest));  // bit for bit
  rig.run_for(Millis{10});
  EXPECT_EQ(events.count(EventKind::kSecurityEvent, Reason::kSecReplayAttempt), 1U);
  Forger forger(rig);  // the nonce of that request under a counter of its own
  forger.send(forger.spare(), 2, forger.request());
  EXPECT_EQ(events.count(EventKind::kReattach, Reason::kReplayDetected), 1U);
  EXPECT_EQ(events.count(EventKind::kSecurityEvent, Reason::kSecReplayAttempt), 2U);
  EXPECT_EQ(rig.count(ControlType::kReattachChallenge), 1U);
  still.expect();
}

TEST(Control, invalid_proof) {
  Rig rig;
  rig.connect();
  const Still still(rig);
  Forger forger(rig);
  Datagram spoiled = forger.seal(forger.spare(), 1, bytes_of(forger.request()));
  spoiled.bytes.back() ^= 1;
  const size_t sent = rig.sent.size();
  rig.inject(spoiled);
  rig.run_for(Millis{10});
  EXPECT_EQ(rig.gateway().drops(Drop::kBadTag), 1U);
  EXPECT_EQ(rig.sent.size(), sent) << "who has shown no key is told nothing";
  // The key is right, the token that proves the address is not.
  forger.send(forger.spare(), 1, forger.request());
  wire::ReattachResponse response{};
  response.header = control_header(ControlType::kReattachResponse);
  response.nonce = forger.nonce;
  forger.send(forger.spare(), 1, response);
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.count(EventKind::kReattach, Reason::kAuthFail), 1U);
  EXPECT_EQ(events.count(EventKind::kSecurityEvent, Reason::kSecSessionFixationAttempt), 1U);
  still.expect();
}

TEST(Control, unknown_session) {
  Rig rig;
  rig.connect();
  const Still still(rig);
  Forger forger(rig);
  wire::ReattachRequest request = forger.request();
  request.session_id.fill(0xEE);
  forger.send(forger.spare(), 1, request);
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.count(EventKind::kReattach, Reason::kSessionNotFound), 1U);
  EXPECT_EQ(events.count(EventKind::kSecurityEvent, Reason::kSecSessionFixationAttempt), 1U);
  Datagram nowhere = forger.seal(forger.spare(), 1, bytes_of(forger.request()));
  nowhere.bytes[7] ^= 0x80;  // the receiver index
  rig.inject(nowhere);
  rig.run_for(Millis{10});
  EXPECT_EQ(rig.gateway().drops(Drop::kUnknownIndex), 1U);
  still.expect();
}

TEST(Control, ttl_expired) {
  RigOptions options;
  options.policy.session.max_lifetime = Millis{30'000};
  Rig rig(options);
  rig.connect();
  ASSERT_TRUE(rig.jump(1));
  const SessionId ended = rig.at_gateway().id;
  const Datagram request = rig.last(ControlType::kReattachRequest);
  rig.run_for(Millis{29'800});
  rig.cut_all();  // nobody dials again meanwhile
  ASSERT_TRUE(
      rig.run_until([&] { return rig.at_gateway().state == State::kTerminated; }, Millis{300}));
  EXPECT_EQ(rig.gateway().events().changes().back(), "ATTACHED>TERMINATED TTL_SESSION_EXPIRED");
  rig.mend_all();
  rig.inject(request);
  rig.run_for(Millis{1});
  EXPECT_EQ(rig.at_gateway().state, State::kTerminated);
  // A new session of the same peer is another one; the old identity isn't to be had through it.
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{10'000}));
  EXPECT_NE(rig.at_gateway().id, ended);
  rig.run_for(Millis{100});
  const Still still(rig);
  Forger forger(rig);
  wire::ReattachRequest revival = forger.request();
  revival.session_id = ended.bytes;
  forger.send(forger.spare(), 1, revival);
  EXPECT_EQ(rig.gateway().events().count(EventKind::kReattach, Reason::kSessionExpired), 1U);
  still.expect();
}

TEST(Control, rejection_mutates_nothing) {
  Rig rig;
  rig.connect();
  Forger forger(rig);
  const EventBook& events = rig.gateway().events();
  for (const BadRequest& bad : kBadRequests) {
    SCOPED_TRACE(bad.name);
    rig.run_for(Millis{500});
    const Still still(rig);
    const size_t told = events.size();
    const size_t sent = rig.sent.size();
    wire::ReattachRequest request = forger.request();
    bad.spoil(request);
    forger.send(forger.spare(), 1, request);
    EXPECT_EQ(events.count(EventKind::kReattach, bad.reason, bad.detail, told), 1U);
    EXPECT_EQ(events.lines().back().check, bad.check);
    const auto rejects = forger.answers<wire::ReattachReject>(ControlType::kReattachReject, sent);
    ASSERT_EQ(rejects.size(), 1U);
    EXPECT_EQ(rejects[0].reason, static_cast<uint16_t>(bad.reason));
    still.expect();
  }
}

}  // namespace
}  // namespace jvpn::test
