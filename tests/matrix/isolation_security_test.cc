// Isolation section 3: a security check that fails costs the attacker an answer at most.
#include "tests/matrix/bad_requests.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

using wire::ControlType;

/// One of each: bad requests, a spoiled tag, an unknown index, a replay.
void attack(Rig& rig, Forger& forger) {
  for (const BadRequest& bad : kBadRequests) {
    wire::ReattachRequest request = forger.request();
    bad.spoil(request);
    rig.inject(forger.seal(forger.spare(), 1, bytes_of(request)));
  }
  Datagram spoiled = forger.seal(forger.spare(), 1, bytes_of(forger.request()));
  rig.inject(spoiled);
  rig.inject(spoiled);
  spoiled.bytes.back() ^= 1;
  rig.inject(spoiled);
  spoiled.bytes[6] ^= 0x40;
  rig.inject(spoiled);
}

TEST(Isolation3, operation_rejected) {
  Rig rig;
  rig.connect();
  rig.cut_all();
  ASSERT_TRUE(rig.run_until([&] { return rig.in_state(State::kRecovering); }, Millis{3'000}));
  Forger forger(rig);
  forger.nonce = 50;
  for (const BadRequest& bad : kBadRequests) {
    if (bad.reason == Reason::kPolicyDeny) continue;  // repeats_degrade_at_most
    SCOPED_TRACE(bad.name);
    const Snapshot before = rig.at_gateway();
    const size_t sent = rig.sent.size();
    wire::ReattachRequest request = forger.request();
    bad.spoil(request);
    forger.send(forger.spare(), 1, request);
    EXPECT_EQ(rig.at_gateway(), before);
    const auto rejects = forger.answers<wire::ReattachReject>(ControlType::kReattachReject, sent);
    ASSERT_EQ(rejects.size(), 1U);
    EXPECT_EQ(rejects[0].reason, static_cast<uint16_t>(bad.reason));
    rig.run_for(Millis{150});
  }
  EXPECT_EQ(rig.count(ControlType::kReattachAck), 0U);
}

TEST(Isolation3, active_transport_kept) {
  Rig rig;
  rig.connect();
  Forger forger(rig);
  uint64_t sent = 0;
  for (int second = 0; second < 20; ++second) {
    attack(rig, forger);
    for (int i = 0; i < 20; ++i) {
      sent += rig.client().send_echo();
      rig.run_for(Millis{50});
    }
  }
  rig.run_for(Millis{50});
  EXPECT_EQ(rig.client().echoes(), sent) << "not one packet was lost";
  EXPECT_EQ(rig.client().installs().size(), 1U);
  for (const Datagram& each : rig.sent) EXPECT_TRUE(!each.is_data() || each.path == 0);
  rig.expect_on(0);
}

TEST(Isolation3, identity_kept) {
  RigOptions options;
  options.clients = 2;
  Rig rig(options);
  rig.connect(0);
  rig.connect(1);
  const Still victim(rig, 0);
  const Still thief(rig, 1);
  Forger forger(rig, 1);
  for (int round = 0; round < 20; ++round) {
    wire::ReattachRequest request = forger.request();
    request.session_id = rig.at_gateway(0).id.bytes;
    request.binding_version = rig.at_gateway(0).binding.value;
    forger.send(forger.spare(), 1, request);
    rig.run_for(Millis{100});
  }
  EXPECT_NE(rig.at_gateway(0).id, rig.at_gateway(1).id);
  victim.expect();
  thief.expect();
}

TEST(Isolation3, no_uncontrolled_recovery) {
  Rig rig;
  rig.connect();
  const Still still(rig);
  Forger forger(rig);
  for (int second = 0; second < 20; ++second) {
    attack(rig, forger);
    rig.run_for(Millis{1'000});
  }
  EXPECT_EQ(rig.gateway().events().count(Reason::kRecoveryStart), 0U);
  size_t answered = 0;  // by what an attacker on that path would see
  for (const Datagram& each : rig.sent) answered += !each.up && each.path == 1;
  EXPECT_LE(answered, 20 * (std::size(kBadRequests) + 2)) << "one answer each at most";
  still.expect();
}

TEST(Isolation3, security_event) {
  Rig rig;
  rig.connect();
  Forger forger(rig);
  const EventBook& events = rig.gateway().events();
  for (const BadRequest& bad : kBadRequests) {
    if (bad.security == Reason::kNone) continue;
    SCOPED_TRACE(bad.name);
    rig.run_for(Millis{500});
    const size_t told = events.size();
    wire::ReattachRequest request = forger.request();
    bad.spoil(request);
    forger.send(forger.spare(), 1, request);
    EXPECT_EQ(events.count(EventKind::kSecurityEvent, bad.security, Detail::kNone, told), 1U);
  }
  const size_t told = events.size();
  rig.inject(rig.last(ControlType::kHeartbeat));
  rig.run_for(Millis{5});
  EXPECT_EQ(events.count(EventKind::kSecurityEvent, Reason::kSecReplayAttempt, Detail::kNone, told),
            1U);
}

/// What isn't authentic never counts; what is, and is denied, counts as an attempt to recover.
TEST(Isolation3, repeats_degrade_at_most) {
  Rig rig;
  rig.connect();
  rig.cut_all();
  ASSERT_TRUE(rig.run_until([&] { return rig.in_state(State::kRecovering); }, Millis{3'000}));
  Forger forger(rig);
  forger.nonce = 50;
  const Datagram heard = forger.seal(forger.spare(), 1, Bytes(8));  // malformed, hence ignored
  rig.inject(heard);
  for (int i = 0; i < 100; ++i) {
    Datagram spoiled = heard;
    spoiled.bytes.back() ^= static_cast<uint8_t>(1 + i);
    rig.inject(spoiled);
    rig.inject(heard);
  }
  rig.run_for(Millis{100});
  EXPECT_TRUE(rig.in_state(State::kRecovering));
  for (int denied = 0; denied < 3; ++denied) {
    EXPECT_TRUE(rig.in_state(State::kRecovering)) << denied;
    wire::ReattachRequest request = forger.request();
    request.lanes = 9;
    forger.send(forger.spare(), 1, request);
  }
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.count(EventKind::kReattach, Reason::kPolicyDeny), 3U);
  EXPECT_EQ(events.changes().back(), "RECOVERING>DEGRADED RECOVERY_BOUNDS_EXCEEDED");
  rig.mend_all();
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{14'000}));
  EXPECT_TRUE(rig.serves());
}

}  // namespace
}  // namespace jvpn::test
