// A client that knows several gateways of one cluster: they share a key pair and a store. One has
// the session at a time; when it dies, another goes on with it.
#include <string>

#include "common/limits.h"
#include "tests/support/gateway_cluster.h"

namespace jvpn {
namespace {

using test::Cluster;
using test::Datagram;
using test::expect_one_session_at;
using test::Fate;
using test::kPeer;
using wire::MessageType;

TEST(Gateways, ADeadOnesSessionGoesOnAtAnother) {
  Cluster cluster;
  cluster.connect();
  cluster.world.run_with_data(Millis{2'000}, 10);
  ASSERT_EQ(cluster.at(), 1U);
  const SessionId id = cluster.client().id;
  const StateVersion version = cluster.world.node(1).session().version;
  const BindingVersion binding = cluster.client().binding_version;
  cluster.kill(1);
  cluster.until_lost();
  // A claim is out 250 ms after the death was noticed; all the rest is round trips.
  EXPECT_LE(cluster.until_at(2), Millis{300});
  EXPECT_EQ(cluster.client().id, id);
  expect_one_session_at(cluster, 2);
  EXPECT_GT(cluster.world.node(2).session().version, version);
  EXPECT_GT(cluster.client().binding_version, binding);
  EXPECT_EQ(cluster.world.engine(2).counters().resumes, 1U);
  EXPECT_EQ(count_reason(cluster.world.node(0), EventKind::kStateChange, Reason::kHandshakeOk), 1U);
  for (const size_t node : {size_t{0}, size_t{2}})
    EXPECT_EQ(count_reason(cluster.world.node(node), EventKind::kTransportSwitch,
                           Reason::kTransportSwitchOk),
              1U);
}

TEST(Gateways, WhileAttachedNothingButInquiriesGoesToAnother) {
  Cluster cluster;
  cluster.connect();
  cluster.world.run_with_data(Millis{30'000}, 50);
  EXPECT_EQ(cluster.sent_beside_inquiries(2), 0U);
  EXPECT_GT(cluster.world.control_types[static_cast<unsigned>(wire::ControlType::kPathProbe)], 0U)
      << "the other path to the same gateway is warm";
  cluster.world.engine(0).jump(cluster.world.now, kPeer, test::path_between(0, 2, 0));
  cluster.world.run_with_data(Millis{1'000}, 50);
  EXPECT_FALSE(cluster.world.engine(0).jumps(kPeer));
  cluster.world.engine(0).path_lost(cluster.world.now, kPeer, test::path_between(0, 1, 0));
  cluster.world.run_with_data(Millis{1'000}, 10);
  EXPECT_EQ(cluster.client().path, test::path_between(0, 1, 1)) << "a jump within one gateway";
  EXPECT_EQ(cluster.sent_beside_inquiries(2), 0U);
}

/// However long the session looks for a path, what is sealed under its keys goes to its gateway.
TEST(Gateways, AnotherSeesClaimsAlone) {
  Cluster cluster;
  cluster.connect();
  cluster.dead = {1};  // and its epoch goes on: nobody may take the session over
  cluster.world.run_with_data(Millis{8'000}, 10);
  EXPECT_GE(cluster.sent_to(2, MessageType::kInitiation), 4U);
  EXPECT_EQ(cluster.sent_beside_inquiries(2), cluster.sent_to(2, MessageType::kInitiation));
  EXPECT_LE(cluster.sent_to(2), cluster.sent_to(1, MessageType::kInitiation));
  const SessionId id = cluster.client().id;
  cluster.raise(1);
  cluster.until_at(1);
  EXPECT_EQ(cluster.client().id, id);
}

TEST(Gateways, JumpsGoOnAtTheOther) {
  Cluster cluster;
  cluster.connect();
  cluster.kill(1);
  cluster.until_at(2);
  cluster.raise(1);
  cluster.world.run_with_data(Millis{5'000}, 10);
  const size_t sent = cluster.sent_beside_inquiries(1);
  const size_t other = cluster.client().path.interface == 0 ? 1 : 0;
  cluster.world.engine(0).jump(cluster.world.now, kPeer, test::path_between(0, 2, other));
  cluster.world.run_with_data(Millis{10'000}, 10);
  EXPECT_EQ(cluster.client().path, test::path_between(0, 2, other));
  EXPECT_EQ(cluster.sent_beside_inquiries(1), sent) << "nothing draws it back";
  EXPECT_EQ(cluster.client().state, State::kAttached);
}

TEST(Gateways, TheFirstThatAnswersAtTheStartIsTaken) {
  Cluster cluster(3);
  cluster.dead = {1, 2};
  cluster.world.engine(0).dial(cluster.world.now, kPeer, cluster.paths().front());
  cluster.world.run_for(Millis{2 * (kRetryMs + kRetryMs / 4) + 100});
  ASSERT_EQ(cluster.world.node(0).sessions().size(), 1U);
  EXPECT_EQ(cluster.sent_to(1, MessageType::kInitiation), 1U);
  EXPECT_EQ(cluster.sent_to(2, MessageType::kInitiation), 1U);
  expect_one_session_at(cluster, 3);
}

/// Both are ready to go on with the session. The answer of one is late.
void first_answer_wins(size_t late) {
  const size_t early = 3 - late;
  SCOPED_TRACE("late: node " + std::to_string(late));
  Cluster cluster;
  cluster.connect();
  cluster.kill(1);
  const SessionId id = cluster.client().id;
  std::optional<Datagram> kept;
  cluster.filter = [&](const Datagram& each) {
    // The new run at node 1 hears claims alone, and doesn't say that it lost the session.
    if (!kept && each.to == 1 && each.type() != MessageType::kInitiation) return Fate::kDrop;
    const bool holds = each.from == late && each.type() == MessageType::kResponse && !kept;
    if (holds) kept = each;
    return holds ? Fate::kDrop : Fate::kDeliver;
  };
  cluster.raise(1);
  cluster.until_lost();
  cluster.until_at(early);
  ASSERT_TRUE(kept);
  const auto keys = cluster.world.node(0).tx.at(0).traffic_key;
  cluster.world.deliver(*kept);
  cluster.world.run_with_data(Millis{3'000}, 10);
  EXPECT_EQ(cluster.client().id, id);
  EXPECT_EQ(cluster.world.node(0).tx.at(0).traffic_key, keys) << "nothing began anew";
  EXPECT_EQ(cluster.world.engine(0).counters().resumes, 1U);
  EXPECT_EQ(cluster.world.engine(late).counters().resumes, 0U);
  EXPECT_TRUE(cluster.world.node(0).events_of(EventKind::kSecurityEvent).empty())
      << "nobody waits for the late one any more";
  expect_one_session_at(cluster, early);
}

TEST(Gateways, TheFirstAnswerWins) {
  first_answer_wins(1);
  first_answer_wins(2);
}

/// A gateway that takes a session over may need a while: nobody else is asked meanwhile, and it
/// isn't asked anew.
TEST(Gateways, AConfirmationThatIsHeldBackIsWaitedFor) {
  Cluster cluster;
  cluster.connect();
  const SessionId id = cluster.client().id;
  cluster.until_second_waits();
  cluster.raise(1);  // it would go on with the session, too
  const size_t asked = cluster.sent_to(1, MessageType::kInitiation);
  const size_t asked_there = cluster.sent_to(2, MessageType::kInitiation);
  const size_t told = cluster.sent_to(2, MessageType::kControl);
  cluster.world.run_with_data(Millis{1'400}, 10);
  EXPECT_EQ(cluster.sent_to(1, MessageType::kInitiation), asked);
  EXPECT_EQ(cluster.sent_to(2, MessageType::kInitiation), asked_there);
  EXPECT_GE(cluster.sent_to(2, MessageType::kControl), told + 1) << "the first one may be lost";
  EXPECT_NE(cluster.client().state, State::kAttached);
  cluster.store(2).holds = false;
  cluster.store(2).release();
  cluster.world.run_with_data(Millis{100}, 10);
  EXPECT_EQ(cluster.client().id, id);
  expect_one_session_at(cluster, 2);
  EXPECT_EQ(cluster.store(2).held.size(), 0U);
}

/// What another gateway said in the same round comes late: the first one is still at it.
TEST(Gateways, ALateAnswerDoesNotTakeThePlaceOfTheFirst) {
  Cluster cluster;
  cluster.connect();
  const SessionId id = cluster.client().id;
  cluster.kill(1);
  cluster.store(2).holds = true;
  std::optional<Datagram> late;
  cluster.filter = [&](const Datagram& each) {
    if (each.to == 1 && each.type() != MessageType::kInitiation) return Fate::kDrop;
    if (each.from == 1 && each.type() == MessageType::kResponse) late = each;
    return each.from == 1 ? Fate::kDrop : Fate::kDeliver;
  };
  cluster.raise(1);
  while (cluster.store(2).held.empty() || !late) cluster.world.run_with_data(Millis{10}, 10);
  cluster.world.deliver(*late);
  cluster.world.run_with_data(Millis{50}, 10);
  cluster.store(2).holds = false;
  cluster.store(2).release();
  cluster.world.run_with_data(Millis{50}, 10);
  EXPECT_EQ(cluster.client().id, id);
  EXPECT_EQ(cluster.world.engine(1).counters().resumes, 0U);
  expect_one_session_at(cluster, 2);
}

/// What is taken over too late to go on ends as one that was found too late.
TEST(Gateways, TheTimeToTakeItOverMayEndWhileTheStoreIsAsked) {
  Cluster cluster;
  cluster.connect();
  const SessionId id = cluster.client().id;
  const Millis ago{12'000};
  const Millis killed = cluster.world.now;
  cluster.kill(1, ago);
  cluster.store(2).holds = true;
  while (cluster.store(2).held.empty()) cluster.world.run_with_data(Millis{10}, 10);
  const Policy policy;
  ASSERT_LT(cluster.world.now - killed + ago, policy.session.transport_loss_ttl);
  while (cluster.world.now - killed + ago < policy.session.transport_loss_ttl)
    cluster.world.run_with_data(Millis{10}, 10);
  cluster.store(2).holds = false;
  cluster.store(2).release();
  cluster.world.run_with_data(Millis{10'000}, 10);
  std::vector<Event> rows = cluster.world.node(2).events_of(EventKind::kStateChange);
  std::erase_if(rows, [&](const Event& row) { return row.session != id; });
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].to, State::kTerminated);
  EXPECT_EQ(rows[0].reason, Reason::kTtlTransportLossExpired);
  EXPECT_EQ(rows[0].detail, Detail::kResumed) << "else nobody knows where it comes from";
  EXPECT_NE(cluster.client().id, id);
}

/// But not for ever: it may have died since.
TEST(Gateways, WhoeverAnswersAndDiesHoldsNobodyUp) {
  Cluster cluster(3);
  cluster.connect();
  const SessionId id = cluster.client().id;
  cluster.until_second_waits();
  cluster.kill(2);
  const Policy policy;
  EXPECT_LE(cluster.until_at(3), policy.switching.recovery_attempt + Millis{2'000});
  EXPECT_EQ(cluster.client().id, id);
  expect_one_session_at(cluster, 3);
}

/// Gateway 1 doesn't know the session: it would begin a new one. A moment without a path is no
/// reason for that.
TEST(Gateways, AnotherOnesIgnoranceDoesNotEndTheSession) {
  Cluster cluster(2, 2, {2});
  cluster.connect();
  const SessionId id = cluster.client().id;
  cluster.dead = {1};
  while (cluster.sent_to(2, MessageType::kInitiation) == 0)
    cluster.world.run_with_data(Millis{10}, 10);
  cluster.world.run_with_data(Millis{1'000}, 10);
  cluster.raise(1);
  cluster.until_at(1);
  EXPECT_EQ(cluster.client().id, id);
  expect_one_session_at(cluster, 1);
  cluster.kill(1);
  cluster.world.run_with_data(Millis{12'000}, 20);
  EXPECT_NE(cluster.client().id, id) << "but it is all there is";
  expect_one_session_at(cluster, 2);
}

/// The gateways' tokens come of one key, so each can make those of the others' indices.
TEST(Gateways, AResetByAnotherChangesNothing) {
  Cluster cluster;
  cluster.connect();
  const auto old = cluster.world.node(0).tx.at(0);
  cluster.kill(1);
  cluster.until_at(2);
  cluster.raise(1);
  const SessionId id = cluster.client().id;
  const auto present = cluster.world.node(0).tx.at(0);
  for (const ReceiverIndex index : {old.peer_index, present.peer_index})
    for (const size_t network : {0U, 1U})
      cluster.world.engine(1).on_unknown_index(cluster.world.now, test::path_between(1, 0, network),
                                               index);
  const size_t asked = cluster.sent_to(1, MessageType::kInitiation);
  cluster.world.run_with_data(Millis{2'000}, 10);
  const auto& counters = cluster.world.engine(0).counters();
  EXPECT_EQ(counters.resets_taken, 0U);
  EXPECT_GE(counters.resets_refused + counters.resets_stale, 3U);
  EXPECT_EQ(cluster.sent_to(1, MessageType::kInitiation), asked);
  EXPECT_EQ(cluster.client().id, id);
  expect_one_session_at(cluster, 2);
}

TEST(Gateways, AgainAndAgainWithVersionsThatRise) {
  const uint64_t seed = test::run_seed();
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
  test::Random random(seed);
  Cluster cluster(3, 2, {}, seed);
  cluster.connect();
  cluster.world.weather.loss = 0.1;
  const SessionId id = cluster.client().id;
  StateVersion highest;
  for (int round = 0; round < test::rounds(30); ++round) {
    cluster.world.run_with_data(Millis{1 + random.below(10'000)}, 50);
    cluster.until_at(cluster.at());
    const size_t node = cluster.at();
    const SessionView there = cluster.world.node(node).session();
    ASSERT_EQ(there.id, id) << "round " << round;
    ASSERT_GT(there.version, highest) << "round " << round;
    highest = there.version;
    cluster.dead.clear();
    cluster.kill(node);
    cluster.world.run_with_data(Millis{10'000}, 50);
    ASSERT_EQ(cluster.client().id, id) << "round " << round;
    ASSERT_NE(cluster.at(), node) << "round " << round;
  }
}

}  // namespace
}  // namespace jvpn
