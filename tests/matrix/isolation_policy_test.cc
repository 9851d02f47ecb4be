// Isolation section 4: a policy that can't be used stops nobody who is here, and lets nobody in.
#include "tests/matrix/rig.h"

namespace jvpn::test {
namespace {

struct TwoClients {
  TwoClients() {
    options.clients = 2;
    options.policy.switching.max_switches_per_min = 64;
  }
  RigOptions options;
};

/// Client 0 is attached; then a reload is refused.
void refuse_reload(Rig& rig) {
  rig.connect(0);
  rig.gateway().engine().deny_new_sessions(rig.now());
  rig.step();
}

void load_valid(Rig& rig) {
  Policy valid = rig.gateway().engine().policy();
  ++valid.version;
  rig.gateway().engine().set_policy(rig.now(), valid);
  rig.step();
}

TEST(Isolation4, new_sessions_denied) {
  Rig rig(TwoClients().options);
  refuse_reload(rig);
  rig.client(1).dial(rig.client_now(), rig.path(0, 1));
  rig.run_for(Millis{20'000});
  EXPECT_EQ(rig.at_gateway(1).state, State::kTerminated) << "there is none";
  EXPECT_EQ(rig.client(1).events().changes().size(), 0U);
  EXPECT_GT(rig.gateway().engine().counters().handshakes_refused, 0U);
  EXPECT_TRUE(rig.serves(0));
  load_valid(rig);
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(1); }, Millis{5'000}));
  EXPECT_TRUE(rig.serves(1));
}

TEST(Isolation4, sessions_keep_previous_policy) {
  Rig rig(TwoClients().options);
  const Policy before = rig.gateway().engine().policy();
  refuse_reload(rig);
  EXPECT_EQ(rig.gateway().engine().policy().version, before.version);
  // Its bounds still hold: the recovery begins and ends when they say.
  rig.cut_all(0);
  ASSERT_TRUE(rig.run_until([&] { return rig.in_state(State::kRecovering); },
                            before.volatility.transport_dead + Millis{50}));
  rig.mend_all(0);
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(0); }, Millis{2'000}));
  rig.run_for(Millis{2'000});
  ASSERT_TRUE(rig.jump(2)) << "jumps go on, too";
  EXPECT_TRUE(rig.serves(0));
}

TEST(Isolation4, failure_logged) {
  Rig rig(TwoClients().options);
  const EventBook& events = rig.gateway().events();
  refuse_reload(rig);
  EXPECT_EQ(events.count(EventKind::kConfigEvent, Reason::kConfigRefused), 1U);
  load_valid(rig);
  EXPECT_EQ(events.count(EventKind::kConfigEvent, Reason::kConfigLoaded), 1U);
}

TEST(Isolation4, no_automatic_termination) {
  Rig rig(TwoClients().options);
  refuse_reload(rig);
  const Snapshot before = rig.at_gateway(0);
  rig.run_with_data(Millis{300'000}, Millis{500});  // beyond the life of its keys
  EXPECT_EQ(rig.at_gateway(0), before);
  EXPECT_EQ(rig.gateway().events().changes().size(), 1U);
  EXPECT_TRUE(rig.serves(0));
}

}  // namespace
}  // namespace jvpn::test
