// A node's calls while others are under way. When its run ends meanwhile, and another begins: what
// was decided in the earlier run, or carried out by it, keeps nothing for the later one. When it
// doesn't: what a load has read needn't be read again, and calls go together.
#include <algorithm>

#include "tests/support/cluster_world.h"

namespace jvpn::cluster {
namespace {

class ClusterRuns : public ::testing::Test {
 protected:
  ClusterRuns() { world.run_for(1'000); }
  void hold_writes() {
    world.at(a).holds = [](const Txn& txn) {
      return std::ranges::any_of(txn.then, [](const Op& op) {
        return op.kind == Op::Kind::kPut && op.key.starts_with("c/sessions/");
      });
    };
  }
  void ask(const OwnershipCall& made) {
    world.node(a).ask(world.now(world.at(a)), made);
    world.settle();
  }
  OwnershipCall commit(uint8_t peer) {
    OwnershipCall made = world.call(Kind::kCommit, peer, peer);
    made.expected = made.attempted = BindingVersion{1};
    made.next = BindingVersion{2};
    return made;
  }
  void begin_again() {
    world.node(a).resign(world.now());
    world.node(a).begin_again(world.now());
    world.run_for(100);
    ASSERT_NE(world.node(a).epoch(), 0U);
  }
  OwnershipAnswer reply_to(const OwnershipCall& made) {
    for (int turn = 0; turn < 200; ++turn) {
      world.run_for(10);
      while (const auto reply = world.node(a).take_reply())
        if (reply->ticket == made.ticket) return reply->answer;
    }
    ADD_FAILURE() << "no answer";
    return {};
  }

  ClusterWorld world;
  size_t a = world.start("a");
};

TEST_F(ClusterRuns, WhatAnEarlierRunWroteIsNotTheLaterOnes) {
  world.acquire(a, 1, 1);
  hold_writes();
  const OwnershipCall made = commit(1);
  ask(made);
  ASSERT_EQ(world.at(a).held.size(), 1U);
  begin_again();
  world.let_go(a);
  EXPECT_EQ(reply_to(made), OwnershipAnswer::kLost);
}

/// A node has four transactions under way at most, each of which waited a while for more calls; a
/// fifth waits for an answer, its decision made.
TEST_F(ClusterRuns, WhatAnEarlierRunDecidedIsNotWrittenByTheLaterOne) {
  for (uint8_t peer = 1; peer <= 5; ++peer) world.acquire(a, peer, peer);
  const uint64_t earlier = world.node(a).epoch();
  hold_writes();
  for (uint8_t peer = 1; peer <= 4; ++peer) {
    ask(commit(peer));
    world.run_for(20);
  }
  ASSERT_EQ(world.at(a).held.size(), 4U);
  const OwnershipCall made = commit(5);
  ask(made);
  begin_again();
  world.at(a).holds = nullptr;
  world.let_go(a);
  EXPECT_EQ(reply_to(made), OwnershipAnswer::kLost);
  const OwnershipReply found = world.load(a, 5, 5);
  ASSERT_TRUE(found.found);
  EXPECT_EQ(found.found->epoch, earlier);
  EXPECT_EQ(found.found->binding_version, BindingVersion{1});
}

TEST_F(ClusterRuns, CallsThatComeWhileOneIsUnderWayGoTogether) {
  for (uint8_t peer = 1; peer <= 5; ++peer) world.acquire(a, peer, peer);
  hold_writes();
  for (uint8_t peer = 1; peer <= 5; ++peer) ask(commit(peer));
  EXPECT_EQ(world.at(a).held.size(), 1U) << "the others wait for its answer";
  const uint64_t before = world.store.written;
  world.at(a).holds = nullptr;
  world.let_go(a);
  world.settle();
  EXPECT_EQ(world.store.written - before, 1U);
}

TEST_F(ClusterRuns, CallsDoNotWaitLongForAnAnswerThatDoesNotCome) {
  for (uint8_t peer = 1; peer <= 2; ++peer) world.acquire(a, peer, peer);
  hold_writes();
  ask(commit(1));
  world.at(a).holds = nullptr;
  const uint64_t begun = world.now_;
  EXPECT_EQ(world.commit(a, 2, 2, 1, 2).answer, OwnershipAnswer::kCommitted);
  EXPECT_LE(world.now_ - begun, 20U);
}

/// As ClusterRuns, with a session of a gateway that is over, which another has loaded.
class ClusterLoaded : public ClusterRuns {
 protected:
  ClusterLoaded() {
    world.acquire(a, 1, 1);
    epoch = world.node(a).epoch();
    world.node(a).close(world.now());
    world.run_for(500);  // until the other's beat has told it
    loaded = world.load(b, 1, 1).found.has_value();
  }

  size_t b = world.start("b");
  uint64_t epoch = 0;
  bool loaded = false;
};

TEST_F(ClusterLoaded, ACommitDoesNotReadWhatALoadHasRead) {
  ASSERT_TRUE(loaded);
  size_t read = 0;
  size_t written = 0;
  world.at(b).loses = [&](const Txn& txn) {
    for (const Op& op : txn.then)
      if (op.key.starts_with("c/sessions/")) ++(op.kind == Op::Kind::kGet ? read : written);
    return false;
  };
  EXPECT_EQ(world.commit(b, 1, 1, 1, 2, epoch).answer, OwnershipAnswer::kCommitted);
  EXPECT_EQ(read, 0U);
  EXPECT_EQ(written, 1U);
}

TEST_F(ClusterLoaded, ACommitTakesNothingThatAnotherHasTakenSinceTheLoad) {
  const size_t c = world.start("c");
  world.run_for(200);
  ASSERT_EQ(world.commit(c, 1, 1, 1, 2, epoch).answer, OwnershipAnswer::kCommitted);
  EXPECT_EQ(world.commit(b, 1, 1, 1, 2, epoch).answer, OwnershipAnswer::kLost);
  EXPECT_EQ(world.commit(c, 1, 1, 2, 3).answer, OwnershipAnswer::kCommitted);
}

/// What is remembered of a load refuses nothing.
TEST_F(ClusterLoaded, ACommitIsJudgedByWhatIsThereNow) {
  const size_t c = world.start("c");
  world.run_for(200);
  ASSERT_EQ(world.commit(c, 1, 1, 1, 2, epoch).answer, OwnershipAnswer::kCommitted);
  const uint64_t later = world.node(c).epoch();
  world.node(c).close(world.now());
  world.run_for(500);
  EXPECT_EQ(world.commit(b, 1, 1, 2, 3, later).answer, OwnershipAnswer::kCommitted);
}

/// Its LAN or its way out is dead, and it can't tell: all that it has is asked for within its
/// beats.
TEST(ClusterNode, ALivingOwnerHandsOverThousandsInASecond) {
  constexpr uint16_t kSessions = 2'000;
  ClusterWorld world;
  const size_t a = world.start("a");
  const size_t b = world.start("b");
  world.run_for(1'000);
  const auto numbered = [&](Kind kind, uint16_t number) {
    OwnershipCall made = world.call(kind, 0, 0);
    __builtin_memcpy(made.session.bytes.data(), &number, sizeof number);
    __builtin_memcpy(made.record.peer.data(), &number, sizeof number);
    made.record.id = made.session;
    return made;
  };
  const auto committed = [&](size_t node) {
    size_t count = 0;
    while (const auto reply = world.node(node).take_reply())
      count += reply->answer == OwnershipAnswer::kCommitted ? 1 : 0;
    return count;
  };
  for (uint16_t i = 0; i < kSessions; ++i)
    world.node(a).ask(world.now(), numbered(Kind::kAcquire, i));
  world.run_for(500);
  ASSERT_EQ(committed(a), kSessions);
  for (uint16_t i = 0; i < kSessions; ++i) {
    OwnershipCall claim = numbered(Kind::kCommit, i);
    claim.attempted = BindingVersion{1};
    claim.next = BindingVersion{3};
    claim.ceiling = StateVersion{300};
    claim.from_epoch = world.node(a).epoch();
    world.node(b).ask(world.now(), claim);
  }
  for (int turns = 0; turns < 95; ++turns) {  // before a claim's patience is over
    world.run_for(10);
    while (const auto notice = world.node(a).take_notice()) {
      OwnershipCall given = world.call(Kind::kHandOver, 0, 0);
      given.session = notice->session;
      given.record.peer = notice->peer;
      world.node(a).ask(world.now(), given);
    }
  }
  EXPECT_EQ(committed(b), kSessions);
}

TEST(LoadedRecords, TheOldestGoes) {
  LoadedRecords records;
  const auto key = [](size_t number) {
    PublicKey peer{};
    __builtin_memcpy(peer.data(), &number, sizeof number);
    return peer;
  };
  for (size_t i = 0; i <= LoadedRecords::kMost; ++i) records.keep(key(i), {{}, 1});
  EXPECT_EQ(records.size(), LoadedRecords::kMost);
  EXPECT_FALSE(records.take(key(0)));
  EXPECT_TRUE(records.take(key(1)));
  EXPECT_FALSE(records.take(key(1))) << "it was forgotten by that";
  for (size_t i = 0; i <= LoadedRecords::kMost; ++i) records.keep(key(7), {{}, 1});
  EXPECT_TRUE(records.take(key(7))) << "the latest load of it is the one that is kept";
}

}  // namespace
}  // namespace jvpn::cluster
