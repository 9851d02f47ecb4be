// Matrix section 4: the bounds that no session passes.
#include "tests/matrix/forger.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

/// A session that has used up its switches for this minute, and asks for one more.
void exceed_switch_rate(Rig& rig) {
  rig.connect();
  for (const size_t path : {size_t{1}, size_t{2}}) {
    ASSERT_TRUE(rig.jump(path));
    rig.run_for(Millis{2'000});
  }
  Forger forger(rig);  // the client itself holds back
  forger.nonce = 10;
  forger.send(forger.spare(), 0, forger.request());
}

TEST(PolicyBounds, switch_rate) {
  RigOptions options;
  options.policy.switching.max_switches_per_min = 2;
  {
    Rig rig(options);
    exceed_switch_rate(rig);
    const EventBook& events = rig.gateway().events();
    EXPECT_EQ(events.changes().back(), "ATTACHED>DEGRADED ENTER_DEGRADED_MODE:switch_rate");
    EXPECT_EQ(rig.at_gateway().version, StateVersion{6});
    EXPECT_EQ(events.count(EventKind::kTransportSwitch, Reason::kTransportSwitchDenied), 1U);
    EXPECT_EQ(events.count(EventKind::kReattach, Reason::kPolicyDeny, Detail::kSwitchRate), 1U);
    EXPECT_GE(events.count(EventKind::kAuditEvent, Reason::kAuditPolicyLimitTriggered), 1U);
    EXPECT_EQ(rig.at_gateway().switches, 2U);
    EXPECT_TRUE(rig.serves()) << "constrained, but over the path that it has";
  }
  options.policy.switching.on_rate_exceeded = OnRateExceeded::kTerminate;
  Rig rig(options);
  exceed_switch_rate(rig);
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.changes().back(), "ATTACHED>TERMINATED POLICY_TERMINATION:switch_rate");
  EXPECT_EQ(events.count(EventKind::kTransportSwitch, Reason::kTransportSwitchDenied), 1U);
  rig.run_for(Millis{20});
  EXPECT_EQ(rig.client().events().changes().back(),
            "ATTACHED>TERMINATED POLICY_TERMINATION:peer_terminate");
}

TEST(PolicyBounds, recovery_window) {
  RigOptions options;
  options.policy.switching.max_recovery_attempts = 100;
  Rig rig(options);
  rig.connect();
  rig.cut_all();
  ASSERT_TRUE(rig.run_until([&] { return rig.in_state(State::kRecovering); }, Millis{3'000}));
  const Millis began = rig.now();
  ASSERT_TRUE(rig.run_until([&] { return rig.in_state(State::kTerminated); }, Millis{11'000}));
  EXPECT_EQ(rig.now() - began, options.policy.switching.max_recovery_window);
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.changes().back(), "RECOVERING>TERMINATED RECOVERY_BOUNDS_EXCEEDED");
  EXPECT_EQ(events.count(EventKind::kAuditEvent, Reason::kAuditPolicyLimitTriggered), 1U);
  EXPECT_EQ(events.lines().back().duration_ms, 10'000U);
}

TEST(PolicyBounds, transport_loss_ttl) {
  RigOptions options;
  Rig rig(options);
  rig.connect();
  rig.run_with_data(Millis{1'000}, Millis{10});
  rig.run_for(Millis{10});
  const Millis heard = rig.now();
  rig.cut_all();
  ASSERT_TRUE(rig.run_until([&] { return rig.in_state(State::kTerminated); }, Millis{16'000}));
  const Millis silent = rig.now() - heard;
  EXPECT_LE(silent, options.policy.session.transport_loss_ttl);
  EXPECT_GE(silent + Millis{20}, options.policy.session.transport_loss_ttl);
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.changes().back(), "DEGRADED>TERMINATED TTL_TRANSPORT_LOSS_EXPIRED");
  EXPECT_EQ(events.count(EventKind::kAuditEvent, Reason::kAuditPolicyLimitTriggered), 2U);
}

/// Eight hours, with keys changed on the way and liveness stretched to keep it short.
TEST(PolicyBounds, session_ttl) {
  RigOptions options;
  options.policy.volatility.heartbeat_interval = Millis{20'000};
  options.policy.volatility.heartbeat_volatile = Millis{60'000};
  options.policy.volatility.transport_dead = Millis{90'000};
  options.policy.session.transport_loss_ttl = Millis{120'000};
  Rig rig(options);
  for (size_t path = 0; path < kPaths; ++path) rig.wire(path).delay = Millis{0};
  rig.connect();
  const Snapshot before = rig.at_gateway();
  const Millis ttl = options.policy.session.max_lifetime;
  rig.run_for(ttl - Millis{1'000}, Millis{1'000});
  EXPECT_EQ(rig.at_gateway(), before);
  EXPECT_TRUE(rig.serves());
  EXPECT_GT(rig.gateway().events().count(EventKind::kKeyEvent, Reason::kKeysRenewed), 200U);
  ASSERT_TRUE(rig.run_until([&] { return rig.at_gateway().id != before.id; }, Millis{1'000}));
  EXPECT_EQ(rig.gateway().events().changes()[1], "ATTACHED>TERMINATED TTL_SESSION_EXPIRED");
  EXPECT_EQ(
      rig.gateway().events().count(EventKind::kAuditEvent, Reason::kAuditPolicyLimitTriggered), 1U);
}

}  // namespace
}  // namespace jvpn::test
