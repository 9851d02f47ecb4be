// Every outcome has a name, and says what brought it about: the shipped engine at both ends,
// without a forged message.
#include <gtest/gtest.h>

#include "tests/support/jumper.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

using namespace test;

/// The latest event of a kind and reason; a failure when there is none.
Event latest_event(const test::Node& node, EventKind kind, Reason reason) {
  const std::vector<Event> events = node.events_of(kind);
  for (size_t i = events.size(); i-- > 0;) {
    if (events[i].reason == reason) return events[i];
  }
  ADD_FAILURE() << "no " << to_string(reason);
  return {};
}

void expect_fired(const Event& event, std::string_view limit, uint64_t threshold) {
  ASSERT_NE(event.fired.limit, nullptr) << to_string(event.reason);
  EXPECT_EQ(event.fired.limit, limit);
  EXPECT_EQ(event.fired.threshold, threshold);
  EXPECT_GE(event.fired.observed, threshold);
}

World::Adjust switches_per_minute(uint32_t per_minute) {
  return [per_minute](size_t, EngineConfig& config) {
    config.policy.switching.max_switches_per_min = per_minute;
  };
}

TEST(EngineReasons, HandshakeOkIsForBirthAlone) {
  World world(1, [](size_t, EngineConfig& config) { config.rekey_after = Millis{2'000}; });
  world.connect();
  world.run_with_data(Millis{5'000}, 20);
  for (const size_t end : {size_t{0}, size_t{1}}) {
    const test::Node& node = world.node(end);
    EXPECT_GE(count_reason(node, EventKind::kKeyEvent, Reason::kKeysRenewed), 1U);
    EXPECT_EQ(std::ranges::count(node.events, Reason::kHandshakeOk, &Event::reason), 1);
  }
}

TEST(EngineReasons, APlannedJumpTellsItsRequestsAndHowLongItTook) {
  Jumper world;
  world.jump(1);
  world.run_for(Millis{100});
  world.expect_on(1);
  for (const size_t end : {size_t{0}, size_t{1}}) {
    const Event timeline =
        latest_event(world.node(end), EventKind::kAuditEvent, Reason::kAuditRecoveryTimeline);
    EXPECT_EQ(timeline.attempts, 1U);
    EXPECT_EQ(timeline.denied, 0U);
    const uint64_t trips = end == 0 ? 20 : 10;  // of 5 ms each way, until the commit is known
    EXPECT_EQ(timeline.duration_ms, trips);
    const Event moved =
        latest_event(world.node(end), EventKind::kTransportSwitch, Reason::kTransportSwitchOk);
    EXPECT_EQ(moved.latency_ms, trips);
  }
}

TEST(EngineReasons, ARecoveryOverDeadPathsTellsEachOfThem) {
  Jumper world;
  world.cut = {0, 1};
  world.lose(0);
  world.run_for(Millis{3'000});
  world.expect_on(2);
  const test::Node& node = world.node(0);
  const Event silence = latest_event(node, EventKind::kReattach, Reason::kReattachTimeout);
  EXPECT_EQ(silence.to_path, path_between(0, 1, 1));
  EXPECT_STREQ(silence.result, "timeout");
  EXPECT_GT(latest_event(node, EventKind::kAuditEvent, Reason::kAuditRecoveryTimeline).attempts,
            2U);
}

TEST(EngineReasons, APlannedJumpThatNobodyAnswersIsTold) {
  Jumper world;
  world.cut = {1};
  world.jump(1);
  world.run_for(Millis{3'000});
  world.expect_on(0);
  EXPECT_EQ(count_reason(world.node(0), EventKind::kReattach, Reason::kReattachTimeout), 1U);
}

TEST(EngineReasons, AClientThatUsedUpItsSwitchesGoesWhereThePolicySays) {
  for (const bool ends : {false, true}) {
    Jumper world(1, [&](size_t node, EngineConfig& config) {
      switches_per_minute(1)(node, config);
      if (ends) config.policy.switching.on_rate_exceeded = OnRateExceeded::kTerminate;
    });
    world.lose(0);
    world.run_for(Millis{2'000});
    world.expect_on(1);
    world.lose(1);
    const test::Node& client = world.node(0);
    const Event denied =
        latest_event(client, EventKind::kTransportSwitch, Reason::kTransportSwitchDenied);
    EXPECT_EQ(denied.detail, Detail::kSwitchRate);
    EXPECT_EQ(denied.from_path, path_between(0, 1, 1));
    EXPECT_EQ(client.changes().back(), ends
                                           ? "RECOVERING>TERMINATED POLICY_TERMINATION:switch_rate"
                                           : "RECOVERING>DEGRADED ENTER_DEGRADED_MODE:switch_rate");
    const Event limit =
        latest_event(client, EventKind::kAuditEvent, Reason::kAuditPolicyLimitTriggered);
    expect_fired(limit, "max_switches_per_min", 1);
    EXPECT_EQ(limit.fired.observed, 2U);
    EXPECT_EQ(latest_event(client, EventKind::kAuditEvent, Reason::kAuditRecoveryTimeline).detail,
              Detail::kSwitchRate);
  }
}

TEST(EngineReasons, AJumpThatMustWaitTellsForWhatAndOneThatMayNotIsDenied) {
  Jumper world;
  world.jump(1);
  world.run_for(Millis{100});
  world.expect_on(1);
  world.jump(2);
  const test::Node& client = world.node(0);
  ASSERT_EQ(count_reason(client, EventKind::kAuditEvent, Reason::kAuditPolicyLimitTriggered), 1U);
  EXPECT_STREQ(
      latest_event(client, EventKind::kAuditEvent, Reason::kAuditPolicyLimitTriggered).fired.limit,
      "switch_cooldown_ms");
  world.engine(0).deny_jump(world.now, kPeer, path_between(0, 1, 0));
  EXPECT_EQ(
      latest_event(client, EventKind::kTransportSwitch, Reason::kTransportSwitchDenied).detail,
      Detail::kCooldown);
  world.run_for(Millis{2'000});
  world.expect_on(2);
  EXPECT_EQ(count_reason(client, EventKind::kAuditEvent, Reason::kAuditPolicyLimitTriggered), 2U);
  EXPECT_EQ(latest_event(client, EventKind::kAuditEvent, Reason::kAuditRecoveryTimeline).detail,
            Detail::kCooldown);
}

TEST(EngineReasons, RowsSayWhichBoundFired) {
  Jumper world;
  const Policy policy = world.engine(1).policy();
  world.cut = {0, 1, 2};
  world.run_for(Millis{20'000});
  const test::Node& gateway = world.node(1);
  const auto row = [&](Reason reason) {
    return latest_event(gateway, EventKind::kStateChange, reason);
  };
  expect_fired(row(Reason::kVolatilitySignal), "heartbeat_volatile_ms",
               policy.volatility.heartbeat_volatile.value);
  expect_fired(row(Reason::kRecoveryStart), "transport_dead_ms",
               policy.volatility.transport_dead.value);
  expect_fired(row(Reason::kRecoveryBoundsExceeded), "max_recovery_attempts",
               policy.switching.max_recovery_attempts);
  const Event end = row(Reason::kTtlTransportLossExpired);
  expect_fired(end, "transport_loss_ttl_ms", policy.session.transport_loss_ttl.value);
  EXPECT_EQ(end.switches, 0U);
  EXPECT_GE(end.lifetime_ms, policy.session.transport_loss_ttl.value);
}

}  // namespace
}  // namespace jvpn
