// Matrix section 6: attempts on an identity, an address, an owner, and on what can't be.
#include "control/session/control_message.h"
#include "tests/matrix/forger.h"
#include "tests/matrix/stores.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

using wire::ControlType;

/// Client 1 is as good a peer as client 0, and wants client 0's session.
TEST(Security, identity_hijack) {
  RigOptions options;
  options.clients = 2;
  Rig rig(options);
  rig.connect(0);
  rig.connect(1);
  const Still victim(rig, 0);
  const Still thief(rig, 1);
  Forger forger(rig, 1);
  wire::ReattachRequest request = forger.request();
  request.session_id = rig.at_gateway(0).id.bytes;
  forger.send(forger.spare(), 1, request);
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.count(EventKind::kReattach, Reason::kSessionNotFound), 1U);
  EXPECT_EQ(events.count(EventKind::kSecurityEvent, Reason::kSecSessionFixationAttempt), 1U);
  // A request that the victim did make, caught on its way and sent from the thief's address.
  Forger own(rig, 0);
  Datagram caught = own.seal(own.spare(), 1, bytes_of(own.request()));
  caught.source = rig.path(1, 1).local;
  rig.inject(caught);
  rig.run_for(Millis{50});
  EXPECT_EQ(rig.count(ControlType::kReattachChallenge, 1), 0U) << "unreadable to the thief";
  EXPECT_EQ(events.count(Reason::kReattachAccept), 0U);
  victim.expect();
  thief.expect();
}

TEST(Security, transport_spoofing) {
  Rig rig;
  rig.connect();
  const Still still(rig);
  const EventBook& events = rig.gateway().events();
  // The answer to the challenge comes from elsewhere than the request.
  const Endpoint elsewhere{IpAddress::v4({198, 51, 100, 77}), 4'444};
  rig.filter = [&](Datagram& each) {
    if (each.up && each.control == ControlType::kReattachResponse) each.source = elsewhere;
    return true;
  };
  EXPECT_FALSE(rig.jump(1));
  EXPECT_GE(events.count(EventKind::kReattach, Reason::kAuthFail), 1U);
  EXPECT_GE(events.count(EventKind::kSecurityEvent, Reason::kSecSessionFixationAttempt), 1U);
  // Data from elsewhere is delivered, and moves nothing: its reply goes to the bound address.
  rig.run_for(Millis{2'000});
  const uint64_t echoes = rig.client().echoes();
  rig.filter = [&](Datagram& each) {
    if (each.up && each.is_data()) each.source = elsewhere;
    return true;
  };
  EXPECT_TRUE(rig.serves());
  EXPECT_EQ(rig.client().echoes(), echoes + 1);
  EXPECT_EQ(rig.unreachable, 0U);
  rig.filter = nullptr;
  still.expect();
}

/// Another node owns the session: that is known before, or learnt from the store.
TEST(Security, ownership_mismatch) {
  {
    TestStore store;
    Rig rig(with(store));
    rig.connect();
    store.reachable = false;
    EXPECT_FALSE(rig.jump(1));
    const EventBook& events = rig.gateway().events();
    EXPECT_GE(events.count(EventKind::kReattach, Reason::kOwnershipConflict), 1U);
    EXPECT_GE(events.count(EventKind::kSecurityEvent, Reason::kSecOwnershipAnomaly), 1U);
    EXPECT_EQ(events.count(Reason::kReattachAccept), 0U);
    EXPECT_EQ(store.commits, 0U);
  }
  TestStore store;
  Rig rig(with(store));
  rig.connect();
  const Snapshot before = rig.at_gateway();
  store.take_over(rig.now(), before.id, BindingVersion{9});
  rig.wish_jump(1);
  ASSERT_TRUE(rig.run_until([&] { return rig.at_gateway().id == SessionId{}; }, Millis{100}));
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.count(EventKind::kReattach, Reason::kOwnershipConflict), 1U);
  EXPECT_EQ(
      events.count(EventKind::kSecurityEvent, Reason::kSecOwnershipAnomaly, Detail::kOwnershipLost),
      1U);
  EXPECT_EQ(events.count(EventKind::kOwnershipChange, Reason::kSecOwnershipAnomaly), 1U);
  EXPECT_EQ(events.changes().size(), 1U) << "only its owner ends it";
  const size_t sent = rig.sent.size();
  rig.client().send_echo();
  rig.run_for(Millis{100});
  for (size_t i = sent; i < rig.sent.size(); ++i)
    EXPECT_TRUE(rig.sent[i].up) << "the gateway answered";
}

TEST(Security, integrity_violation) {
  Rig rig;
  rig.connect();
  const SessionId id = rig.at_gateway().id;
  Forger forger(rig);
  wire::ReattachChallenge impossible{};  // initiators are challenged, responders never
  impossible.header = control_header(ControlType::kReattachChallenge);
  rig.filter = [](const Datagram& each) {
    return !each.up || each.type() != wire::MessageType::kInitiation;
  };
  forger.send(forger.active(), 0, impossible);
  EXPECT_EQ(rig.at_gateway().state, State::kTerminated);
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.changes().back(), "ATTACHED>TERMINATED FATAL_PROTOCOL_ERROR:impossible_message");
  rig.run_for(Millis{20});
  EXPECT_EQ(rig.client().events().changes().back(),
            "ATTACHED>TERMINATED POLICY_TERMINATION:peer_terminate");
  rig.filter = nullptr;
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{10'000}));
  EXPECT_NE(rig.at_gateway().id, id);
  EXPECT_TRUE(rig.serves());
}

}  // namespace
}  // namespace jvpn::test
