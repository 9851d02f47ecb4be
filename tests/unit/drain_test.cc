// A gateway is drained: its sessions go on at another of its cluster, on purpose.
//
//   node 0, client ──┬── node 1, gateway 0 ──┐
//                    └── node 2, gateway 1 ──┴── KvStore, 4 ms away
#include <algorithm>
#include <memory>

#include "common/limits.h"
#include "tests/support/engine_world.h"
#include "tests/support/jumper.h"
#include "tests/support/rooms.h"
#include "tests/support/shared_store.h"

namespace jvpn {
namespace {

using engine::DrainOrder;
using session::OwnershipAnswer;
using session::OwnershipCall;
using test::Datagram;
using test::Fate;
using test::kPeer;
using test::World;
using wire::MessageType;

constexpr Millis kRoundTrip{4};

class DrainedCluster {
 public:
  /// `known`: gateways that the client knows.
  explicit DrainedCluster(size_t known = 2) : known_(known), world(1, adjust(), 3) {
    world.one_peer = true;
    while (!stores_[1]->ready() || !stores_[2]->ready()) step();
    std::vector<Path> paths;
    for (size_t node = 1; node <= known; ++node) paths.push_back(test::path_between(0, node));
    world.engine(0).set_candidates(world.now, kPeer, paths);
    world.engine(0).dial(world.now, kPeer, paths.front());
    run(Millis{200});
  }
  void step() {
    for (auto& [node, store] : stores_) store->pump(world.now);
    world.run_for(Millis{1});
  }
  /// Data flows both ways, a packet every 2 ms.
  void run(Millis span) {
    for (const Millis end = world.now + span; world.now < end;) {
      if (world.now.value % 2 == 0) send_data();
      step();
    }
  }
  void send_data() {
    for (const size_t node : {size_t{0}, size_t{1}, size_t{2}}) {
      for (const auto& [peer, install] : world.node(node).tx) {
        world.node(node).send_data(PeerId{peer});
        ++sent;
      }
    }
  }
  /// The client's program begins anew, and dials that gateway.
  void forget_client(size_t gateway) {
    world.restart(0, adjust());
    world.engine(0).dial(world.now, kPeer, test::path_between(0, gateway));
  }
  SessionView client() { return world.node(0).session(); }
  /// Which node the client's data goes to.
  size_t at() { return client().path.remote.address.bytes[3] - size_t{1}; }
  size_t hints() {
    return world.control_types[static_cast<unsigned>(wire::ControlType::kPolicyHint)];
  }
  size_t initiations_to(size_t node) const {
    return static_cast<size_t>(std::ranges::count_if(world.sent, [&](const Datagram& each) {
      return each.from == 0 && each.to == node && each.type() == MessageType::kInitiation;
    }));
  }
  uint64_t delivered() {
    return world.node(0).delivered + world.node(1).delivered + world.node(2).delivered;
  }
  engine::Admission drain(size_t node, DrainOrder order) {
    return world.engine(node).admission(world.now, order);
  }

 private:
  World::Adjust adjust() {
    return [this](size_t node, EngineConfig& config) {
      config.peers.resize(1);
      if (node == 0) {
        for (size_t gateway = 0; gateway < known_; ++gateway)
          config.peers[0].gateways.push_back(
              {test::endpoint_of(gateway + 1), GatewayNumber{static_cast<uint8_t>(gateway)}});
        return;
      }
      if (node == 1) key_ = std::make_unique<SecretKey>(config.private_key);
      config.private_key = *key_;
      stores_[node] =
          std::make_unique<test::SharedStore>(keys_, "gw" + std::to_string(node), node, kRoundTrip);
      config.ownership = stores_[node].get();
    };
  }

  size_t known_;
  test::KvStore keys_;
  std::unique_ptr<SecretKey> key_;
  std::map<size_t, std::unique_ptr<test::SharedStore>> stores_;

