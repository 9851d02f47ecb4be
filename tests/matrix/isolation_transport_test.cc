// Isolation section 2: a transport may fail in any way; the session's identity, its keys and its
// bounds are none of the transport's business.
#include <set>

#include "tests/matrix/rig.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

using wire::ControlType;

constexpr Millis kTick{5};

struct PathFailure {
  const char* name;
  void (*inflict)(Rig&);
  const char* first_change;  ///< at the gateway
};

constexpr PathFailure kFailures[] = {
    {"loss",
     [](Rig& rig) {
       rig.filter = [n = 0U](const Datagram& each) mutable {
         return !(each.is_data() && each.path == 0 && ++n % 3 == 0);
       };
     },
     "ATTACHED>VOLATILE VOLATILITY_SIGNAL:loss"},
    {"latency", [](Rig& rig) { rig.wire(0).delay = Millis{300}; },
     "ATTACHED>VOLATILE VOLATILITY_SIGNAL:latency"},
    {"NAT rebinding",
     [](Rig& rig) {
       rig.wire(0).outside = Endpoint{IpAddress::v4({192, 0, 2, 200}), 5'555};
     },
     "ATTACHED>RECOVERING RECOVERY_START"},
    {"gateway's link", [](Rig& rig) { rig.gateway().links[0] = false; },
     "ATTACHED>RECOVERING RECOVERY_START"},
    {"client's link", [](Rig& rig) { rig.lose(0); }, "ATTACHED>RECOVERING RECOVERY_START"},
    {"silence", [](Rig& rig) { rig.cut({0}); }, "ATTACHED>VOLATILE VOLATILITY_SIGNAL"},
};

RigOptions judging_latency() {
  RigOptions options;
  options.policy.volatility.latency_volatile = Millis{200};
  options.policy.volatility.detection = Detection::kFixed;  // judged before the path is found dead
  options.policy.transport.candidate_validation_ttl = Millis{10'000};  // a choice needs figures
  return options;
}

/// Lives through one failure, with data all the while.
void suffer(Rig& rig, const PathFailure& failure) {
  rig.connect();
  rig.run_with_data(Millis{6'000}, Millis{20}, kTick);
  failure.inflict(rig);
  rig.run_with_data(Millis{15'000}, Millis{20}, kTick);
  rig.filter = nullptr;
}

TEST(Isolation2, identity_not_corrupted) {
  for (const PathFailure& failure : kFailures) {
    SCOPED_TRACE(failure.name);
    Rig rig(judging_latency());
    SessionId id;
    rig.after_step = [&] {
      const SessionId now = rig.at_gateway().id;
      if (id == SessionId{}) id = now;
      EXPECT_EQ(now, id);
    };
    suffer(rig, failure);
    EXPECT_EQ(rig.at_client().id, id);
    EXPECT_TRUE(rig.attached());
    EXPECT_TRUE(rig.serves());
  }
}

TEST(Isolation2, crypto_context_kept) {
  for (const PathFailure& failure : kFailures) {
    SCOPED_TRACE(failure.name);
    Rig rig(judging_latency());
    suffer(rig, failure);
    EXPECT_EQ(rig.count(ControlType::kRekeyInitiation), 0U);
    const std::vector<TxInstall>& installs = rig.client().installs();
    for (size_t i = 1; i < installs.size(); ++i) {
      EXPECT_EQ(installs[i].traffic_key, installs[0].traffic_key);
      EXPECT_GE(installs[i].first_lane, installs[i - 1].first_lane);
      if (installs[i].first_lane == installs[i - 1].first_lane) {  // data went ahead of the commit
        EXPECT_EQ(installs[i].path, installs[i - 1].path);
      }
    }
    // No nonce of either key is ever used twice; a nonce is index and counter.
    std::set<std::tuple<bool, bool, uint32_t, uint64_t>> nonces;
    for (const Datagram& each : rig.sent) {
      if (!each.is_data() && each.type() != wire::MessageType::kControl) continue;
      const wire::TransportHeader header = each.header();
      EXPECT_TRUE(nonces.emplace(each.up, each.is_data(), header.receiver, header.counter).second);
    }
    EXPECT_GT(nonces.size(), 1'000U);
  }
}

TEST(Isolation2, no_silent_reset) {
  for (const PathFailure& failure : kFailures) {
    SCOPED_TRACE(failure.name);
    Rig rig(judging_latency());
    suffer(rig, failure);
    size_t handshakes = 0;
    for (const Datagram& each : rig.sent) {
      handshakes += each.type() == wire::MessageType::kInitiation;
      handshakes += each.type() == wire::MessageType::kResponse;
    }
    EXPECT_EQ(handshakes, 2U);
    // Every version is told of, none twice.
    EXPECT_EQ(rig.gateway().events().changes().size(), rig.at_gateway().version.value);
    EXPECT_EQ(rig.client().events().changes().size(), rig.at_client().version.value);
  }
}

/// Paths die one after the other, faster than the policy lets a session move.
TEST(Isolation2, policy_limits_kept) {
  RigOptions options;
  options.policy.switching.max_switches_per_min = 4;
  // Both ends find each death themselves, so one kind of budget counts all switches.
  options.policy.volatility.detection = Detection::kFixed;
  options.policy.session.transport_loss_ttl = Millis{120'000};
  options.policy.switching.max_recovery_attempts = 2;
  Rig rig(options);
  rig.connect();
  const SessionId id = rig.at_gateway().id;
  std::vector<Millis> switches;
  rig.after_step = [&] {
    if (rig.at_gateway().switches > switches.size()) switches.push_back(rig.now());
  };
  for (int death = 0; death < 24; ++death) {
    rig.mend_all();
    rig.cut({static_cast<size_t>(death) % kPaths, static_cast<size_t>(death + 1) % kPaths});
    rig.run_with_data(Millis{5'000}, Millis{50}, kTick);
  }
  rig.mend_all();
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{70'000}));
  EXPECT_EQ(rig.at_gateway().id, id);
  ASSERT_GE(switches.size(), 8U);
  for (size_t i = 4; i < switches.size(); ++i) {
    EXPECT_GE(switches[i] - switches[i - 4], Millis{60'000});
  }
  const EventBook& events = rig.gateway().events();
  EXPECT_GE(events.count(EventKind::kAuditEvent, Reason::kAuditPolicyLimitTriggered), 1U);
}

TEST(Isolation2, to_volatile) {
  for (const PathFailure& failure : kFailures) {
    SCOPED_TRACE(failure.name);
    Rig rig(judging_latency());
    suffer(rig, failure);
    const auto changes = rig.gateway().events().changes();
    ASSERT_GE(changes.size(), 2U);
    EXPECT_EQ(changes[1], failure.first_change);
  }
}

/// No request goes out before the recovery it belongs to was told.
TEST(Isolation2, explicit_recovery) {
  for (const bool silent : {false, true}) {
    Rig rig;
    rig.connect();
    size_t requests = 0;
    rig.filter = [&](const Datagram& each) {
      if (each.control != ControlType::kReattachRequest) return true;
      ++requests;
      EXPECT_EQ(rig.client().events().count(EventKind::kStateChange, Reason::kRecoveryStart), 1U);
      return true;
    };
    if (silent) {
      rig.cut({0});
    } else {
      rig.lose(0);
    }
    rig.run_with_data(Millis{4'000}, Millis{20});
    rig.filter = nullptr;
    EXPECT_GE(requests, 1U);
    rig.expect_on(1);
    const EventBook& events = rig.gateway().events();
    EXPECT_EQ(events.count(EventKind::kStateChange, Reason::kRecoveryStart), 1U);
    EXPECT_EQ(events.count(EventKind::kAuditEvent, Reason::kAuditRecoveryTimeline), 1U);
    EXPECT_TRUE(rig.serves());
  }
}

/// Whoever wants to jump all the time may, as often as policy says.
TEST(Isolation2, bounded_switching) {
  Rig rig;
  rig.connect();
  std::vector<Millis> switches;
  rig.after_step = [&] {
    if (rig.at_gateway().switches > switches.size()) switches.push_back(rig.now());
  };
  for (int wish = 0; wish < 1'300; ++wish) {
    const std::string at = rig.at_client().path;
    const size_t target = at == to_string(rig.path(1)) ? 2 : 1;
    rig.wish_jump(target);
    rig.run_for(Millis{100}, kTick);
  }
  const Policy policy;
  ASSERT_GT(switches.size(), policy.switching.max_switches_per_min);
  for (size_t i = 1; i < switches.size(); ++i) {
    EXPECT_GE(switches[i] - switches[i - 1], policy.switching.switch_cooldown);
    if (i < policy.switching.max_switches_per_min) continue;
    EXPECT_GE(switches[i] - switches[i - policy.switching.max_switches_per_min], Millis{60'000});
  }
  EXPECT_TRUE(rig.serves());
}

}  // namespace
}  // namespace jvpn::test
