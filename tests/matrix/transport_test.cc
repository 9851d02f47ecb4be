// Matrix section 1: what a transport does to a session, from a few lost packets to none at all.
#include "tests/matrix/rig.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

using wire::ControlType;
using Lines = std::vector<std::string>;

/// Loses one of `every` data packets on their way up.
void lose_data_up(Rig& rig, unsigned every) {
  rig.filter = [every, n = 0U](const Datagram& each) mutable {
    return !(each.up && each.is_data() && ++n % every == 0);
  };
}

TEST(Transport, loss_below_threshold) {
  Rig rig;
  rig.connect();
  const Snapshot before = rig.at_gateway();
  lose_data_up(rig, 10);
  rig.run_with_data(Millis{20'000}, Millis{10});
  EXPECT_EQ(rig.at_gateway(), before);
  EXPECT_EQ(rig.gateway().events().changes().size(), 1U);
  rig.filter = nullptr;
  EXPECT_TRUE(rig.serves());
}

TEST(Transport, loss_above_threshold) {
  RigOptions options;
  options.policy.volatility.volatile_to_degraded = Millis{20'000};
  Rig rig(options);
  rig.connect();
  rig.set_candidates(0, {0});
  lose_data_up(rig, 2);
  rig.run_with_data(Millis{5'000}, Millis{10});
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.changes(),
            (Lines{"BIRTH>ATTACHED HANDSHAKE_OK", "ATTACHED>VOLATILE VOLATILITY_SIGNAL:loss"}));
  EXPECT_EQ(rig.at_gateway().version, StateVersion{2});
  rig.filter = nullptr;
  EXPECT_TRUE(rig.serves());
  rig.run_with_data(Millis{8'000}, Millis{10});
  EXPECT_EQ(events.changes().back(), "VOLATILE>ATTACHED HEALTH_RECOVERED");
  EXPECT_EQ(rig.at_gateway().version, StateVersion{3});
}

TEST(Transport, instability_starts_recovery) {
  Rig rig;
  rig.connect();
  rig.cut_all();
  ASSERT_TRUE(rig.run_until([&] { return rig.in_state(State::kRecovering); }, Millis{3'000}));
  rig.run_for(Millis{100});
  const Lines expected{"BIRTH>ATTACHED HANDSHAKE_OK", "ATTACHED>VOLATILE VOLATILITY_SIGNAL",
                       "VOLATILE>RECOVERING RECOVERY_START"};
  EXPECT_EQ(rig.gateway().events().changes(), expected);
  EXPECT_EQ(rig.client().events().changes(), expected);
  EXPECT_EQ(rig.at_gateway().version, StateVersion{3});
  EXPECT_EQ(rig.count(ControlType::kReattachRequest), 1U);
  EXPECT_FALSE(rig.client().send_echo()) << "no binding, so nothing may be sent";
}

TEST(Transport, reattach_succeeds) {
  Rig rig;
  rig.connect();
  const SessionId id = rig.at_gateway().id;
  rig.cut({0});
  ASSERT_TRUE(rig.run_until([&] { return rig.in_state(State::kRecovering); }, Millis{3'000}));
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{500}));
  rig.run_for(Millis{20});
  rig.expect_on(1);
  EXPECT_EQ(rig.at_gateway().id, id);
  EXPECT_EQ(rig.at_gateway().version, StateVersion{4});
  for (const EventBook* events : {&rig.gateway().events(), &rig.client().events()}) {
    EXPECT_EQ(events->changes().back(), "RECOVERING>ATTACHED TRANSPORT_SWITCH_OK");
    EXPECT_EQ(events->count(EventKind::kTransportSwitch, Reason::kTransportSwitchOk), 1U);
    EXPECT_EQ(events->count(EventKind::kReattach, Reason::kReattachAccept), 1U);
    EXPECT_EQ(events->count(EventKind::kAuditEvent, Reason::kAuditRecoveryTimeline), 1U);
  }
  EXPECT_TRUE(rig.serves());
}

TEST(Transport, reattach_fails) {
  Rig rig;
  rig.connect();
  rig.cut_all();
  ASSERT_TRUE(rig.run_until([&] { return rig.in_state(State::kDegraded); }, Millis{9'000}));
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.changes().back(), "RECOVERING>DEGRADED RECOVERY_BOUNDS_EXCEEDED");
  EXPECT_EQ(rig.at_gateway().version, StateVersion{4});
  EXPECT_EQ(events.lines().back().attempts, 3U);
  EXPECT_EQ(events.count(Reason::kAuditPolicyLimitTriggered), 1U);
  // The failure is no end: within the transport-loss time the session may still be had.
  rig.wire(2).mend();
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{6'000}));
  rig.run_for(Millis{20});
  rig.expect_on(2);
  EXPECT_EQ(events.count(EventKind::kStateChange, Reason::kRecoveryRetry), 1U);
  EXPECT_TRUE(rig.serves());
}

TEST(Transport, no_viable_transport) {
  RigOptions options;
  options.policy.switching.max_recovery_attempts = 100;
  options.policy.switching.max_recovery_window = Millis{60'000};
  Rig rig(options);
  rig.connect();
  rig.cut_all();
  ASSERT_TRUE(rig.run_until([&] { return rig.in_state(State::kTerminated); }, Millis{16'000}));
  rig.run_for(Millis{1'000});
  const std::string expected = "RECOVERING>TERMINATED TTL_TRANSPORT_LOSS_EXPIRED";
  EXPECT_EQ(rig.gateway().events().changes().back(), expected);
  EXPECT_EQ(rig.client().events().changes().back(), expected);
  EXPECT_EQ(rig.gateway().events().count(Reason::kAuditPolicyLimitTriggered), 1U);
  rig.mend_all();
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{10'000}));
  EXPECT_TRUE(rig.serves()) << "over a new session";
}

TEST(Transport, death_keeps_identity) {
  Rig rig;
  rig.connect();
  const SessionId id = rig.at_gateway().id;
  size_t bound = 0;
  for (int death = 0; death < 6; ++death) {
    const size_t next = (bound + 1) % kPaths;
    rig.mend_all();
    for (size_t path = 0; path < kPaths; ++path) {
      if (path != next) rig.wire(path).cut();
    }
    rig.run_for(Millis{9'000});
    rig.expect_on(next);
    EXPECT_EQ(rig.at_gateway().id, id);
    EXPECT_TRUE(rig.serves());
    bound = next;
  }
  EXPECT_EQ(rig.at_gateway().switches, 6U);
  EXPECT_EQ(rig.gateway().events().count(EventKind::kStateChange, Reason::kHandshakeOk), 1U)
      << "handshakes beside its requests go on with it, or come to nothing";
}

}  // namespace
}  // namespace jvpn::test
