// Nodes of a cluster over a store in memory: epochs, fencing, hand-over, lost and late answers.
#include "control/cluster/cluster_node.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/cluster_world.h"

namespace jvpn::cluster {
namespace {

TEST(ClusterNode, BeginsARunAndKeepsIt) {
  ClusterWorld world;
  const size_t a = world.start("a");
  world.run_for(1'000);
  EXPECT_NE(world.node(a).epoch(), 0U);
  EXPECT_TRUE(world.safe(a));
  world.run_for(60'000);
  EXPECT_TRUE(world.safe(a));
}

TEST(ClusterNode, IsSilentWhenTheStoreIsGoneForTheSafeTime) {
  ClusterWorld world;
  const size_t a = world.start("a");
  world.run_for(1'000);
  world.at(a).cut = true;
  world.run_for(kSafe.value - 400);
  EXPECT_TRUE(world.safe(a));
  world.run_for(500);
  EXPECT_FALSE(world.safe(a));
  EXPECT_EQ(world.node(a).trouble(), "no route");
  world.at(a).cut = false;  // nobody has ended the run meanwhile
  const uint64_t epoch = world.node(a).epoch();
  world.run_for(500);
  EXPECT_TRUE(world.safe(a));
  EXPECT_EQ(world.node(a).trouble(), "");
  EXPECT_EQ(world.node(a).epoch(), epoch);
}

TEST(ClusterNode, ASessionIsKeptAndItsVersionRises) {
  ClusterWorld world;
  const size_t a = world.start("a");
  world.run_for(500);
  EXPECT_EQ(world.acquire(a, 1, 1).answer, OwnershipAnswer::kCommitted);
  EXPECT_EQ(world.commit(a, 1, 1, 1, 3).answer, OwnershipAnswer::kCommitted);
  const OwnershipReply refused = world.commit(a, 1, 1, 1, 5);
  EXPECT_EQ(refused.answer, OwnershipAnswer::kConflict);
  ASSERT_TRUE(refused.found);
  EXPECT_EQ(refused.found->binding_version, BindingVersion{3});
  const OwnershipReply found = world.load(a, 1, 1);
  ASSERT_TRUE(found.found);
  EXPECT_FALSE(found.found->served);
}

TEST(ClusterNode, AnotherTakesOverOnceTheOwnerMustBeSilent) {
  ClusterWorld world;
  const size_t a = world.start("a");
  const size_t b = world.start("b");
  world.run_for(1'000);
  world.acquire(a, 1, 1);
  const uint64_t epoch = world.node(a).epoch();
  world.at(a).cut = true;
  bool taken = false;
  for (int i = 0; i < 60 && !taken; ++i) {
    const OwnershipReply reply = world.commit(b, 1, 1, 1, 3, epoch);
    taken = reply.answer == OwnershipAnswer::kCommitted;
    if (taken) {
      EXPECT_FALSE(world.safe(a)) << "both act at once";
    }
  }
  EXPECT_TRUE(taken);
  world.at(a).cut = false;
  world.run_for(500);
  const auto notice = world.node(a).take_notice();
  ASSERT_TRUE(notice);
  EXPECT_EQ(notice->kind, OwnershipNotice::Kind::kEpochOver);
  EXPECT_EQ(world.node(a).epoch(), 0U);
  world.node(a).begin_again(world.now());
  world.run_for(500);
  EXPECT_TRUE(world.safe(a));
  EXPECT_EQ(world.commit(a, 1, 1, 1, 5).answer, OwnershipAnswer::kLost);
}

TEST(ClusterNode, ALivingOwnerHandsOver) {
  ClusterWorld world;
  const size_t a = world.start("a");
  const size_t b = world.start("b");
  world.run_for(1'000);
  world.acquire(a, 1, 1);
  const uint64_t epoch = world.node(a).epoch();
  const OwnershipReply found = world.load(b, 1, 1);
  ASSERT_TRUE(found.found);
  EXPECT_TRUE(found.found->served);
  size_t wanted = 0;
  world.on_turn = [&] {
    while (const auto notice = world.node(a).take_notice()) {
      EXPECT_EQ(notice->kind, OwnershipNotice::Kind::kWanted);
      EXPECT_EQ(notice->session, id_of(1));
      ++wanted;
      world.node(a).ask(world.now(), world.call(Kind::kHandOver, 1, 1));
    }
  };
  const uint64_t begun = world.now_;
  EXPECT_EQ(world.commit(b, 1, 1, 1, 3, epoch).answer, OwnershipAnswer::kCommitted);
  EXPECT_LT(world.now_ - begun, 600U);
  EXPECT_EQ(wanted, 1U);
  world.run_for(1'000);
  EXPECT_FALSE(world.node(a).take_notice()) << "the ask is still there";
  EXPECT_EQ(world.commit(a, 1, 1, 3, 5).answer, OwnershipAnswer::kLost);
}

TEST(ClusterNode, AnOwnerThatIsHeardAgainIsAsked) {
  ClusterWorld world;
  const size_t a = world.start("a");
  const size_t b = world.start("b");
  world.run_for(1'000);
  world.acquire(a, 1, 1);
  world.node(a).hold_beats(true);
  world.run_for(1'500);
  world.on_turn = [&] {
    world.node(a).hold_beats(false);
    while (world.node(a).take_notice())
      world.node(a).ask(world.now(), world.call(Kind::kHandOver, 1, 1));
  };
  EXPECT_EQ(world.commit(b, 1, 1, 1, 3, world.node(a).epoch()).answer, OwnershipAnswer::kCommitted);
}

TEST(ClusterNode, AskedForWhatItHasNotItTakesTheAskAway) {
  ClusterWorld world;
  const size_t a = world.start("a");
  const size_t b = world.start("b");
  world.run_for(1'000);
  world.acquire(a, 1, 1);
  const OwnershipReply lost = world.ask(b, world.call(Kind::kHandOver, 1, 1));
  EXPECT_EQ(lost.answer, OwnershipAnswer::kLost);
  EXPECT_EQ(world.commit(a, 1, 1, 1, 3).answer, OwnershipAnswer::kCommitted);
}

TEST(ClusterNode, AStoppedNodeIsReplacedAtOnce) {
  ClusterWorld world;
  const size_t a = world.start("a");
  const size_t b = world.start("b");
  world.run_for(1'000);
  world.acquire(a, 1, 1);
  const uint64_t epoch = world.node(a).epoch();
  world.node(a).close(world.now());
  world.run_for(400);
  EXPECT_EQ(world.node(a).epoch(), 0U);
  const uint64_t begun = world.now_;
  EXPECT_EQ(world.commit(b, 1, 1, 1, 3, epoch).answer, OwnershipAnswer::kCommitted);
  EXPECT_LT(world.now_ - begun, 400U);
}

TEST(ClusterNode, WhoResignsIsReplacedAtOnceAndMayBeginAgain) {
  ClusterWorld world;
  const size_t a = world.start("a");
  const size_t b = world.start("b");
  world.run_for(1'000);
  world.acquire(a, 1, 1);
  const uint64_t epoch = world.node(a).epoch();
  world.node(a).resign(world.now());
  EXPECT_FALSE(world.safe(a));
  const auto notice = world.node(a).take_notice();
  ASSERT_TRUE(notice);
  EXPECT_EQ(notice->kind, OwnershipNotice::Kind::kEpochOver);
  EXPECT_EQ(notice->epoch, epoch);
  world.run_for(400);
  const uint64_t begun = world.now_;
  EXPECT_EQ(world.commit(b, 1, 1, 1, 3, epoch).answer, OwnershipAnswer::kCommitted);
  EXPECT_LT(world.now_ - begun, 400U);
  world.run_for(10'000);
  EXPECT_EQ(world.node(a).epoch(), 0U) << "control hasn't forgotten its sessions yet";
  world.node(a).begin_again(world.now());
  world.run_for(500);
  EXPECT_TRUE(world.safe(a));
}

TEST(ClusterNode, TheSameMachineGoesOnAtOnceAndAnotherWaits) {
  ClusterWorld world;
  const size_t first = world.start("a", 1);
  world.run_for(1'000);
  world.acquire(first, 1, 1);
  const uint64_t epoch = world.node(first).epoch();
  world.at(first).paused = true;
  const size_t other = world.start("a", 2);
  world.run_for(2'000);
  EXPECT_EQ(world.node(other).epoch(), 0U) << "the earlier run may still act";
  world.at(other).paused = true;
  const size_t again = world.start("a", 1);
  world.run_for(100);
  EXPECT_GT(world.node(again).epoch(), epoch);
  EXPECT_EQ(world.commit(again, 1, 1, 1, 3, epoch).answer, OwnershipAnswer::kCommitted);
}

TEST(ClusterNode, TwoOfOneNameAreTold) {
  ClusterWorld world;
  const size_t first = world.start("a", 1);
  world.run_for(1'000);
  const size_t second = world.start("a", 2);
  world.run_for(10'000);
  EXPECT_NE(world.node(first).epoch(), 0U);
  EXPECT_EQ(world.node(second).epoch(), 0U);
  ASSERT_FALSE(world.at(second).news.empty());
  EXPECT_NE(world.at(second).news.back().find("another gateway runs as node a"), std::string::npos);
}

TEST(ClusterNode, ALostAnswerIsKnownByItsToken) {
  ClusterWorld world;
  const size_t a = world.start("a");
  world.run_for(1'000);
  world.acquire(a, 1, 1);
  OwnershipCall made = world.call(Kind::kCommit, 1, 1);
  made.expected = made.attempted = BindingVersion{1};
  made.next = BindingVersion{3};
  world.at(a).answers_lost = true;
  world.node(a).ask(world.now(), made);
  world.settle();  // it was written, and nobody heard of it
  world.at(a).answers_lost = false;
  const uint64_t before = world.store.written;
  world.run_for(200);
  const auto reply = world.node(a).take_reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->answer, OwnershipAnswer::kCommitted);
  EXPECT_LE(world.store.written - before, 1U) << "only a beat";
  EXPECT_EQ(world.commit(a, 1, 1, 3, 5).answer, OwnershipAnswer::kCommitted);
}

TEST(ClusterNode, WithoutAnAnswerTheCallIsUnavailable) {
  ClusterWorld world;
  const size_t a = world.start("a");
  world.run_for(1'000);
  world.acquire(a, 1, 1);
  world.at(a).cut = true;
  EXPECT_EQ(world.commit(a, 1, 1, 1, 3).answer, OwnershipAnswer::kUnavailable);
  world.at(a).cut = false;
  EXPECT_EQ(world.commit(a, 1, 1, 1, 3).answer, OwnershipAnswer::kCommitted);
}

TEST(ClusterNode, AnEndIsForGood) {
  ClusterWorld world;
  const size_t a = world.start("a");
  const size_t b = world.start("b");
  world.run_for(1'000);
  world.acquire(a, 1, 1);
  const uint64_t epoch = world.node(a).epoch();
  EXPECT_EQ(world.ask(a, world.call(Kind::kRelease, 1, 1)).answer, OwnershipAnswer::kCommitted);
  world.node(a).close(world.now());
  world.run_for(500);
  const OwnershipReply found = world.load(b, 1, 1);
  ASSERT_TRUE(found.found);
  EXPECT_TRUE(found.found->ended);
  EXPECT_EQ(world.commit(b, 1, 1, 1, 3, epoch).answer, OwnershipAnswer::kLost);
  EXPECT_EQ(world.acquire(b, 1, 1).answer, OwnershipAnswer::kLost);
  EXPECT_EQ(world.acquire(b, 2, 1).answer, OwnershipAnswer::kCommitted);
  EXPECT_FALSE(world.load(b, 1, 1).found) << "what took its place is another session";
}

bool writes(const Txn& txn, const std::string& folder) {
  return std::ranges::any_of(txn.then, [&](const Op& op) {
    return op.kind == Op::Kind::kPut && op.key.starts_with(folder);
  });
}

/// An end is final, even when it overtakes the beginning.
TEST(ClusterNode, WhatEndedBeforeItWasKeptIsNeverKept) {
  ClusterWorld world;
  const size_t a = world.start("a");
  const size_t b = world.start("b");
  world.run_for(1'000);
  std::optional<Txn> late;
  world.at(a).loses = [&](const Txn& txn) {
    if (!late && writes(txn, "c/sessions/")) late = txn;
    return writes(txn, "c/sessions/");
  };
  EXPECT_EQ(world.acquire(a, 1, 1).answer, OwnershipAnswer::kUnavailable);
  ASSERT_TRUE(late);
  world.at(a).loses = nullptr;
  OwnershipCall end = world.call(Kind::kRelease, 1, 1);
  end.unheard = true;
  EXPECT_EQ(world.ask(a, end).answer, OwnershipAnswer::kCommitted);
  EXPECT_FALSE(world.store.apply(*late).succeeded);
  const OwnershipReply found = world.load(b, 1, 1);
  EXPECT_TRUE(!found.found || found.found->ended);
  EXPECT_EQ(world.acquire(a, 2, 1).answer, OwnershipAnswer::kCommitted);
  EXPECT_EQ(world.ask(a, end).answer, OwnershipAnswer::kCommitted) << "asked again, and late";
  const OwnershipReply next = world.load(b, 2, 1);
  EXPECT_TRUE(next.found && !next.found->ended) << "what came after it stays";
}

/// Else, if the run goes no further, nobody could tell that it is over.
TEST(ClusterNode, NothingIsWrittenBeforeTheFirstBeat) {
  ClusterWorld world;
  const size_t a = world.start("a");
  world.at(a).loses = [](const Txn& txn) {
    return writes(txn, "c/beats/") && !writes(txn, "c/epochs/");
  };
  world.run_for(1'000);
  ASSERT_NE(world.node(a).epoch(), 0U);
  EXPECT_EQ(world.acquire(a, 1, 1).answer, OwnershipAnswer::kUnavailable);
  EXPECT_FALSE(world.store.all().contains(Keys("c/").session(peer_key(1))));
  world.at(a).loses = nullptr;
  EXPECT_EQ(world.acquire(a, 1, 1).answer, OwnershipAnswer::kCommitted);
}

/// An answer that comes late is about the run that had asked.
TEST(ClusterNode, ABeatOfAnEarlierRunProvesNothing) {
  ClusterWorld world;
  const size_t a = world.start("a");
  world.run_for(1'000);
  world.at(a).holds = [](const Txn& txn) {
    return writes(txn, "c/beats/") && !writes(txn, "c/epochs/");
  };
  world.run_for(400);
  ASSERT_FALSE(world.at(a).held.empty());
  const std::vector<TxnAnswer> earlier = std::exchange(world.at(a).held, {});
  world.node(a).resign(world.now());
  world.node(a).begin_again(world.now());
  world.run_for(100);
  ASSERT_NE(world.node(a).epoch(), 0U);
  world.at(a).held = earlier;
  world.let_go(a);
  EXPECT_FALSE(world.safe(a)) << "no beat of this run was carried out";
}

/// Whoever hasn't heard of a run yet doesn't take it for one of long ago.
TEST(ClusterNode, ALaterRunThanWasHeardOfServes) {
  ClusterWorld world;
  const size_t first = world.start("a", 1);
  const size_t b = world.start("b");
  world.run_for(1'000);
  world.acquire(first, 1, 1);
  const uint64_t epoch = world.node(first).epoch();
  world.node(b).hold_beats(true);
  world.at(first).paused = true;
  const size_t again = world.start("a", 1);
  world.run_for(100);
  ASSERT_EQ(world.commit(again, 1, 1, 1, 3, epoch).answer, OwnershipAnswer::kCommitted);
  const OwnershipReply found = world.load(b, 1, 1);
  ASSERT_TRUE(found.found);
  EXPECT_TRUE(found.found->served);
  EXPECT_EQ(found.found->unserved, Millis{0});
}

TEST(ClusterNode, AnotherPeersSessionIsTold) {
  ClusterWorld world;
  const size_t a = world.start("a");
  world.run_for(1'000);
  world.acquire(a, 1, 1);
  const OwnershipReply found = world.load(a, 1, 2);
  ASSERT_TRUE(found.found);
  EXPECT_EQ(found.found->peer, peer_key(1));
}

TEST(ClusterNode, WhoseSessionAnAcquisitionReplacesIsTold) {
  ClusterWorld world;
  const size_t a = world.start("a");
  const size_t b = world.start("b");
  world.run_for(1'000);
  EXPECT_FALSE(world.acquire(a, 1, 1).found);
  EXPECT_FALSE(world.acquire(a, 2, 1).found) << "our own: whoever ended it has told";
  world.node(a).close(world.now());
  world.run_for(400);
  const OwnershipReply replaced = world.acquire(b, 3, 1);
  EXPECT_EQ(replaced.answer, OwnershipAnswer::kCommitted);
  ASSERT_TRUE(replaced.found);
  EXPECT_EQ(replaced.found->id, id_of(2));
  EXPECT_EQ(world.ask(b, world.call(Kind::kRelease, 3, 1)).answer, OwnershipAnswer::kCommitted);
  EXPECT_FALSE(world.acquire(b, 4, 1).found) << "it had ended already";
}

TEST(ClusterNode, AChangedRecordIsTampered) {
  ClusterWorld world;
  const size_t a = world.start("a");
  const size_t b = world.start("b");
  world.run_for(1'000);
  world.acquire(a, 1, 1);
  const std::string key = Keys("c/").session(peer_key(1));
  KeyValue found = world.store.all().at(key);
  found.value[5] = static_cast<char>(found.value[5] ^ 1);
  world.store.apply({{}, {Op::put(key, found.value)}, {}});
  EXPECT_EQ(world.load(b, 1, 1).answer, OwnershipAnswer::kTampered);
  EXPECT_EQ(world.commit(a, 1, 1, 1, 3).answer, OwnershipAnswer::kTampered);
  const OwnershipReply anew = world.acquire(b, 2, 1);
  EXPECT_EQ(anew.answer, OwnershipAnswer::kCommitted) << "else its peer would never get another";
  EXPECT_FALSE(anew.found);
}

TEST(ClusterNode, AfterAnOutageOfTheStoreEveryRunHasItsSafeTimeAgain) {
  ClusterWorld world;
  const size_t a = world.start("a");
  const size_t b = world.start("b");
  world.run_for(1'000);
  const uint64_t epochs[] = {world.node(a).epoch(), world.node(b).epoch()};
  world.at(a).cut = world.at(b).cut = true;
  world.run_for(60'000);
  EXPECT_FALSE(world.safe(a));
  world.at(b).cut = false;
  world.run_for(1'000);
  world.at(a).cut = false;
  world.run_for(1'000);
  EXPECT_EQ(world.node(a).epoch(), epochs[0]);
  EXPECT_EQ(world.node(b).epoch(), epochs[1]);
  EXPECT_TRUE(world.safe(a));
}

TEST(ClusterNode, AStoreThatWentBackInTimeIsDistrusted) {
  ClusterWorld world;
  const size_t a = world.start("a");
  world.run_for(1'000);
  const test::KvStore backup = world.store;
  world.run_for(2'000);
  world.store = backup;
  world.run_for(1'000);
  EXPECT_EQ(world.node(a).epoch(), 0U);
  EXPECT_FALSE(world.safe(a));
  world.node(a).begin_again(world.now());
  world.run_for(10'000);
  EXPECT_EQ(world.node(a).epoch(), 0U);
}

/// What the time without an owner is told by, is one's own clock.
TEST(ClusterNode, AWrongWallClockEndsNoSession) {
  for (const bool ahead : {true, false}) {
    ClusterWorld world;
    const size_t a = world.start("a");
    const size_t b = world.start("b");
    world.at(ahead ? b : a).wall_ahead = 3'600'000;
    world.run_for(1'000);
    world.acquire(a, 1, 1);
    world.at(a).paused = true;
    world.run_for(4'000);
    const OwnershipReply found = world.load(b, 1, 1);
    ASSERT_TRUE(found.found);
    ASSERT_FALSE(found.found->served);
    EXPECT_GE(found.found->unserved, Millis{3'900});
    EXPECT_LE(found.found->unserved, Millis{4'400});
  }
}

/// What is asked at once is answered one after the other, not one within the other.
TEST(ClusterNode, ManyCallsOfOnePeerNeedNoStack) {
  ClusterWorld world;
  const size_t a = world.start("a");
  world.run_for(1'000);
  world.acquire(a, 1, 1);
  OwnershipCall first = world.call(Kind::kCommit, 1, 1);
  first.expected = first.attempted = BindingVersion{1};
  first.next = BindingVersion{3};
  world.node(a).ask(world.now(), first);
  constexpr size_t kCalls = 100'000;
  for (size_t i = 0; i < kCalls; ++i) world.node(a).ask(world.now(), world.call(Kind::kLoad, 1, 1));
  world.settle();
  size_t answered = 0;
  while (const auto reply = world.node(a).take_reply())
    answered += reply->answer == OwnershipAnswer::kCommitted ? 1 : 0;
  EXPECT_EQ(answered, 1 + kCalls);
}

/// It is told to have ended already; another run of ours may write that, unless somebody goes on.
TEST(ClusterNode, AnEndOutlivesItsRun) {
  ClusterWorld world;
  const size_t a = world.start("a");
  const size_t b = world.start("b");
  world.run_for(1'000);
  world.acquire(a, 1, 1);
  world.acquire(a, 2, 2);
  const uint64_t epoch = world.node(a).epoch();
  world.node(a).resign(world.now());
  ASSERT_TRUE(world.node(a).take_notice());
  world.run_for(500);
  EXPECT_EQ(world.commit(b, 2, 2, 1, 3, epoch).answer, OwnershipAnswer::kCommitted);
  world.node(a).begin_again(world.now());
  world.run_for(500);
  OwnershipCall end = world.call(Kind::kRelease, 1, 1);
  end.from_epoch = epoch;
  EXPECT_EQ(world.ask(a, end).answer, OwnershipAnswer::kCommitted);
  OwnershipCall late = world.call(Kind::kRelease, 2, 2);
  late.from_epoch = epoch;
  EXPECT_EQ(world.ask(a, late).answer, OwnershipAnswer::kLost) << "another has it";
}

TEST(ClusterNode, IdleSessionsCostTheBeatsAlone) {
  ClusterWorld world;
  const size_t a = world.start("a");
  world.run_for(1'000);
  for (uint8_t i = 1; i < 100; ++i) world.acquire(a, i, i);
  const uint64_t before = world.store.written;
  world.run_for(60'000);
  EXPECT_LE(world.store.written - before, 5U * 60U);
}

}  // namespace
}  // namespace jvpn::cluster
