// A gateway dies or stops, another run of it begins, and the session goes on: same identity, higher
// versions, no time won. Two engines over one network; the store outlives the gateway.
#include <memory>
#include <string>

#include "control/session/memory_ownership.h"
#include "tests/support/engine_world.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

using test::Fate;
using test::World;
using wire::MessageType;

/// A gateway's end of a store that is a file's.
class Durable : public MemoryOwnership {
 public:
  using MemoryOwnership::MemoryOwnership;
  bool durable() const override { return true; }
  bool ask(Millis now, const OwnershipCall& call) override {
    const bool refused = full && call.kind != OwnershipCall::Kind::kLoad;
    handed_over += call.kind == OwnershipCall::Kind::kHandOver ? 1 : 0;
    if (call.kind == OwnershipCall::Kind::kRelease) ended_of = call.from_epoch;
    held = held || (holds_commits && call.kind == OwnershipCall::Kind::kCommit);
    return !refused && MemoryOwnership::ask(now, call);
  }
  bool has_replies() const override { return wanted || (!held && MemoryOwnership::has_replies()); }
  std::optional<OwnershipReply> take() override {
    return held ? std::nullopt : MemoryOwnership::take();
  }
  std::optional<OwnershipNotice> take_notice() override {
    return std::exchange(wanted, std::nullopt);
  }
  bool full = false;                      ///< nothing can be written
  bool holds_commits = false;             ///< replies from the next commit on wait
  bool held = false;                      ///< they do
  std::optional<OwnershipNotice> wanted;  ///< another gateway asks
  size_t handed_over = 0;                 ///< sessions that we were ready to hand over
  uint64_t ended_of = 0;                  ///< the run that the latest end names
};

