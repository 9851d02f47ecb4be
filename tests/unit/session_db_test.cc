// The file of sessions: who may write what, how long sessions have lived, what a crash leaves.
#include <algorithm>
#include <map>
#include <tuple>

#include "tests/support/random.h"
#include "tests/support/seed.h"
#include "tests/unit/store_rig.h"

namespace jvpn::test {
namespace {

TEST_F(SessionDbTest, ASessionIsAcquiredCommittedReservedAndEnded) {
  const auto db = open();
  EXPECT_EQ(ask(*db, call_for(Kind::kLoad, 1)).answer, OwnershipAnswer::kLost) << "not there yet";
  EXPECT_EQ(answer(*db, acquisition(1)), OwnershipAnswer::kCommitted);
  EXPECT_EQ(answer(*db, commit(1, 1, 3)), OwnershipAnswer::kCommitted);
  OwnershipCall reserve = call_for(Kind::kReserve, 1);
  reserve.ceiling = StateVersion{2'049};
  EXPECT_EQ(answer(*db, reserve), OwnershipAnswer::kCommitted);
  const StoredSession kept = load(*db, 1);
  EXPECT_EQ(kept.id, session_id(1));
  EXPECT_EQ(kept.binding_version, BindingVersion{3});
  EXPECT_EQ(kept.ceiling, StateVersion{2'049});
  EXPECT_EQ(kept.policy_version, 7U);
  EXPECT_EQ(kept.address_count, 1U);
  EXPECT_EQ(to_string(kept.inner_addresses[0]), "10.9.0.2/32");
  EXPECT_EQ(kept.epoch, db->epoch());
  EXPECT_FALSE(kept.ended);
  OwnershipCall release = call_for(Kind::kRelease, 1);
  release.record.reason = Reason::kTtlSessionExpired;
  EXPECT_EQ(answer(*db, release), OwnershipAnswer::kCommitted);
  EXPECT_TRUE(load(*db, 1).ended);
  EXPECT_EQ(load(*db, 1).reason, Reason::kTtlSessionExpired);
  EXPECT_EQ(answer(*db, commit(1, 3, 5)), OwnershipAnswer::kLost) << "it never comes back";
  EXPECT_EQ(answer(*db, acquisition(1)), OwnershipAnswer::kLost);
}

TEST_F(SessionDbTest, AVersionIsComparedAndNeverFalls) {
  const auto db = open();
  answer(*db, acquisition(1));
  const OwnershipReply lost = ask(*db, commit(1, 2, 4));
  EXPECT_EQ(lost.answer, OwnershipAnswer::kConflict);
  EXPECT_EQ(lost.found->binding_version, BindingVersion{1}) << "what a retry has to expect";
  EXPECT_EQ(answer(*db, commit(1, 1, 3)), OwnershipAnswer::kCommitted);
  EXPECT_EQ(answer(*db, commit(1, 1, 5)), OwnershipAnswer::kConflict) << "one of two that race";
  // The answer to the commit of 3 was lost: the next one expects what was there, or that.
  OwnershipCall retry = commit(1, 1, 3);
  retry.attempted = BindingVersion{3};
  EXPECT_EQ(answer(*db, retry), OwnershipAnswer::kCommitted);
  retry.next = BindingVersion{2};
  EXPECT_EQ(answer(*db, retry), OwnershipAnswer::kConflict);
  EXPECT_EQ(load(*db, 1).binding_version, BindingVersion{3});
}

TEST_F(SessionDbTest, ALaterRunTakesOverAndFencesTheEarlier) {
  const auto first = open();
  answer(*first, acquisition(1));
  answer(*first, acquisition(2, 2));
  const auto second = open();
  EXPECT_GT(second->epoch(), first->epoch());
  EXPECT_EQ(answer(*second, commit(1, 1, 1'026)), OwnershipAnswer::kLost) << "it isn't ours yet";
  EXPECT_EQ(answer(*second, commit(1, 1, 1'026, first->epoch())), OwnershipAnswer::kCommitted);
  const OwnershipReply fenced = ask(*first, commit(1, 1, 3));
  EXPECT_EQ(fenced.answer, OwnershipAnswer::kLost);
  EXPECT_EQ(fenced.found->epoch, second->epoch());
  EXPECT_EQ(answer(*first, call_for(Kind::kRelease, 1)), OwnershipAnswer::kLost)
      << "only the owner ends it";
  EXPECT_EQ(answer(*first, commit(2, 1, 3)), OwnershipAnswer::kCommitted) << "the other is its own";
}

TEST_F(SessionDbTest, APeersNewSessionReplacesWhatAnotherRunLeft) {
  open()->apply(std::vector{acquisition(1, 5), acquisition(2, 6)}, time,
                *std::make_unique<std::vector<OwnershipReply>>());
  pass(Millis{7'000});
  const auto db = open();
  const OwnershipReply reply = ask(*db, acquisition(3, 5));
  ASSERT_TRUE(reply.found) << "whose end has to be told";
  EXPECT_EQ(reply.found->id, session_id(1));
  EXPECT_EQ(reply.found->lived, Millis{7'000});
  EXPECT_TRUE(load(*db, 1).ended);
  EXPECT_EQ(load(*db, 1).detail, Detail::kSuperseded);
  EXPECT_FALSE(load(*db, 2).ended) << "another peer's";
}

TEST_F(SessionDbTest, LivesGoOnOverARestartAndNeverGrow) {
  auto db = open();
  OwnershipCall call = acquisition(1);
  call.record.lived = Millis{10'000};
  answer(*db, call);
  pass(Millis{60'000});
  EXPECT_EQ(load(*db, 1).lived, Millis{70'000});
  EXPECT_EQ(load(*db, 1).unserved, Millis{0});
  db->touch(time);
  db = nullptr;
  pass(Millis{5'000});
  time.wall_ms -= 3'600'000;  // a wall clock that was set back is no matter within a boot
  db = open();
  pass(Millis{1'000});
  StoredSession kept = load(*db, 1);
  EXPECT_EQ(kept.lived, Millis{76'000});
  EXPECT_EQ(kept.unserved, Millis{6'000}) << "since it was last known to run";
  answer(*db, commit(1, 1, 1'026, kept.epoch));
  EXPECT_EQ(load(*db, 1).lived, Millis{76'000});
  EXPECT_EQ(load(*db, 1).unserved, Millis{0});
  time.wall_ms += 3'600'000;
  pass(Millis{4'000});
  db->touch(time);
  reboot(Millis{30'000});
  db = open();
  kept = load(*db, 1);
  EXPECT_EQ(kept.lived, Millis{76'000 + 4'000 + 30'000 + 3'600'000}) << "by the wall clock";
  EXPECT_EQ(kept.unserved, Millis{30'000});
}

TEST_F(SessionDbTest, AWallClockThatWasSetBackTakesNoTimeAway) {
  auto db = open();
  answer(*db, acquisition(1));
  pass(Millis{50'000});
  db->touch(time);
  reboot(Millis{0});
  time.wall_ms -= 86'400'000;
  time.boot = Millis{20'000};
  db = open();
  EXPECT_EQ(load(*db, 1).lived, Millis{70'000}) << "before the reboot, and since it";
  EXPECT_EQ(load(*db, 1).unserved, Millis{20'000});
}

TEST_F(SessionDbTest, AChangedRecordIsRefusedByName) {
  for (const char* change :
       {"peer = zeroblob(32)", "epoch = epoch + 1", "binding_version = 0", "ceiling = 1",
        "policy_version = 9", "lived = 5", "written_wall = 1", "written_boot = 1",
        "addresses = zeroblob(18)", "addresses = x'0102'", "reason = 3", "detail = 3",
        "ended_wall = 5", "mac = zeroblob(32)", "mac = x''"}) {
    SCOPED_TRACE(change);
    std::filesystem::remove(file());
    auto db = open();
    answer(*db, acquisition(1));
    answer(*db, acquisition(2, 2));
    ASSERT_TRUE(
        store::execute(store::open_file(file())->get(),
                       std::string("UPDATE sessions SET ") + change +
                           " WHERE id = zeroblob(0) OR id = (SELECT min(id) FROM sessions)"));
    EXPECT_EQ(answer(*db, call_for(Kind::kLoad, 1)), OwnershipAnswer::kTampered);
    EXPECT_EQ(answer(*db, commit(1, 1, 3)), OwnershipAnswer::kTampered);
    EXPECT_EQ(answer(*db, call_for(Kind::kLoad, 2)), OwnershipAnswer::kCommitted);
  }
}

/// Time without an owner could be hidden by a changed epoch.
TEST_F(SessionDbTest, AChangedEpochSpoilsItsSessions) {
  auto db = open();
  answer(*db, acquisition(1));
  db = open();
  ASSERT_TRUE(store::execute(store::open_file(file())->get(),
                             "UPDATE epochs SET seen_wall = seen_wall + 1 WHERE epoch = 1"));
  EXPECT_EQ(answer(*db, call_for(Kind::kLoad, 1)), OwnershipAnswer::kTampered);
}

TEST_F(SessionDbTest, WhatEndedLongAgoIsForgotten) {
  auto db = open();
  answer(*db, acquisition(1));
  answer(*db, acquisition(2, 2));
  answer(*db, call_for(Kind::kRelease, 1));
  pass(Millis{3'600'000});
  db->prune(time);
  EXPECT_TRUE(load(*db, 1).ended);
  pass(Millis{86'400'000});
  db->prune(time);
  EXPECT_EQ(answer(*db, call_for(Kind::kLoad, 1)), OwnershipAnswer::kLost);
  EXPECT_FALSE(load(*db, 2).ended);
}

/// A peer that begins anew again and again doesn't fill the disk.
TEST_F(SessionDbTest, ASessionThatGaveWayLeavesNothing) {
  auto db = open();
  answer(*db, acquisition(1));
  OwnershipCall release = call_for(Kind::kRelease, 1);
  release.record.detail = Detail::kSuperseded;
  EXPECT_EQ(answer(*db, release), OwnershipAnswer::kCommitted);
  EXPECT_EQ(answer(*db, call_for(Kind::kLoad, 1)), OwnershipAnswer::kLost);
}

TEST_F(SessionDbTest, WithoutABootsNameTheWallClockCounts) {
  const StoreTime then{1'000, Millis{500'000}, ""};
  EXPECT_EQ(store::elapsed(then, {61'000, Millis{100}, ""}, Millis{}), Millis{60'000});
}

TEST_F(SessionDbTest, WhatCantBeWrittenIsUnavailableAndLeavesNoTrace) {
  const auto db = open();
  answer(*db, acquisition(1));
  const auto opened = store::open_file(file());
  ASSERT_TRUE(opened.ok());
  ASSERT_TRUE(store::execute(opened->get(),
                             "CREATE TRIGGER full BEFORE INSERT ON sessions WHEN "
                             "NEW.binding_version = 5 BEGIN SELECT RAISE(FAIL, 'full'); "
                             "END"));
  std::vector<OwnershipReply> replies;
  db->apply(std::vector{commit(1, 1, 3), commit(1, 3, 5)}, time, replies);
  ASSERT_EQ(replies.size(), 2U);
  EXPECT_EQ(replies[0].answer, OwnershipAnswer::kCommitted) << "one alone is refused";
  EXPECT_EQ(replies[1].answer, OwnershipAnswer::kUnavailable);
  EXPECT_NE(db->trouble().find("full"), std::string::npos) << db->trouble();
  EXPECT_EQ(load(*db, 1).binding_version, BindingVersion{3});
}

// ---- Crashes.

/// What loads of all sessions give.
using World = std::map<uint8_t, std::tuple<uint64_t, uint64_t, bool>>;

class CrashTest : public SessionDbTest {
 protected:
  static constexpr uint8_t kSessions = 6;

  World seen_by(SessionDb& db) {
    World world;
    for (uint8_t each = 1; each <= kSessions; ++each) {
      const OwnershipReply reply = ask(db, call_for(Kind::kLoad, each));
      if (!reply.found) continue;
      world[each] = {reply.found->binding_version.value, reply.found->ceiling.value,
                     reply.found->ended};
    }
    return world;
  }
  std::vector<OwnershipCall> some_calls(Random& random, SessionDb& db) {
    std::vector<OwnershipCall> calls;
    for (uint64_t left = 1 + random.below(5); left > 0; --left) {
      const auto session = static_cast<uint8_t>(1 + random.below(kSessions));
      const OwnershipReply now = ask(db, call_for(Kind::kLoad, session));
      const uint64_t version = now.found ? now.found->binding_version.value : 1;
      OwnershipCall call = acquisition(session, session);
      if (now.found && random.below(8) == 0) {
        call = call_for(Kind::kRelease, session);
      } else if (now.found) {
        call = commit(session, version, version + 1 + random.below(3), now.found->epoch);
      }
      calls.push_back(call);
    }
    return calls;
  }
  /// What a crash leaves: the database, and as much of the log as had reached the disk.
  void copy_to(const std::string& path, size_t log_bytes) const {
    write_bytes(path, bytes_in(file()));
    write_bytes(path + "-wal", bytes_in(file() + "-wal").substr(0, log_bytes));
  }
};

/// However much of the log is there, what comes back is a state that was committed, and the latest
/// one when all of it is.
TEST_F(CrashTest, OnlyCommittedStatesComeBack) {
  const uint64_t seed = run_seed();
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
  Random random(seed);
  auto db = open();
  std::vector<World> committed{seen_by(*db)};
  size_t log_of_first = bytes_in(file() + "-wal").size();
  for (int round = 0; round < rounds(60); ++round) {
    std::vector<OwnershipReply> replies;
    db->apply(some_calls(random, *db), time, replies);
    committed.push_back(seen_by(*db));
    const size_t log = bytes_in(file() + "-wal").size();
    const bool whole = random.below(2) == 0;
    const size_t kept = whole ? log : log_of_first + random.below(log - log_of_first + 1);
    const std::string copy = folder / ("copy" + std::to_string(round));
    copy_to(copy, kept);
    auto recovered = SessionDb::open(copy, record_key_of(1), time);
    ASSERT_TRUE(recovered.ok()) << recovered.error().message;
    const World world = seen_by(**recovered);
    if (whole) {
      EXPECT_EQ(world, committed.back()) << "round " << round;
    } else {
      EXPECT_NE(std::ranges::find(committed, world), committed.end()) << "round " << round;
    }
  }
}

/// Runs that crash at any time, one after the other: whatever version was answered for, what comes
/// back isn't lower, and nothing that ended comes back.
TEST_F(CrashTest, NoVersionFallsAndNothingThatEndedComesBack) {
  const uint64_t seed = run_seed();
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
  Random random(seed);
  World highest;
  auto db = open();
  for (int round = 0; round < rounds(150); ++round) {
    const std::vector<OwnershipCall> calls = some_calls(random, *db);
    std::vector<OwnershipReply> replies;
    db->apply(calls, time, replies);
    for (size_t i = 0; i < calls.size(); ++i) {
      if (replies[i].answer != OwnershipAnswer::kCommitted) continue;
      auto& [version, ceiling, ended] = highest[calls[i].session.bytes[0]];
      if (calls[i].kind == Kind::kCommit) {
        EXPECT_GT(calls[i].next.value, version) << "a version was given twice";
        version = calls[i].next.value;
      }
      if (calls[i].kind == Kind::kAcquire) version = std::max<uint64_t>(version, 1);
      EXPECT_FALSE(ended) << "it had ended";
      ended = calls[i].kind == Kind::kRelease;
    }
    pass(Millis{random.below(5'000)});
    if (random.below(4) != 0) continue;
    const std::string next = folder / ("run" + std::to_string(round));
    copy_to(next, SIZE_MAX);  // killed: the kernel still has what was written
    db = nullptr;
    std::filesystem::rename(next, file());
    std::filesystem::rename(next + "-wal", file() + "-wal");
    std::filesystem::remove(file() + "-shm");
    if (random.below(3) == 0) reboot(Millis{1'000}, "boot " + std::to_string(round));
    db = open();
    for (const auto& [session, at] : seen_by(*db)) {
      EXPECT_EQ(std::get<0>(at), std::get<0>(highest[session]));
      EXPECT_EQ(std::get<2>(at), std::get<2>(highest[session]));
    }
  }
}

}  // namespace
}  // namespace jvpn::test
