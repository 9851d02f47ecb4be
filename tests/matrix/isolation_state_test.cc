// Isolation section 5: what no row of the state machine takes changes nothing and is told of; what
// can't be meant ends the session.
#include "control/session/control_message.h"
#include "tests/matrix/forger.h"
#include "tests/matrix/stores.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

using wire::ControlType;

TEST(Isolation5, transition_rejected) {
  TestStore store;
  Rig rig(with(store));
  rig.connect();
  ASSERT_TRUE(rig.jump(1));
  rig.run_for(Millis{2'000});
  const Still still(rig);
  Forger forger(rig);
  forger.nonce = 1;
  wire::TransportDead dead{};
  dead.header = control_header(ControlType::kTransportDead);
  for (const uint64_t version : {0, 1, 2, 4}) {  // never the present one
    dead.binding_version = version;
    forger.send(forger.spare(), 2, dead);
  }
  wire::ReattachRequest future = forger.request();
  ++future.binding_version;
  forger.send(forger.spare(), 2, future);
  still.expect();
  // A commit that wins after its session has ended doesn't bring it back.
  store.late = true;
  rig.wish_jump(2);
  ASSERT_TRUE(rig.run_until([&] { return !store.waiting.empty(); }, Millis{500}));
  EXPECT_NE(rig.gateway().ask(R"({"command":"terminate","peer":"client0"})"), "");
  EXPECT_EQ(rig.gateway().events().changes().back(),
            "ATTACHED>TERMINATED POLICY_TERMINATION:operator");
  store.answer(rig.now(), OwnershipAnswer::kCommitted);
  rig.run_for(Millis{50});
  EXPECT_EQ(rig.at_gateway().state, State::kTerminated);
  EXPECT_EQ(rig.gateway().engine().counters().reattach_commits, 1U);
}

/// The store lets a commit through that a policy loaded meanwhile doesn't.
TEST(Isolation5, diagnostic_event) {
  TestStore store;
  Rig rig(with(store));
  rig.connect();
  store.late = true;
  rig.wish_jump(1);
  ASSERT_TRUE(rig.run_until([&] { return !store.waiting.empty(); }, Millis{500}));
  const Still still(rig);
  Policy stricter = rig.gateway().engine().policy();
  stricter.switching.max_switches_per_min = 0;
  rig.gateway().engine().set_policy(rig.now(), stricter);
  store.answer(rig.now(), OwnershipAnswer::kCommitted);
  rig.run_for(Millis{50});
  const EventBook& events = rig.gateway().events();
  ASSERT_EQ(events.count(EventKind::kAuditEvent, Reason::kAuditTransitionRefused), 1U);
  const auto told = std::ranges::find(events.lines(), to_string(Reason::kAuditTransitionRefused),
                                      &ToldEvent::reason);
  EXPECT_EQ(told->check, "reattach_committed");
  EXPECT_EQ(told->result, "ATTACHED");
  EXPECT_EQ(rig.gateway().engine().counters().transitions_refused, 1U);
  still.expect();
}

template <typename Message>
Bytes message_of(ControlType type, uint8_t flags = 0) {
  Message message{};
  message.header = control_header(type, flags);
  return bytes_of(message);
}

Bytes shortened(Bytes message) {
  message.pop_back();
  return message;
}

TEST(Isolation5, termination_over_undefined) {
  const std::pair<const char*, Bytes> impossible[] = {
      {"challenge to a responder",
       message_of<wire::ReattachChallenge>(ControlType::kReattachChallenge)},
      {"acknowledgement to a responder", message_of<wire::ReattachAck>(ControlType::kReattachAck)},
      {"refusal to a responder", message_of<wire::ReattachReject>(ControlType::kReattachReject)},
      {"path challenge to a responder",
       message_of<wire::PathChallenge>(ControlType::kPathChallenge)},
      {"hint to a responder", message_of<wire::PolicyHint>(ControlType::kPolicyHint)},
      {"rekey answer to a responder", message_of<wire::RekeyResponse>(ControlType::kRekeyResponse)},
      {"rekey that can't be read",
       message_of<wire::RekeyInitiation>(ControlType::kRekeyInitiation)},
      {"short heartbeat", shortened(message_of<wire::Heartbeat>(ControlType::kHeartbeat))},
      {"short request",
       shortened(message_of<wire::ReattachRequest>(ControlType::kReattachRequest))},
      {"unknown and critical", message_of<wire::Heartbeat>(ControlType{99}, wire::kCritical)},
  };
  for (const auto& [name, message] : impossible) {
    SCOPED_TRACE(name);
    Rig rig;
    rig.connect();
    const SessionId id = rig.at_gateway().id;
    Forger forger(rig);
    rig.inject(forger.seal(forger.active(), 0, message));
    rig.run_for(Millis{1});
    EXPECT_NE(rig.at_gateway().id, id);
    EXPECT_EQ(rig.gateway().events().changes()[1],
              "ATTACHED>TERMINATED FATAL_PROTOCOL_ERROR:impossible_message");
    ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{10'000}));
    EXPECT_TRUE(rig.serves()) << "over a new session";
  }
  Rig rig;
  rig.connect();
  const Still still(rig);
  Forger forger(rig);  // what is merely unknown is no contradiction
  rig.inject(forger.seal(forger.active(), 0, message_of<wire::Heartbeat>(ControlType{99})));
  rig.run_for(Millis{5});
  still.expect();
}

}  // namespace
}  // namespace jvpn::test