 public:
  World world;
  uint64_t sent = 0;  ///< packets
};

/// The client has forgotten it, so nobody claims it: who takes its place tells that it has ended.
TEST(Drain, ASessionThatANewOneReplacesElsewhereIsToldToHaveEnded) {
  DrainedCluster cluster;
  const SessionId id = cluster.client().id;
  cluster.forget_client(2);
  cluster.run(Millis{3'000});
  ASSERT_EQ(cluster.client().state, State::kAttached);
  ASSERT_NE(cluster.client().id, id);
  const auto rows = cluster.world.node(2).events_of(EventKind::kStateChange);
  const auto ends = std::ranges::count_if(rows, [&](const session::Event& row) {
    return row.session == id && row.to == State::kTerminated &&
           row.reason == Reason::kPolicyTermination;
  });
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(count_reason(cluster.world.node(2), EventKind::kAuditEvent,
                         Reason::kAuditPolicyLimitTriggered),
            0U);
}

TEST(Drain, TheSessionGoesOnAtAnotherWithoutALostPacket) {
  DrainedCluster cluster;
  ASSERT_EQ(cluster.at(), 1U);
  cluster.run(Millis{2'000});
  cluster.world.run_for(Millis{20});  // what is on its way
  const SessionId id = cluster.client().id;
  const uint64_t sent = cluster.sent, delivered = cluster.delivered();
  EXPECT_EQ(cluster.drain(1, DrainOrder::kBegin).left, 1U);
  const Millis begun = cluster.world.now;
  while (cluster.drain(1, DrainOrder::kNone).left != 0) {
    ASSERT_LT(cluster.world.now - begun, Millis{2'000});
    cluster.run(Millis{2});
  }
  EXPECT_LE(cluster.world.now - begun, Millis{200});
  while (cluster.at() != 2) {
    ASSERT_LT(cluster.world.now - begun, Millis{2'000});
    cluster.run(Millis{2});
  }
  cluster.run(Millis{1'000});
  cluster.world.run_for(Millis{20});  // what is on its way
  EXPECT_EQ(cluster.client().id, id);
  EXPECT_EQ(cluster.client().state, State::kAttached);
  EXPECT_EQ(cluster.world.node(2).session().state, State::kAttached);
  EXPECT_EQ(cluster.world.node(2).session().id, id);
  EXPECT_EQ(cluster.delivered() - delivered, cluster.sent - sent) << "each packet was opened";
  EXPECT_EQ(cluster.world.node(0).lost + cluster.world.node(1).lost + cluster.world.node(2).lost,
            0U);
  EXPECT_EQ(
      count_reason(cluster.world.node(1), EventKind::kOwnershipChange, Reason::kSessionParked), 1U);
  EXPECT_EQ(
      count_reason(cluster.world.node(2), EventKind::kOwnershipChange, Reason::kSessionResumed),
      1U);
  for (const Reason reason : {Reason::kDrainBegun, Reason::kDrainDone})
    EXPECT_EQ(count_reason(cluster.world.node(1), EventKind::kConfigEvent, reason), 1U);
  EXPECT_EQ(cluster.initiations_to(1), 1U) << "the first one: the session was never in doubt";
}

/// Packets of old keys come no more once the other gateway's are there, but for those on their way.
TEST(Drain, TheClientLeavesTheOldKeysSoon) {
  DrainedCluster cluster;
  cluster.drain(1, DrainOrder::kBegin);
  while (cluster.at() != 2) cluster.run(Millis{2});
  EXPECT_EQ(cluster.world.node(0).generations(), 2U);
  cluster.run(Policy{}.switching.drain + Millis{10});
  EXPECT_EQ(cluster.world.node(0).generations(), 1U);
  cluster.run(Policy{}.switching.recovery_attempt);
  EXPECT_EQ(cluster.world.node(1).generations(), 0U);
}

TEST(Drain, WhoKnowsNoOtherGatewayStays) {
  DrainedCluster cluster(1);
  cluster.drain(1, DrainOrder::kBegin);
  cluster.run(Millis{20'000});
  EXPECT_EQ(cluster.client().state, State::kAttached);
  EXPECT_EQ(cluster.drain(1, DrainOrder::kNone).left, 1U);
  EXPECT_EQ(cluster.hints(), 5U) << "ever more rarely: after 0, 1, 3, 7 and 15 s";
  EXPECT_EQ(cluster.initiations_to(1), 1U);
}

TEST(Drain, NothingBeginsUntilItIsUndone) {
  DrainedCluster cluster(1);
  cluster.drain(1, DrainOrder::kBegin);
  cluster.world.engine(0).terminate(cluster.world.now, kPeer, Detail::kOperator);
  cluster.run(Millis{100});
  EXPECT_EQ(cluster.drain(1, DrainOrder::kNone).left, 0U);
  cluster.world.engine(0).dial(cluster.world.now, kPeer, test::path_between(0, 1));
  cluster.run(Millis{3'000});
  EXPECT_TRUE(cluster.world.node(1).sessions().empty());
  const auto refused = cluster.world.node(1).events_of(EventKind::kSecurityEvent);
  ASSERT_FALSE(refused.empty());
  EXPECT_EQ(refused.front().reason, Reason::kHandshakeFail);
  EXPECT_EQ(refused.front().detail, Detail::kDraining);
  EXPECT_FALSE(cluster.drain(1, DrainOrder::kEnd).draining);
  cluster.run(Millis{3'000});
  EXPECT_EQ(cluster.client().state, State::kAttached);
  EXPECT_EQ(count_reason(cluster.world.node(1), EventKind::kConfigEvent, Reason::kDrainEnded), 1U);
}

/// The other gateway is dead, or drains as well: the session stays, and is asked for later.
TEST(Drain, WhenNoOtherAnswersTheSessionStays) {
  DrainedCluster cluster;
  bool dead = true;
  cluster.world.filter = [&](const Datagram& each) {
    return dead && (each.to == 2 || each.from == 2) ? Fate::kDrop : Fate::kDeliver;
  };
  cluster.drain(1, DrainOrder::kBegin);
  cluster.run(Millis{6'000});
  EXPECT_EQ(cluster.client().state, State::kAttached);
  EXPECT_EQ(cluster.at(), 1U);
  EXPECT_LE(cluster.initiations_to(2), 15U);
  dead = false;
  cluster.run(Millis{10'000});
  EXPECT_EQ(cluster.at(), 2U);
}

TEST(Drain, ACopyOfTheRequestMovesNothing) {
  DrainedCluster cluster;
  cluster.drain(1, DrainOrder::kBegin);
  std::optional<Datagram> hint;
  while (!hint) {
    cluster.world.filter = [&](const Datagram& each) {
      const bool is_hint = each.from == 1 && each.type() == MessageType::kControl &&
                           each.bytes.size() == sizeof(wire::PolicyHint) + wire::kTransportOverhead;
      if (is_hint) hint = each;
      return Fate::kDeliver;
    };
    cluster.run(Millis{2});
  }
  cluster.drain(1, DrainOrder::kEnd);
  while (cluster.at() != 2) cluster.run(Millis{2});
  cluster.run(Millis{3'000});
  cluster.drain(2, DrainOrder::kBegin);
  while (cluster.at() != 1) cluster.run(Millis{2});
  cluster.drain(2, DrainOrder::kEnd);
  cluster.run(Millis{3'000});
  const size_t before = cluster.initiations_to(2);
  cluster.world.deliver(*hint);
  Datagram changed = *hint;
  changed.bytes.back() ^= 1;
  cluster.world.deliver(changed);
  cluster.run(Millis{3'000});
  EXPECT_EQ(cluster.initiations_to(2), before);
  EXPECT_EQ(cluster.at(), 1U);
}

/// Hints of later versions are for later versions.
TEST(Drain, AHintThatIsNotKnownDoesNothing) {
  DrainedCluster cluster;
  const size_t before = cluster.hints();
  for (const uint8_t hint : {uint8_t{0}, uint8_t{5}, uint8_t{255}})
    cluster.world.engine(1).ask_jump(cluster.world.now, kPeer, wire::Hint{hint});
  cluster.run(Millis{3'000});
  EXPECT_EQ(cluster.hints(), before + 3);
  EXPECT_EQ(cluster.client().state, State::kAttached);
  EXPECT_EQ(cluster.client().switches, 0U);
  EXPECT_EQ(cluster.initiations_to(1) + cluster.initiations_to(2), 1U);
}

/// The engine keeps everything itself, or a store that no other gateway has.
TEST(Drain, WithoutASharedStoreItIsRefused) {
  World world;
  world.connect();
  const engine::Admission view = world.engine(1).admission(world.now, DrainOrder::kBegin);
  EXPECT_FALSE(view.may_drain);
  EXPECT_FALSE(view.draining);
  EXPECT_EQ(view.left, 1U);
}

/// Two nodes of a cluster and a thousand sessions of the first, whose clients come to the second as
/// fast as hints leave a gateway.
class ManySessions {
 public:
  static constexpr size_t kSessions = 1'000;

  ManySessions() {
    run_until([&] { return a.ready() && b.ready(); });
    for (size_t i = 0; i < kSessions; ++i) {
      OwnershipCall made = call(OwnershipCall::Kind::kAcquire, i);
      made.record.binding_version = BindingVersion{1};
      made.record.ceiling = StateVersion{1'024};
      a.ask(now, made);
    }
    size_t acquired = 0;
    run_until([&] {
      while (const auto reply = a.take())
        acquired += reply->answer == OwnershipAnswer::kCommitted ? 1 : 0;
      return acquired == kSessions;
    });
  }
  void ask_at_b(size_t i) {
    OwnershipCall made = call(OwnershipCall::Kind::kCommit, i);
    made.expected = made.attempted = BindingVersion{1};
    made.next = BindingVersion{2'000};
    made.from_epoch = a.epoch();
    b.ask(now, made);
  }
  /// As engines do.
  void hand_over() {
    while (const auto notice = a.take_notice()) {
      OwnershipCall made = call(OwnershipCall::Kind::kHandOver, 0);
      made.session = notice->session;
      made.record.peer = notice->peer;
      a.ask(now, made);
    }
    while (a.take()) continue;
  }
  void step() {
    a.pump(now);
    b.pump(now);
    now = now + Millis{1};
  }
  void run_until(const std::function<bool()>& done) {
    for (const Millis late = now + Millis{20'000}; !done() && now < late;) step();
    ASSERT_TRUE(done());
  }

  test::KvStore keys;
  Millis now{10'000};
  test::SharedStore a{keys, "a", 1, kRoundTrip};
  test::SharedStore b{keys, "b", 2, kRoundTrip};

 private:
  OwnershipCall call(OwnershipCall::Kind kind, size_t i) {
    OwnershipCall made;
    made.kind = kind;
    made.ticket = ++tickets_;
    made.session.bytes.fill(1);
    made.record.peer.fill(2);
    __builtin_memcpy(made.session.bytes.data(), &i, sizeof i);
    __builtin_memcpy(made.record.peer.data(), &i, sizeof i);
    made.record.id = made.session;
    return made;
  }
  uint64_t tickets_ = 0;
};

/// How long it takes, or that some were refused.
Millis time_to_move_all(bool hurried, uint64_t per_second) {
  ManySessions world;
  world.a.hurry(hurried);
  const Millis begun = world.now;
  size_t asked = 0;
  size_t moved = 0;
  while (moved < ManySessions::kSessions && world.now - begun < Millis{20'000}) {
    for (;
         asked < ManySessions::kSessions && (world.now - begun).value * per_second >= asked * 1'000;
         ++asked)
      world.ask_at_b(asked);
    world.step();
    world.hand_over();
    while (const auto reply = world.b.take()) {
      EXPECT_EQ(reply->answer, OwnershipAnswer::kCommitted);
      ++moved;
    }
  }
  EXPECT_EQ(moved, ManySessions::kSessions);
  return world.now - begun;
}

TEST(Drain, AThousandSessionsAreHandedOverInTwoSeconds) {
  const Millis took = time_to_move_all(true, 1'000);
  EXPECT_LE(took, Millis{2'000});
  EXPECT_GE(took, Millis{1'000}) << "they come for as long";
}

/// Also when all come at once.
TEST(Drain, AThousandAtOnceAreHandedOverInASecond) {
  EXPECT_LE(time_to_move_all(true, 1'000'000), Millis{1'000});
}

TEST(Drain, OneSessionIsHandedOverWithinTheLookAndThePoll) {
  ManySessions world;
  world.a.hurry(true);
  world.run_until([&] { return world.now.value % 97 == 0; });
  for (size_t i = 0; i < 40; ++i) {
    world.ask_at_b(i);
    const Millis begun = world.now;
    bool moved = false;
    world.run_until([&] {
      world.hand_over();
      while (const auto reply = world.b.take())
        moved = moved || reply->answer == OwnershipAnswer::kCommitted;
      return moved;
    });
    EXPECT_LE(world.now - begun, Millis{50 + 50 + 7 * kRoundTrip.value});
    for (size_t pause = 0; pause < i; ++pause) world.step();
  }
}

}  // namespace
}  // namespace jvpn
