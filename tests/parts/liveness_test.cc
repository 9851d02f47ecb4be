#include "control/protocol/liveness.h"

#include "tests/support/session_rig.h"

namespace jvpn {
namespace {

class LivenessPart : public test::SessionRig {
 protected:
  Liveness liveness{context, lifecycle, bindings, channel};
};

TEST_F(LivenessPart, AuthenticTrafficSuppressesHeartbeats) {
  Session& session = attached(true);
  const Millis interval = config.policy.volatility.heartbeat_interval;
  EXPECT_EQ(liveness.due(session), now + interval);
  environment.progress[session.current->local.value].last_rx = now + Millis{300};
  liveness.note_data(now + Millis{300}, session);
  EXPECT_EQ(liveness.due(session), now + Millis{300} + interval);
  liveness.serve(now + interval, session);
  EXPECT_TRUE(effects.empty());
}

TEST_F(LivenessPart, AResponderMeasuresARoundTripUnderTraffic) {
  Session& session = attached(false);
  const Millis interval = config.policy.volatility.heartbeat_interval;
  const Millis traffic = now + Millis{interval.value / 2};
  environment.progress[session.current->local.value].last_rx = traffic;
  liveness.note_data(traffic, session);
  EXPECT_EQ(liveness.due(session), session.heartbeat_sent + interval);
  session.quality.path.rtt.add(1'000);
  EXPECT_EQ(liveness.due(session), traffic + interval);
}

TEST_F(LivenessPart, DataUnderKeysOfAPathThatWasLeftProvesNothing) {
  Session& session = attached(true);
  session.current->left = true;
  environment.progress[session.current->local.value].last_rx = now + Millis{300};
  liveness.note_data(now + Millis{300}, session);
  EXPECT_EQ(session.record().last_authentic, now);
}

TEST_F(LivenessPart, AHeartbeatIsAnsweredAndItsEchoMeasured) {
  Session& session = attached(false);
  liveness.on_heartbeat(now, session, {});
  EXPECT_EQ(latest_type(session), wire::ControlType::kHeartbeatAck);
  wire::HeartbeatAck ack{};
  ack.echo_us = environment.clock_us(now) - 1'234;
  EXPECT_EQ(liveness.on_heartbeat_ack(now, session, ack), 1'234U);
  ack.echo_us = environment.clock_us(now) + 1;
  EXPECT_EQ(liveness.on_heartbeat_ack(now, session, ack), std::nullopt);
  EXPECT_EQ(counters.control_stale, 1U);
}

}  // namespace
}  // namespace jvpn
