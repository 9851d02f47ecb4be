// Recovery from a dead path isn't denied by what came before: planned jumps, NATs that change,
// somebody who repeats packets, or an outage that ends with all that was sent meanwhile.
#include <gtest/gtest.h>

#include "tests/support/jumper.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

using namespace test;

TEST(Recovery, SwitchesByPlanDoNotDenyOneFromDeath) {
  Jumper world(
      1, [](size_t, EngineConfig& config) { config.policy.switching.max_switches_per_min = 2; });
  for (const size_t network : {size_t{1}, size_t{2}}) {
    world.run_for(Millis{2'000});
    world.jump(network);
    world.run_for(Millis{100});
    world.expect_on(network);
  }
  world.lose(2);
  world.run_for(Millis{300});
  EXPECT_NE(world.network_of(0), 2U);
  world.expect_on(world.network_of(0));
  EXPECT_EQ(world.node(0).changes().back(), "RECOVERING>ATTACHED TRANSPORT_SWITCH_OK");
}

TEST(Recovery, ItsOwnBudgetIsABoundStill) {
  Jumper world(
      1, [](size_t, EngineConfig& config) { config.policy.switching.max_switches_per_min = 2; });
  for (const size_t network : {size_t{0}, size_t{1}}) {
    world.lose(network);
    world.run_for(Millis{100});
    world.expect_on(network + 1);
  }
  world.cut.clear();
  world.set_candidates({0, 1, 2});
  world.lose(2);
  world.run_for(Millis{1'000});
  EXPECT_EQ(world.node(1).session().switches, 2U);
}

ReceiverIndex bound_index(Jumper& world) {
  return world.node(0).tx.at(0).peer_index;
}

/// A NAT before node 0. What is sent to a mapping that it has forgotten is lost.
struct Nat {
  explicit Nat(Jumper& world) {
    world.rewrite = [this](Datagram& datagram) {
      if (datagram.network() != 0) return;
      if (datagram.from == 0) {
        datagram.path.remote.port = port;
      } else {
        forgotten = datagram.path.local.port != port;
        datagram.path.local.port = 51'900;
      }
    };
    world.filter = [this](const Datagram& datagram) {
      return datagram.from == 1 && datagram.network() == 0 && forgotten ? Fate::kDrop
                                                                        : Fate::kDeliver;
    };
  }
  uint16_t port = 51'900;
  bool forgotten = false;
};

TEST(Recovery, RebindsHaveABudgetAndABackoffOfTheirOwn) {
  Jumper world(1, [](size_t, EngineConfig& config) {
    config.policy.switching.max_switches_per_min = 1;
    config.policy.volatility.detection =
        Detection::kFixed;  // the old source isn't found dead first
  });
  Nat nat(world);
  std::vector<uint64_t> took;
  for (uint16_t port = 40'000; port < 40'004; ++port) {
    nat.port = port;
    const Millis since = world.now;
    const uint64_t before = world.node(1).session().switches;
    while (world.node(1).session().switches == before && (world.now - since).value < 20'000) {
      const Path seen{0, endpoint_of(1), {endpoint_of(0).address, port}};
      world.engine(1).source_changed(world.now, seen, bound_index(world));
      world.run_with_data(Millis{20}, 20);
    }
    EXPECT_EQ(world.node(1).session().path.remote.port, port);
    EXPECT_EQ(world.node(0).session().state, State::kAttached);
    took.push_back((world.now - since).value);
    world.run_with_data(Millis{300}, 20);
  }
  EXPECT_LT(took[0], 200U);
  EXPECT_LT(took[1], 200U);
  EXPECT_GT(took[3], 500U) << "each rebind doubles the wait for the next";
  world.run_for(Millis{2'000});
  world.jump(1);
  world.run_for(Millis{200});
  world.expect_on(1);
  EXPECT_EQ(world.engine(1).counters().reattach_refused, 0U) << "no switch was charged";
}

TEST(Recovery, WhoRepeatsPacketsFromElsewhereCausesNoRebind) {
  Jumper world;
  Path elsewhere = path_between(1, 0);
  elsewhere.remote.port = 4'444;
  for (int i = 0; i < 100; ++i) {
    world.engine(1).source_changed(world.now, elsewhere, bound_index(world));
    world.run_with_data(Millis{100}, 20);
  }
  world.expect_on(0);
  EXPECT_EQ(world.node(1).session().switches, 0U);
  EXPECT_EQ(world.node(1).changes().size(), 1U);
  EXPECT_TRUE(std::ranges::none_of(world.sent, [&](const Datagram& each) {
    return each.from == 1 && each.path.local == elsewhere.remote;
  })) << "nothing was said to that source";
}

/// An outage of so long ends with all that node 0 sent meanwhile: a queue on the way kept it.
void end_outage(Jumper& world, Millis outage, bool reversed) {
  std::vector<Datagram> kept;
  world.filter = [&](const Datagram& datagram) {
    if (datagram.from == 0 && datagram.type() == wire::MessageType::kControl)
      kept.push_back(datagram);
    return Fate::kDrop;
  };
  world.run_for(outage);
  world.filter = nullptr;
  if (reversed) std::ranges::reverse(kept);
  const uint64_t requests = world.engine(1).counters().reattach_requests;
  for (const Datagram& each : kept) world.deliver(each);
  EXPECT_GT(world.engine(1).counters().reattach_requests - requests, 15U) << "a bunch of requests";
}

TEST(Recovery, RepeatsThatComeInABunchAreNoAbuse) {
  for (const bool reversed : {false, true}) {
    for (const bool warm : {false, true}) {
      SCOPED_TRACE(std::string(reversed ? "reversed" : "in order") + (warm ? ", warm" : ", cold"));
      Jumper world(1, nullptr, warm);
      world.run_for(Millis{30'000});
      end_outage(world, Millis{4'500}, reversed);
      const Millis since = world.now;
      while (world.node(0).session().state != State::kAttached &&
             (world.now - since).value < 5'000) {
        world.run_for(Millis{10});
      }
      EXPECT_LT((world.now - since).value, 500U);
      world.run_for(Millis{100});
      expect_one_session(world);
      EXPECT_EQ(world.node(0).session().id, world.id);
      EXPECT_TRUE(world.node(1).events_of(EventKind::kSecurityEvent).empty());
      EXPECT_EQ(count_reason(world.node(1), EventKind::kReattach, Reason::kRateLimited), 0U);
    }
  }
}

TEST(Budgets, AFloodOfRekeysLeavesTheOtherPeersAlone) {
  World world(
      1,
      [](size_t node, EngineConfig& config) {
        config.rekey_after = node == 0 ? Millis{1} : Millis{2'000};  // node 0 rekeys without end
      },
      3);
  world.connect(0, 1);
  world.connect(2, 1);
  const auto session_with = [&](size_t other) {
    for (const SessionView& view : world.node(1).sessions()) {
      if (view.peer == World::peer(1, other)) return view;
    }
    ADD_FAILURE() << "no session with node " << other;
    return SessionView{};
  };
  const uint64_t before = session_with(2).rekeys;
  const uint64_t flood = session_with(0).rekeys;
  for (int second = 0; second < 20; ++second) {
    world.run_for(Millis{1'000});
    EXPECT_EQ(session_with(2).state, State::kAttached);
    EXPECT_LT((world.now - session_with(2).last_authentic).value, 1'000U);
  }
  EXPECT_GE(session_with(2).rekeys - before, 9U);
  EXPECT_LE(session_with(0).rekeys - flood, 20U * 4 + 4);
  EXPECT_GT(world.engine(1).counters().over_budget[static_cast<size_t>(Input::kRekey)], 0U);
}

TEST(Budgets, OneSessionsFloodTakesNothingFromAll) {
  Budgets flooding;
  Budgets quiet;
  Budgets all;
  const Policy policy;
  const Millis now{1'000'000};
  uint32_t admitted = 0;
  for (int i = 0; i < 100'000; ++i) admitted += admit(now, policy, Input::kRekey, flooding, all);
  EXPECT_EQ(admitted, kInputBudgets[static_cast<size_t>(Input::kRekey)].per_session(policy));
  EXPECT_TRUE(admit(now, policy, Input::kRekey, quiet, all));
  EXPECT_TRUE(admit(now, policy, Input::kHeartbeat, flooding, all)) << "each class has its own";
}

}  // namespace
}  // namespace jvpn
