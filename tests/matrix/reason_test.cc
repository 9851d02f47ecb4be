// Reasons that belong to no row of the matrix, each by what brings it about.
#include "tests/matrix/forger.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

using wire::ControlType;
using Lines = std::vector<std::string>;

/// The initiation comes through, and nothing after it.
TEST(Reasons, handshake_fail) {
  Rig rig;
  rig.filter = [](const Datagram& each) {
    return !each.up || each.type() == wire::MessageType::kInitiation;
  };
  rig.client().dial(rig.client_now(), rig.path(0));
  rig.run_for(Millis{1});
  rig.run_for(Millis{20});
  rig.wire(0).cut_up = true;
  rig.run_for(Millis{6'000});
  EXPECT_EQ(rig.gateway().events().changes(), (Lines{"BIRTH>TERMINATED HANDSHAKE_FAIL:timeout"}));
  EXPECT_EQ(rig.at_gateway().state, State::kTerminated);
  rig.filter = nullptr;
  rig.mend_all();
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{30'000}));
}

/// New keys are never agreed on: no data goes on under old ones.
TEST(Reasons, key_lifetime_exceeded) {
  Rig rig;
  rig.filter = [](const Datagram& each) { return each.control != ControlType::kRekeyInitiation; };
  rig.connect();
  const SessionId id = rig.at_gateway().id;
  const Millis born = rig.now();
  rig.run_with_data(Millis{179'000}, Millis{200}, Millis{5});
  EXPECT_EQ(rig.at_gateway().id, id);
  EXPECT_GT(rig.count(ControlType::kRekeyInitiation), 50U);
  ASSERT_TRUE(rig.run_until([&] { return rig.at_gateway().id != id; }, Millis{2'000}));
  EXPECT_LE(rig.now() - born, Millis{180'000});
  EXPECT_EQ(rig.gateway().events().changes()[1], "ATTACHED>TERMINATED KEY_LIFETIME_EXCEEDED");
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{5'000}));
  EXPECT_TRUE(rig.serves()) << "over a new session";
}

/// A gateway whose sessions have somewhere to go is drained; the order is refused elsewhere.
TEST(Reasons, drain) {
  TestStore store;
  Rig rig(with(store));
  rig.connect();
  const auto drain = [&](const char* how) {
    return rig.gateway().ask(std::string(R"({"command":"drain")") + how + "}");
  };
  const auto says = [&](const char* text) {
    return rig.gateway().ask(R"({"command":"show"})").find(text) != std::string::npos;
  };
  EXPECT_NE(drain("").find("ownership.etcd"), std::string::npos);
  EXPECT_TRUE(says(R"("drain":{"draining":false,"left":1})"));
  store.shared = true;
  EXPECT_EQ(drain(""), "{\"drain\":{\"draining\":true,\"left\":1}}\n");
  EXPECT_TRUE(says(R"("drain":{"draining":true,"left":1})"));
  rig.run_for(Millis{2'000});
  EXPECT_GE(rig.count(ControlType::kPolicyHint), 2U);
  EXPECT_TRUE(rig.serves()) << "it knows no other gateway";
  rig.gateway().ask(R"({"command":"terminate","peer":"client0"})");
  rig.run_for(Millis{100});
  EXPECT_EQ(drain(R"(,"look":true)"), "{\"drain\":{\"draining\":true,\"left\":0}}\n");
  EXPECT_EQ(drain(R"(,"undo":true)"), "{\"drain\":{\"draining\":false,\"left\":0}}\n");
  const EventBook& events = rig.gateway().events();
  for (const Reason reason : {Reason::kDrainBegun, Reason::kDrainDone, Reason::kDrainEnded})
    EXPECT_EQ(events.count(EventKind::kConfigEvent, reason), 1U);
}

/// Workers refuse without control: their counters are told, with how many packets that were.
TEST(Reasons, refused_by_workers) {
  Rig rig;
  rig.connect();
  rig.run_with_data(Millis{100}, Millis{10});
  const EventBook& events = rig.gateway().events();
  const size_t told = events.size();
  const auto sound = std::ranges::find_if(rig.sent, [](const Datagram& each) {
    return each.up && each.control == ControlType::kHeartbeat;
  });
  ASSERT_NE(sound, rig.sent.end());
  Datagram forged = *sound;
  forged.bytes.back() ^= 1;
  ++forged.bytes[9];  // of the counter: an old one is a replay, and costs no cipher
  Datagram lost = *sound;
  lost.bytes[4] ^= 0xff;  // of the receiver index
  const auto data = std::ranges::find_if(
      rig.sent, [](const Datagram& each) { return each.up && each.is_data(); });
  ASSERT_NE(data, rig.sent.end());
  const Datagram again = *data;
  for (int i = 0; i < 7; ++i) {
    for (const Datagram& each : {forged, lost, again}) rig.inject(each);
  }
  rig.run_for(Millis{2'000});
  const auto expect = [&](Reason reason, const char* check) {
    const auto line = std::ranges::find(events.lines(), check, &ToldEvent::check);
    ASSERT_NE(line, events.lines().end()) << check;
    EXPECT_EQ(line->event, to_string(EventKind::kSecurityEvent));
    EXPECT_EQ(line->reason, to_string(reason));
    EXPECT_EQ(line->count, 7U) << check;
  };
  expect(Reason::kAuthFail, "bad_tag");
  expect(Reason::kSessionNotFound, "unknown_index");
  expect(Reason::kSecReplayAttempt, "replay_duplicate");
  EXPECT_EQ(events.size(), told + 3) << "one line each";
}

/// A receive record isn't the one that was installed: the jump that finds it ends the session.
TEST(Reasons, audit_invariant_violated) {
  Rig rig;
  rig.connect();
  const Forger forger(rig);
  const SessionTable& table = rig.gateway().sessions();
  const RxRecord* spare = table.rx(forger.spare(1).value);
  const_cast<RxRecord*>(spare)->first_lane = table.rx(forger.active().value)->first_lane;
  rig.planted = "an invariant is violated: single_active";
  EXPECT_FALSE(rig.jump(1));
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(
      events.count(EventKind::kAuditEvent, Reason::kAuditInvariantViolated, Detail::kStaleRecord),
      1U);
  EXPECT_EQ(
      events.count(EventKind::kStateChange, Reason::kFatalProtocolError, Detail::kStaleRecord), 1U);
  EXPECT_EQ(events.count(Reason::kAuditInvariantOkSingleActive), 0U);
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{5'000})) << "anew";
  EXPECT_TRUE(rig.serves());
}

/// Too little is delivered for the policy, though not so little as to be volatile.
TEST(Reasons, quality_floor_violation) {
  RigOptions options;
  options.policy.volatility.quality_floor = 0.95;
  options.policy.volatility.volatile_to_degraded = Millis{20'000};
  Rig rig(options);
  rig.connect();
  rig.set_candidates(0, {0});
  rig.filter = [n = 0U](const Datagram& each) mutable {
    return !(each.up && each.is_data() && ++n % 8 == 0);
  };
  rig.run_with_data(Millis{5'000}, Millis{10});
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.changes(), (Lines{"BIRTH>ATTACHED HANDSHAKE_OK",
                                     "ATTACHED>VOLATILE QUALITY_FLOOR_VIOLATION:loss"}));
  rig.filter = nullptr;
  rig.run_with_data(Millis{8'000}, Millis{10});
  EXPECT_EQ(events.changes().back(), "VOLATILE>ATTACHED HEALTH_RECOVERED");
  EXPECT_TRUE(rig.serves());
}

/// An operator, and a newer session of the same peer.
TEST(Reasons, policy_termination) {
  Rig rig;
  rig.connect();
  const SessionId first = rig.at_gateway().id;
  rig.client().dial(rig.client_now(), rig.path(1));
  ASSERT_TRUE(rig.run_until([&] { return rig.at_gateway().id != first; }, Millis{1'000}));
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.changes()[1], "ATTACHED>TERMINATED POLICY_TERMINATION:superseded");
  EXPECT_TRUE(rig.serves());
  EXPECT_NE(rig.gateway().ask(R"({"command":"terminate","peer":"client0"})").find("client0"),
            std::string::npos);
  EXPECT_EQ(events.changes().back(), "ATTACHED>TERMINATED POLICY_TERMINATION:operator");
  rig.run_for(Millis{20});
  EXPECT_EQ(rig.at_client().state, State::kTerminated);
}

}  // namespace
}  // namespace jvpn::test
