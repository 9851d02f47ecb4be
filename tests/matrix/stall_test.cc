// A control core that was kept from running: workers went on, and what they noted waits. Who lives
// is judged by when peers were heard, once all of it is handled.
#include "tests/matrix/forger.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

/// The control core stands still for 5 s, in which the client is heard for so long.
void stall(Rig& rig, Millis heard_for) {
  rig.connect();
  rig.run_for(Millis{1'000});
  rig.cut_all();  // the client itself falls silent: only what is forged here comes
  Forger forger(rig);
  auto heartbeat = control_message<wire::Heartbeat>(wire::ControlType::kHeartbeat);
  heartbeat.binding_version = rig.at_gateway().binding.value;
  rig.gateway().stalled = true;
  const Millis since = rig.now();
  while (rig.now() - since < Millis{5'000}) {
    if (rig.now() - since <= heard_for) {
      rig.inject(forger.seal(forger.active(), 0, bytes_of(heartbeat)));
    }
    rig.run_for(Millis{500});
  }
  rig.gateway().stalled = false;
}

Millis heard_at(Rig& rig) {
  Millis at;
  for_each_session(rig.gateway().engine(),
                   [&](const SessionView& view) { at = view.last_authentic; });
  return at;
}

TEST(Stall, control_that_was_late_kills_nobody) {
  Rig rig;
  stall(rig, Millis{4'500});
  const Snapshot before = rig.at_gateway();
  rig.step();
  EXPECT_EQ(rig.at_gateway(), before);
  EXPECT_EQ(rig.gateway().events().changes().size(), 1U);
  EXPECT_NEAR(static_cast<double>((rig.now() - heard_at(rig)).value), 500, 2)
      << "the arrival of the latest";
}

TEST(Stall, stale_packets_do_not_extend_life) {
  Rig rig;
  stall(rig, Millis{1'000});
  const Millis ended = rig.now();
  rig.step();
  EXPECT_TRUE(rig.in_state(State::kVolatile) || rig.in_state(State::kRecovering));
  rig.run_for(Millis{10});
  EXPECT_TRUE(rig.in_state(State::kRecovering));
  EXPECT_NEAR(static_cast<double>((ended - heard_at(rig)).value), 4'000, 2);
}

/// What takes long ends a turn, however few messages it was, and the rest has its turns, too.
TEST(Stall, a_turn_ends_when_its_time_is_up) {
  constexpr uint64_t kMessages = 20;
  Rig rig;
  rig.connect();
  Forger forger(rig);
  auto heartbeat = control_message<wire::Heartbeat>(wire::ControlType::kHeartbeat);
  heartbeat.binding_version = rig.at_gateway().binding.value;
  rig.cut_all();
  rig.gateway().stalled = true;
  for (uint64_t i = 0; i < kMessages; ++i)
    rig.inject(forger.seal(forger.active(), 0, bytes_of(heartbeat)));
  rig.run_for(Millis{2});
  const auto handled = [&, before = rig.gateway().engine().counters().control_received] {
    return rig.gateway().engine().counters().control_received - before;
  };
  rig.gateway().turn_control(50);
  EXPECT_GT(handled(), 0U);
  EXPECT_LT(handled(), kMessages / 2);
  for (uint64_t turns = 0; turns < 3 * kMessages; ++turns) rig.gateway().turn_control(50);
  EXPECT_EQ(handled(), kMessages);
  rig.gateway().stalled = false;
}

TEST(Stall, timers_wait_for_what_is_queued) {
  Rig rig;
  rig.connect();
  Forger forger(rig);
  auto heartbeat = control_message<wire::Heartbeat>(wire::ControlType::kHeartbeat);
  rig.cut_all();
  rig.gateway().stalled = true;
  constexpr int kMessages = 90;  // more than one turn takes
  for (int i = 0; i < kMessages; ++i) {
    rig.inject(forger.seal(forger.active(), 0, bytes_of(heartbeat)));
    rig.run_for(Millis{50});
  }
  rig.gateway().stalled = false;
  rig.step();
  EXPECT_EQ(rig.gateway().events().changes().size(), 1U);
}

}  // namespace
}  // namespace jvpn::test