/// Node 0 dials node 1, whose sessions the store keeps.
class Restarts {
 public:
  explicit Restarts(uint64_t seed = 1, std::function<void(Policy&)> adjust_policy = nullptr)
      : adjust_policy_(std::move(adjust_policy)), world(seed, adjust()) {
    world.connect();
    EXPECT_EQ(gateway().state, State::kAttached);
  }
  World::Adjust adjust() {
    return [this](size_t node, EngineConfig& config) {
      if (adjust_policy_) adjust_policy_(config.policy);
      if (node != 1) return;
      auto run = std::make_unique<Durable>(sessions);
      config.ownership = run.get();
      runs_.push_back(std::move(run));
    };
  }
  /// Killed now, and up again after a while.
  void kill(Millis down = Millis{2'000}) {
    sessions.end_epoch(runs_.back()->epoch(), world.now);
    world.filter = [](const test::Datagram&) { return Fate::kDrop; };
    world.run_with_data(down, 20);
    world.filter = nullptr;
    world.restart(1, adjust());
  }
  Durable& store() { return *runs_.back(); }
  SessionView gateway() { return world.node(1).session(); }
  SessionView client() { return world.node(0).session(); }
  size_t sessions_begun() {
    return count_reason(world.node(0), EventKind::kStateChange, Reason::kHandshakeOk);
  }
  StoredSession kept() { return kept(client().id); }
  StoredSession kept(const SessionId& id) {
    const OwnershipCall load{.kind = OwnershipCall::Kind::kLoad, .peer = {}, .session = id};
    return sessions.apply(world.now, load, 0).found.value_or(StoredSession{});
  }

 private:
  std::vector<std::unique_ptr<Durable>> runs_;
  std::function<void(Policy&)> adjust_policy_;

 public:
  MemoryStore sessions;
  World world;
};

TEST(Resume, AKilledGatewayGoesOnWithItsSession) {
  Restarts run;
  const SessionId id = run.client().id;
  const StateVersion ceiling = run.kept().ceiling;
  run.kill();
  EXPECT_EQ(run.client().id, id);
  EXPECT_NE(run.client().state, State::kAttached) << "nobody answers";
  run.world.run_with_data(Millis{1'500}, 20);
  test::expect_one_session(run.world);
  EXPECT_EQ(run.client().id, id);
  EXPECT_EQ(run.sessions_begun(), 1U);
  EXPECT_GT(run.gateway().version, ceiling) << "no version is used twice";
  EXPECT_EQ(run.gateway().binding_version, run.kept().binding_version);
  EXPECT_GT(run.kept().ceiling, run.gateway().version);
  const test::Node& gateway = run.world.node(1);
  const auto rows = gateway.events_of(EventKind::kStateChange);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].from, State::kRecovering);
  EXPECT_EQ(rows[0].detail, Detail::kResumed) << "the gap in its versions is marked";
  EXPECT_EQ(count_reason(gateway, EventKind::kOwnershipChange, Reason::kSessionResumed), 1U);
  for (size_t node : {0, 1}) {
    EXPECT_EQ(run.world.engine(node).counters().resumes, 1U);
    const test::Node& end = run.world.node(node);
    EXPECT_EQ(count_reason(end, EventKind::kTransportSwitch, Reason::kTransportSwitchOk), 1U);
    EXPECT_EQ(count_reason(end, EventKind::kReattach, Reason::kReattachAccept), 1U);
    for (const Reason audit :
         {Reason::kAuditInvariantOkSingleActive, Reason::kAuditInvariantOkNoReset})
      EXPECT_EQ(count_reason(end, EventKind::kAuditEvent, audit), 1U) << to_string(audit);
  }
  const uint64_t lost = run.world.node(0).lost + run.world.node(1).lost;
  run.world.run_with_data(Millis{5'000}, 20);
  EXPECT_EQ(run.world.node(0).lost + run.world.node(1).lost, lost) << "it is as good as any";
}

TEST(Resume, AgainAndAgainWithVersionsThatRise) {
  const uint64_t seed = test::run_seed();
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
  test::Random random(seed);
  Restarts run(seed);
  run.world.weather.loss = 0.1;
  const SessionId id = run.client().id;
  StateVersion highest;
  for (int round = 0; round < test::rounds(30); ++round) {
    run.world.run_with_data(Millis{1 + random.below(20'000)}, 50);
    ASSERT_EQ(run.client().id, id) << "round " << round;
    ASSERT_GE(run.gateway().version, highest) << "round " << round;
    highest = run.gateway().version;
    run.kill(Millis{random.below(3'000)});
    run.world.run_with_data(Millis{10'000}, 50);
    ASSERT_EQ(run.client().state, State::kAttached) << "round " << round;
    ASSERT_EQ(run.gateway().id, id) << "round " << round;
    ASSERT_GT(run.gateway().version, highest) << "round " << round;
    ASSERT_GE(run.gateway().binding_version, run.client().binding_version);
    highest = run.gateway().version;
  }
  EXPECT_EQ(run.sessions_begun(), 1U);
}

TEST(Resume, AStopParksWhatTheStoreKeeps) {
  Restarts run;
  const SessionId id = run.client().id;
  const size_t sent = run.world.sent.size();
  run.world.engine(1).shutdown(run.world.now);
  EXPECT_EQ(run.world.sent.size(), sent) << "nobody is told";
  EXPECT_EQ(count_reason(run.world.node(1), EventKind::kOwnershipChange, Reason::kSessionParked),
            1U);
  EXPECT_FALSE(run.kept().ended);
  run.kill();
  run.world.run_with_data(Millis{1'500}, 20);
  test::expect_one_session(run.world);
  EXPECT_EQ(run.client().id, id);
}

TEST(Resume, WhatHasEndedNeverComesBack) {
  Restarts run;
  const SessionId id = run.client().id;
  run.world.filter = [](const test::Datagram& each) {  // the client isn't told
    return each.from == 1 ? Fate::kDrop : Fate::kDeliver;
  };
  run.world.engine(1).terminate(run.world.now, World::peer(1, 0), Detail::kOperator);
  run.world.run_for(Millis{50});
  EXPECT_TRUE(run.kept().ended);
  EXPECT_EQ(run.kept().detail, Detail::kOperator);
  run.kill();
  run.world.run_with_data(Millis{3'000}, 20);
  test::expect_one_session(run.world);
  EXPECT_NE(run.client().id, id) << "a new one began";
  EXPECT_EQ(count_reason(run.world.node(1), EventKind::kReattach, Reason::kSessionExpired), 1U);
  EXPECT_EQ(run.world.engine(1).counters().resumes, 0U);
}

TEST(Resume, AnEndThatCouldNotBeWrittenIsAskedForAgain) {
  Restarts run;
  const SessionId id = run.client().id;
  run.store().full = true;
  run.world.filter = [](const test::Datagram& each) {  // the client isn't told
    return each.from == 1 ? Fate::kDrop : Fate::kDeliver;
  };
  run.world.engine(1).terminate(run.world.now, World::peer(1, 0), Detail::kOperator);
  run.world.run_for(Millis{50});
  run.world.filter = nullptr;
  run.world.run_with_data(Millis{6'000}, 20);
  EXPECT_NE(run.client().id, id) << "claimed, but its end waits to be written";
  EXPECT_FALSE(run.kept(id).ended);
  run.store().full = false;
  run.world.run_with_data(Millis{6'000}, 20);
  EXPECT_TRUE(run.kept(id).ended);
}

/// The gateway is idle: no other call takes the end along.
TEST(Resume, AnEndIsAskedForAgainByItself) {
  Restarts run;
  const SessionId id = run.client().id;
  run.store().full = true;
  run.world.filter = [](const test::Datagram&) { return Fate::kDrop; };
  run.world.engine(1).terminate(run.world.now, World::peer(1, 0), Detail::kOperator);
  run.world.run_for(Millis{50});
  run.store().full = false;
  run.world.run_for(Millis{2'000});
  EXPECT_TRUE(run.kept(id).ended);
  EXPECT_EQ(run.store().ended_of, run.store().epoch()) << "a later run may have to write it";
}

/// Else whoever asks for it could go on with what was told to have ended.
TEST(Resume, WhatHasEndedIsNotHandedOverBeforeTheStoreHasThat) {
  Restarts run;
  const SessionId id = run.client().id;
  const OwnershipNotice wanted{OwnershipNotice::Kind::kWanted, run.kept(id).peer, id, 77};
  run.store().full = true;
  run.world.filter = [](const test::Datagram&) { return Fate::kDrop; };
  run.world.engine(1).terminate(run.world.now, World::peer(1, 0), Detail::kOperator);
  run.world.run_for(Millis{50});
  run.store().full = false;
  run.store().wanted = wanted;
  run.world.run_for(Millis{50});
  EXPECT_TRUE(run.kept(id).ended || run.store().handed_over == 0);
  run.world.run_for(Millis{2'000});
  EXPECT_TRUE(run.kept(id).ended);
  run.store().wanted = wanted;
  run.world.run_for(Millis{50});
  EXPECT_EQ(run.store().handed_over, 1U) << "the question has to be taken away";
}

/// Control has stood still: the answer to the commit, and another's question, wait for it.
TEST(Resume, WhatIsHandedOverIsNotTakenByAnEarlierAnswer) {
  Restarts run;
  const SessionId id = run.client().id;
  run.kill();
  run.store().holds_commits = true;
  for (int ms = 0; ms < 2'000 && !run.store().held; ++ms) run.world.run_for(Millis{1});
  ASSERT_TRUE(run.store().held);
  run.world.filter = [](const test::Datagram&) { return Fate::kDrop; };
  run.store().holds_commits = run.store().held = false;
  run.store().wanted = {OwnershipNotice::Kind::kWanted, run.kept(id).peer, id, 77};
  run.world.run_for(Millis{50});
  EXPECT_EQ(run.store().handed_over, 1U);
  EXPECT_EQ(run.world.engine(1).counters().resumes, 0U);
  EXPECT_TRUE(run.world.node(1).tx.empty());
}

TEST(Resume, ARestartLengthensNoLife) {
  Restarts run(1, [](Policy& policy) {
    policy.session.max_lifetime = Millis{60'000};
    policy.session.transport_loss_ttl = Millis{20'000};
  });
  const SessionId id = run.client().id;
  const Millis born = run.client().born;
  run.world.run_with_data(Millis{30'000}, 100);
  run.kill();
  run.world.run_with_data(Millis{5'000}, 100);
  ASSERT_EQ(run.gateway().id, id);
  const Millis age = run.gateway().lived + (run.world.now - run.gateway().born);
  EXPECT_NEAR(static_cast<double>(age.value), static_cast<double>((run.world.now - born).value),
              50.0);
  run.world.engine(0).stop_dialling(test::kPeer);
  run.world.run_until(born + Millis{59'000});
  EXPECT_EQ(run.gateway().id, id);
  run.world.run_until(born + Millis{60'100});
  EXPECT_EQ(count_reason(run.world.node(1), EventKind::kStateChange, Reason::kTtlSessionExpired),
            1U);
  EXPECT_TRUE(run.kept(id).ended);
}

TEST(Resume, ASessionThatWaitedTooLongEndsWithItsReason) {
  Restarts run(1, [](Policy& policy) {
    policy.session.transport_loss_ttl = Millis{10'000};
    policy.switching.max_recovery_window = Millis{600'000};
  });
  const SessionId id = run.client().id;
  run.sessions.end_epoch(1, Millis{0});  // it was last seen long ago
  run.kill();
  run.sessions.end_epoch(1, Millis{0});
  run.world.run_with_data(Millis{3'000}, 20);
  test::expect_one_session(run.world);
  EXPECT_NE(run.client().id, id);
  const auto rows = run.world.node(1).events_of(EventKind::kStateChange);
  ASSERT_GE(rows.size(), 2U);
  EXPECT_EQ(rows[0].session, id);
  EXPECT_EQ(rows[0].to, State::kTerminated) << "explicitly, by whoever found it";
  EXPECT_EQ(rows[0].reason, Reason::kTtlTransportLossExpired);
}

/// The gateway lives, but nothing under the old keys gets through: the handshake goes beside.
TEST(Resume, ALivingSessionGoesOnUnderNewKeys) {
  Restarts run;
  const SessionId id = run.client().id;
  const StateVersion before = run.gateway().version;
  bool answered = false;
  run.world.filter = [&](const test::Datagram& each) {
    answered = answered || each.type() == MessageType::kResponse;
    const bool old =
        !answered && (each.type() == MessageType::kControl || each.type() == MessageType::kData);
    return old ? Fate::kDrop : Fate::kDeliver;
  };
  run.world.run_with_data(Millis{8'000}, 20);
  EXPECT_TRUE(answered);
  test::expect_one_session(run.world);
  EXPECT_EQ(run.client().id, id);
  EXPECT_EQ(run.world.engine(1).counters().resumes, 1U);
  EXPECT_LE(run.gateway().version.value, before.value + 8) << "without a gap";
  EXPECT_EQ(run.sessions_begun(), 1U);
}

TEST(Resume, NobodyTellsWhatCameUnderTheKeysOfBefore) {
  Restarts run(1, [](Policy& policy) {
    policy.switching.hold = Millis{60'000};
    policy.switching.hold_bytes = 1;
  });
  size_t untold = 0;
  run.world.node(1).on_settle = [&](std::span<const LaneReport> reports) {
    untold += reports.empty() ? 1 : 0;
  };
  bool answered = false;
  run.world.filter = [&](const test::Datagram& each) {
    answered = answered || each.type() == MessageType::kResponse;
    const bool old =
        !answered && (each.type() == MessageType::kControl || each.type() == MessageType::kData);
    return old ? Fate::kDrop : Fate::kDeliver;
  };
  run.world.run_with_data(Millis{8'000}, 20);
  EXPECT_EQ(run.world.engine(1).counters().resumes, 1U);
  EXPECT_EQ(untold, 1U);
}

/// Without a store that lives on, as ever: the session is replaced, for a reason.
TEST(Resume, AnUnknownSessionIsReplaced) {
  Restarts run;
  const SessionId id = run.client().id;
  run.kill();
  run.sessions = MemoryStore();
  run.world.restart(1, run.adjust());
  run.world.run_with_data(Millis{3'000}, 20);
  test::expect_one_session(run.world);
  EXPECT_NE(run.client().id, id);
  EXPECT_EQ(count_reason(run.world.node(1), EventKind::kReattach, Reason::kSessionNotFound), 1U);
  EXPECT_EQ(count_reason(run.world.node(1), EventKind::kSecurityEvent,
                         Reason::kSecSessionFixationAttempt),
            0U)
      << "it was a true claim";
}

}  // namespace
}  // namespace jvpn
