// What sessions do about paths that decay, prefer, sleep and come back, between two engines.
#include <gtest/gtest.h>

#include "tests/support/jumper.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

using namespace test;
using wire::MessageType;

/// Drops a share of the data that goes over a network, from one node or from both.
struct Lossy {
  Lossy(Jumper& jumper, size_t on_network, double lost, std::optional<size_t> sender = {})
      : network(on_network), share(lost), from(sender) {
    jumper.filter = [this](const Datagram& datagram) {
      const bool hit = datagram.type() == MessageType::kData && datagram.network() == network &&
                       (!from || datagram.from == *from);
      return hit && random.chance(share) ? Fate::kDrop : Fate::kDeliver;
    };
  }
  size_t network;
  double share;
  std::optional<size_t> from;
  Random random{7};
};

TEST(EngineQuality, LossLeadsToABetterPath) {
  for (const std::optional<size_t> from :
       {std::optional<size_t>{}, std::optional<size_t>{0}, std::optional<size_t>{1}}) {
    SCOPED_TRACE(from ? "one way" : "both ways");
    Jumper world(1, nullptr, true);
    world.run_with_data(Millis{3'000}, 5);
    Lossy lossy(world, 0, 0.4, from);
    world.run_with_data(Millis{8'000}, 5);
    world.expect_on(1);
    const auto changes = world.node(0).changes();
    EXPECT_EQ(changes[1], "ATTACHED>VOLATILE VOLATILITY_SIGNAL:loss");
    EXPECT_EQ(changes[2], "VOLATILE>RECOVERING RECOVERY_START");
    EXPECT_EQ(changes[3], "RECOVERING>ATTACHED TRANSPORT_SWITCH_OK");
    EXPECT_STREQ(world.node(0).events_of(EventKind::kTransportSwitch).at(0).cause, "quality");
    EXPECT_STREQ(world.node(1).events_of(EventKind::kTransportSwitch).at(0).cause, "quality");
  }
}

TEST(EngineQuality, LossBelowTheThresholdChangesNothing) {
  Jumper world(1, nullptr, true);
  Lossy lossy(world, 0, 0.1);
  world.run_with_data(Millis{20'000}, 5);
  world.expect_on(0);
  EXPECT_EQ(world.node(0).changes().size(), 1U);
  EXPECT_EQ(world.node(1).changes().size(), 1U);
  EXPECT_NEAR(world.node(0).session().loss_in.value_or(0), 100'000, 40'000);
  EXPECT_NEAR(world.node(0).session().loss_out.value_or(0), 100'000, 40'000);
}

TEST(EngineQuality, UnderTheFloorIsAReasonOfItsOwn) {
  Jumper world(
      1, [](size_t, EngineConfig& config) { config.policy.volatility.quality_floor = 0.95; }, true);
  Lossy lossy(world, 0, 0.12);
  world.run_with_data(Millis{4'000}, 5);
  EXPECT_EQ(world.node(0).changes().at(1), "ATTACHED>VOLATILE QUALITY_FLOOR_VIOLATION:loss");
}

TEST(EngineQuality, WithNowhereBetterItDegradesAndComesBack) {
  Jumper world(1, nullptr, true);
  world.set_candidates({0});
  Lossy lossy(world, 0, 0.4);
  world.run_with_data(Millis{9'000}, 5);
  EXPECT_EQ(world.node(0).session().state, State::kDegraded);
  EXPECT_EQ(world.node(1).session().state, State::kDegraded);
  world.filter = nullptr;
  world.run_with_data(Millis{9'000}, 5);
  world.expect_on(0);
  EXPECT_EQ(world.node(0).changes().back(), "DEGRADED>ATTACHED EXIT_DEGRADED_MODE");
  EXPECT_EQ(world.engine(1).counters().reattach_requests, 0U);
}

TEST(EngineQuality, JitterAndLatencyAreJudgedUnderTraffic) {
  for (const bool jitter : {true, false}) {
    SCOPED_TRACE(jitter ? "jitter" : "latency");
    Jumper world(
        1,
        [&](size_t, EngineConfig& config) {
          auto& bounds = config.policy.volatility;
          (jitter ? bounds.jitter_volatile : bounds.latency_volatile) = Millis{60};
        },
        true);
    world.run_with_data(Millis{3'000}, 5);
    world.weather.delay_ms = jitter ? 5 : 50;
    world.weather.jitter_ms = jitter ? 200 : 0;
    world.run_with_data(Millis{5'000}, 5);
    const std::string expected =
        std::string("ATTACHED>VOLATILE VOLATILITY_SIGNAL:") + (jitter ? "jitter" : "latency");
    EXPECT_EQ(world.node(0).changes().at(1), expected);
  }
}

World::Adjust failing_back(Millis when_stable) {
  return [when_stable](size_t, EngineConfig& config) {
    config.policy.switching.failback_when_stable = when_stable;
  };
}

TEST(EngineQuality, FailsBackOnceThePreferredPathIsStable) {
  Jumper world(1, failing_back(Millis{3'000}), true);
  world.run_for(Millis{1'000});
  world.cut = {0};
  world.run_with_data(Millis{5'000}, 10);
  world.expect_on(1);
  world.cut = {};
  world.run_with_data(Millis{2'500}, 10);
  world.expect_on(1);
  world.run_with_data(Millis{4'000}, 10);
  world.expect_on(0);
  EXPECT_STREQ(world.node(1).events_of(EventKind::kTransportSwitch).back().cause, "failback");
}

/// It carries no data, so its probes alone have to tell.
TEST(EngineQuality, APreferredPathThatLosesIsNotStable) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Jumper world(
        seed,
        [](size_t, EngineConfig& config) {
          config.policy.switching.failback_when_stable = Millis{10'000};
          config.policy.volatility.loss_volatile_threshold = 0.03;
        },
        true);
    world.cut = {0};
    world.run_with_data(Millis{5'000}, 10);
    world.expect_on(1);
    world.cut = {};
    Random random{seed};
    world.filter = [&](const Datagram& datagram) {
      return datagram.network() == 0 && random.chance(0.15) ? Fate::kDrop : Fate::kDeliver;
    };
    world.run_with_data(Millis{60'000}, 10);
    world.expect_on(1);
    EXPECT_EQ(world.node(0).events_of(EventKind::kTransportSwitch).size(), 1U) << seed;
    world.filter = nullptr;
    world.run_with_data(Millis{28'000}, 10);
    world.expect_on(0);
  }
}

TEST(EngineQuality, NeverFailsBackWithoutPolicy) {
  Jumper world(1, nullptr, true);
  world.cut = {0};
  world.run_for(Millis{5'000});
  world.cut = {};
  world.run_for(Millis{120'000});
  world.expect_on(1);
}

TEST(EngineQuality, AFailbackThatIsSoonUndoneWaitsLongerNextTime) {
  Jumper world(1, failing_back(Millis{2'000}), true);
  size_t switches = 0;
  for (int round = 0; round < 6; ++round) {
    world.cut = {0};
    world.run_for(Millis{4'000});
    world.cut = {};
    world.run_for(Millis{6'000});
  }
  switches = world.node(0).session().switches;
  EXPECT_GE(switches, 2U);
  EXPECT_LE(switches, 8U);
  world.run_for(Millis{120'000});
  world.expect_on(0);
}

TEST(EngineQuality, AnAllUndisturbedSessionMakesNoEvents) {
  Jumper world(1, failing_back(Millis{2'000}), true);
  world.run_with_data(Millis{60'000}, 20);
  world.run_for(Millis{60'000});
  for (const size_t i : {size_t{0}, size_t{1}}) {
    EXPECT_EQ(world.node(i).changes().size(), 1U);
    EXPECT_TRUE(world.node(i).events_of(EventKind::kSecurityEvent).empty());
    EXPECT_TRUE(world.node(i).events_of(EventKind::kAuditEvent).empty());
  }
}

TEST(EngineQuality, ProbesAreAsLongAsTheTunnelsPackets) {
  Jumper world(1, nullptr, true);
  world.sent.clear();
  world.run_for(Millis{10'000});
  const size_t full = 1'400 + wire::kTransportOverhead;
  EXPECT_GT(std::ranges::count_if(world.sent,
                                  [&](const Datagram& datagram) {
                                    return datagram.from == 0 && datagram.bytes.size() == full;
                                  }),
            0);
  // A path that can't carry them is probed by what it carries.
  Jumper narrow(
      1, [](size_t, EngineConfig& config) { config.policy.transport.max_candidate_count = 1; },
      true);
  narrow.filter = [](const Datagram& datagram) {
    return datagram.network() != 0 && datagram.bytes.size() > 1'000 ? Fate::kDrop : Fate::kDeliver;
  };
  narrow.set_candidates({0, 1});
  narrow.run_for(Millis{30'000});
  narrow.lose(0);
  narrow.run_for(Millis{15});  // one round trip does for a warm one
  narrow.expect_on(1);
}

// ---- A NAT that changes, an interface that goes.

TEST(EngineQuality, ANewSourceIsToldToReattach) {
  Jumper world;
  world.run_for(Millis{2'000});
  world.rewrite = [](Datagram& datagram) {
    if (datagram.from == 0) datagram.path.remote.port = 4'444;
  };
  // What the old mapping gets is lost; what the new one gets arrives.
  world.filter = [](const Datagram& datagram) {
    const bool to_old = datagram.from == 1 && datagram.path.local.port == 51'900 &&
                        datagram.path.remote.port == 51'900;
    return to_old ? Fate::kDrop : Fate::kDeliver;
  };
  const Millis since = world.now;
  Path seen = path_between(1, 0);
  seen.remote.port = 4'444;
  world.sent.clear();
  world.engine(1).source_changed(world.now, seen, ReceiverIndex{world.node(0).tx.at(0).peer_index});
  ASSERT_EQ(world.sent.size(), 1U);
  EXPECT_EQ(world.sent[0].bytes.size(), kSealed<wire::Heartbeat>) << "is the bound source silent?";
  world.run_for(Millis{250});
  EXPECT_TRUE(std::ranges::any_of(world.sent, [](const Datagram& each) {
    return is_control_of(each, 1, kSealed<wire::PolicyHint>);
  }));
  world.filter = nullptr;
  world.run_for(Millis{40});
  EXPECT_EQ(world.node(1).session().path.remote.port, 4'444);
  EXPECT_EQ(world.node(0).session().id, world.id);
  EXPECT_STREQ(world.node(1).events_of(EventKind::kTransportSwitch).back().cause, "rebind");
  EXPECT_LT((world.now - since).value, 300U);
  // No flood of signals makes more than one hint a second.
  world.sent.clear();
  for (int i = 0; i < 1'000; ++i) {
    world.engine(1).source_changed(world.now, path_between(1, 0, 2),
                                   ReceiverIndex{world.node(0).tx.at(0).peer_index});
  }
  EXPECT_LE(world.sent.size(), 1U);
}

TEST(EngineQuality, AResponderThatLosesItsInterfaceTellsTheInitiatorElsewhere) {
  Jumper world(1, nullptr, true);
  world.run_for(Millis{1'000});
  world.cut = {0};
  world.engine(1).interface_lost(world.now, 0);
  EXPECT_EQ(world.node(1).session().state, State::kRecovering);
  world.run_for(Millis{30});
  world.expect_on(1);
}

// ---- Sleep.

World::Adjust sleeping(Millis idle_max) {
  return [idle_max](size_t, EngineConfig& config) {
    config.policy.session.idle_max = idle_max;
    config.policy.session.transport_loss_ttl = Millis{3'000};
  };
}

TEST(EngineQuality, AnIdleInitiatorSleepsByAgreementForTenTtls) {
  Jumper world(1, sleeping(Millis{30'000}));
  world.run_with_data(Millis{1'000}, 50);
  world.run_for(Millis{10'000});
  EXPECT_TRUE(world.node(0).session().idle);
  EXPECT_TRUE(world.node(1).session().idle);
  world.sent.clear();
  world.run_for(Millis{29'000});
  EXPECT_LE(world.sent.size(), 4U);
  world.cut = {0, 1, 2};
  world.run_for(Millis{30'000});  // ten TTLs without a sign
  world.cut = {0};
  world.lose(0);
  world.run_for(Millis{200});
  world.expect_on(1);
  EXPECT_FALSE(world.node(1).session().idle);
}

TEST(EngineQuality, DataWakesItAtOnce) {
  Jumper world(1, sleeping(Millis{30'000}));
  world.run_for(Millis{20'000});
  ASSERT_TRUE(world.node(1).session().idle);
  world.node(0).send_data(kPeer);
  world.engine(0).wake(world.now, kPeer);
  EXPECT_FALSE(world.node(0).session().idle);
  world.run_for(Millis{20});
  EXPECT_FALSE(world.node(1).session().idle);
  world.cut = {0};
  world.run_for(Millis{4'000});  // awake, death shows as fast as ever
  world.expect_on(1);
}

TEST(EngineQuality, WithoutAnAnswerNobodySlowsDown) {
  Jumper world(1, sleeping(Millis{30'000}));
  world.filter = [](const Datagram& datagram) {
    return is_control_of(datagram, 1, kSealed<wire::Idle>) ? Fate::kDrop : Fate::kDeliver;
  };
  world.run_for(Millis{20'000});
  EXPECT_FALSE(world.node(0).session().idle);
  EXPECT_EQ(world.node(0).changes().size(), 1U);
  EXPECT_EQ(world.node(1).changes().size(), 1U);
}

TEST(EngineQuality, PolicyDecidesHowLongOneMaySleep) {
  Jumper world(1, [](size_t node, EngineConfig& config) {
    config.policy.session.idle_max = Millis{node == 0 ? 30'000U : 0U};
  });
  world.run_for(Millis{20'000});
  EXPECT_FALSE(world.node(0).session().idle);
  EXPECT_FALSE(world.node(1).session().idle);
}

/// Which end allows it from the start, and which by a reload of a living session's policy.
TEST(EngineQuality, AReloadLetsALivingSessionSleep) {
  struct Case {
    const char* name;
    Millis before[2];
  };
  constexpr Millis kSleep{30'000};
  const Case cases[] = {{"the client's", {Millis{0}, kSleep}},
                        {"the gateway's", {kSleep, Millis{0}}},
                        {"both", {Millis{0}, Millis{0}}},
                        {"a longer one", {Millis{5'000}, Millis{5'000}}}};
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    Jumper world(1, [&](size_t node, EngineConfig& config) {
      config.policy.session.idle_max = each.before[node];
    });
    world.run_with_data(Millis{1'000}, 50);
    world.run_for(Millis{20'000});
    for (const size_t node : {size_t{1}, size_t{0}}) {
      if (each.before[node] == kSleep) continue;
      Policy policy = world.engine(node).policy();
      ++policy.version;
      policy.session.idle_max = kSleep;
      world.engine(node).set_policy(world.now, policy);
    }
    world.run_for(Millis{65'000});  // the client asks once a minute
    for (const size_t node : {size_t{0}, size_t{1}})
      EXPECT_TRUE(world.node(node).session().idle) << node;
    world.sent.clear();
    world.run_for(Millis{29'000});
    EXPECT_LE(world.sent.size(), 4U);
  }
}

// ---- Reload.

TEST(EngineQuality, AReloadIsObeyedAtOnceAndRewritesNothing) {
  Jumper world;
  const std::string before = world.node(1).json_lines();
  Policy policy = world.engine(1).policy();
  policy.version = 2;
  policy.session.max_lifetime = Millis{60'000};
  world.engine(1).set_policy(world.now, policy);
  EXPECT_EQ(world.engine(1).policy().version, 2U);
  EXPECT_EQ(world.node(1).json_lines().substr(0, before.size()), before);
  const Event loaded = world.node(1).events.back();
  EXPECT_EQ(loaded.kind, EventKind::kConfigEvent);
  EXPECT_EQ(loaded.reason, Reason::kConfigLoaded);
  EXPECT_EQ(loaded.policy_version, 2U);
  world.run_for(Millis{61'000});
  EXPECT_EQ(world.node(1).changes().at(1), "ATTACHED>TERMINATED TTL_SESSION_EXPIRED");
}

TEST(EngineQuality, ARefusedReloadKeepsSessionsAndDeniesNewOnes) {
  World world(1, nullptr, 3);
  world.connect(0, 1);
  world.engine(1).deny_new_sessions(world.now);
  EXPECT_EQ(world.node(1).events.back().reason, Reason::kConfigRefused);
  world.run_for(Millis{20'000});
  expect_one_session(world, 0, 1);
  world.dial(2, 1);
  world.run_for(Millis{3'000});
  EXPECT_TRUE(world.node(2).sessions().empty());
  EXPECT_GT(count_reason(world.node(1), EventKind::kSecurityEvent, Reason::kHandshakeFail), 0U);
  world.engine(1).set_policy(world.now, world.engine(1).policy());
  world.run_for(Millis{6'000});
  EXPECT_EQ(world.node(2).sessions().size(), 1U);
  EXPECT_EQ(world.node(1).sessions().size(), 2U);
}

}  // namespace
}  // namespace jvpn
