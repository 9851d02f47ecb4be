// A control core that was kept from running: workers went on, and what they noted waits. Who lives
// is judged by when peers were heard, once all of it is handled.
#include <sys/socket.h>
#include <unistd.h>

#include "tests/matrix/forger.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

/// So many heartbeats of the client wait for a control core that is run by turn_control() alone.
void queue_heartbeats(Rig& rig, uint64_t count, Millis for_workers) {
  rig.connect();
  Forger forger(rig);
  auto heartbeat = control_message<wire::Heartbeat>(wire::ControlType::kHeartbeat);
  heartbeat.binding_version = rig.at_gateway().binding.value;
  rig.cut_all();
  rig.gateway().stalled = true;
  for (uint64_t i = 0; i < count; ++i)
    rig.inject(forger.seal(forger.active(), 0, bytes_of(heartbeat)));
  rig.run_for(for_workers);
}

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
  queue_heartbeats(rig, kMessages, Millis{2});
  const auto handled = [&, before = rig.gateway().engine().counters().control_received] {
    return rig.gateway().engine().counters().control_received - before;
  };
  for (size_t turn = 0; turn < kPuntClasses && handled() == 0; ++turn)
    rig.gateway().turn_control(50);
  EXPECT_GT(handled(), 0U) << "each class has its turn";
  EXPECT_LT(handled(), kMessages / 2);
  for (uint64_t turns = 0; turns < 3 * kMessages; ++turns) rig.gateway().turn_control(50);
  EXPECT_EQ(handled(), kMessages);
  rig.gateway().stalled = false;
}

/// However long each of them takes: a message a turn, and one of the jobs beside them.
TEST(Stall, every_job_has_its_turn) {
  Rig rig;
  queue_heartbeats(rig, 40, Millis{10});
  const int asked = rig.gateway().begin_asking(R"({"command":"show"})");
  const auto handled = [&] { return rig.gateway().engine().counters().control_received; };
  const uint64_t begun = handled();
  constexpr uint64_t kRounds = 12;
  for (uint64_t turn = 0; turn < kRounds * kPuntClasses; ++turn) {
    const uint64_t before = handled();
    rig.gateway().turn_control(1'000);
    EXPECT_LE(handled() - before, 1U) << "one message a turn";
  }
  EXPECT_EQ(handled() - begun, kRounds) << "the classes take turns";
  char first = 0;
  EXPECT_EQ(recv(asked, &first, 1, MSG_PEEK | MSG_DONTWAIT), 1) << "the operator waits";
  close(asked);
  rig.gateway().stalled = false;
}

/// However many peers a gateway dials when it starts, or when a link is back.
TEST(Stall, peers_are_dialled_as_the_turn_has_time) {
  constexpr uint32_t kPeers = 12;
  VirtualClock clock(Millis{10'000'000});
  GatewaySpec spec;
  spec.private_key = generate_secret_key();
  spec.endpoints = {{IpAddress::v4({192, 0, 2, 77}), kListenPort}};
  for (uint32_t i = 0; i < kPeers; ++i) {
    const std::string name = "peer" + std::to_string(i);
    spec.peers.push_back({name, public_key_of(generate_secret_key()), std::nullopt, {}});
  }
  GatewayNode gateway(clock, spec);
  const auto dialled = [&] {
    uint32_t count = 0;
    for (uint32_t i = 0; i < kPeers; ++i)
      count += gateway.engine().dialling(PeerId{i}).has_value() ? 1 : 0;
    return count;
  };
  for (uint32_t turns = 0; dialled() < kPeers; ++turns) {
    ASSERT_LT(turns, 200U);
    const uint32_t before = dialled();
    gateway.turn_control(1'000);
    ASSERT_LE(dialled() - before, 1U);
  }
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
