// What a responder refuses, and that refusing changes nothing; races, replays, slow stores.
#include "control/jump/reattach_checks.h"

#include <gtest/gtest.h>

#include "common/limits.h"
#include "tests/matrix/stores.h"
#include "tests/support/jumper.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn {
namespace {

using namespace test;
using wire::MessageType;

TEST(Reattach, ReplayedMessagesMutateNothing) {
  Jumper world;
  world.lose(0);
  world.run_for(Millis{100});
  world.expect_on(1);
  const std::vector<Datagram> captured = world.sent;
  const StateVersion version = world.node(1).session().version;
  const uint64_t before = world.engine(1).counters().control_replayed;
  for (const Datagram& datagram : captured) {
    if (datagram.type() == MessageType::kControl) world.deliver(datagram);
  }
  EXPECT_GT(world.engine(1).counters().control_replayed, before);
  EXPECT_EQ(world.node(1).session().version, version);
  EXPECT_GT(count_reason(world.node(1), EventKind::kSecurityEvent, Reason::kSecReplayAttempt), 0U);
  world.run_for(Millis{1'000});
  world.expect_on(1);
  EXPECT_EQ(world.engine(1).counters().reattach_commits, 1U);
}

struct BadRequest {
  const char* name;
  void (*spoil)(Forger&);
  Reason reason;
  Detail detail;
  const char* check;
};

const BadRequest kBadRequests[] = {
    {"another session", [](Forger& f) { f.message.session_id[0] ^= 1; }, Reason::kSessionNotFound,
     Detail::kNone, "exists"},
    {"old clock", [](Forger& f) { f.message.clock_ms -= 5'001; }, Reason::kFreshnessInvalid,
     Detail::kStaleTime, "freshness"},
    {"clock ahead", [](Forger& f) { f.message.clock_ms += 5'001; }, Reason::kFreshnessInvalid,
     Detail::kStaleTime, "freshness"},
    {"nonce 0", [](Forger& f) { f.message.nonce = 0; }, Reason::kReplayDetected, Detail::kNone,
     "nonce"},
    {"stale version", [](Forger& f) { --f.message.binding_version; }, Reason::kFreshnessInvalid,
     Detail::kStaleVersion, "binding_version"},
    {"future version", [](Forger& f) { ++f.message.binding_version; }, Reason::kFreshnessInvalid,
     Detail::kFutureVersion, "binding_version"},
    {"dual active", [](Forger& f) { f.message.retire_active = 0; }, Reason::kPolicyDeny,
     Detail::kDualActive, "dual_active"},
    {"other lanes", [](Forger& f) { f.message.lanes = 9; }, Reason::kPolicyDeny,
     Detail::kCandidateRefused, "candidate"},
    {"on the active index", [](Forger& f) { f.spare = f.active; }, Reason::kFreshnessInvalid,
     Detail::kStaleVersion, "candidate"},
};

TEST(Reattach, ChecksRefuseInTheirOrder) {
  for (const BadRequest& bad : kBadRequests) {
    SCOPED_TRACE(bad.name);
    Jumper world;
    Forger forger(world);
    bad.spoil(forger);
    forger.send(forger.spare);
    const auto events = world.node(1).events_of(EventKind::kReattach);
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].reason, bad.reason);
    EXPECT_EQ(events[0].detail, bad.detail);
    EXPECT_STREQ(events[0].check, bad.check);
    EXPECT_STREQ(events[0].result, "reject");
    EXPECT_EQ(forger.sent(kSealed<wire::ReattachReject>), 1U);
    EXPECT_EQ(forger.sent(kSealed<wire::ReattachChallenge>), 0U);
    EXPECT_EQ(world.node(1).session().version, StateVersion{1});
    world.run_for(Millis{3'000});
    world.expect_on(0);
  }
}

TEST(Reattach, AGoodRequestIsChallengedAndMutatesNothing) {
  Jumper world;
  Forger forger(world);
  forger.send(forger.spare);
  EXPECT_EQ(forger.sent(kSealed<wire::ReattachChallenge>), 1U);
  EXPECT_EQ(world.sent.size(), 1U);
  EXPECT_LE(world.sent[0].bytes.size(), kSealed<wire::ReattachRequest>);
  EXPECT_TRUE(world.node(1).events_of(EventKind::kReattach).empty());
  forger.send(forger.spare);  // the same nonce under another counter
  EXPECT_EQ(count_reason(world.node(1), EventKind::kReattach, Reason::kReplayDetected), 1U);
  EXPECT_EQ(world.node(1).session().version, StateVersion{1});
}

TEST(Reattach, EndedSessionsAreRememberedAsExpired) {
  Jumper world;
  const SessionId ended = world.id;
  world.engine(0).terminate(world.now, kPeer, Detail::kOperator);
  world.run_for(Millis{50});
  world.connect();
  Forger forger(world);
  forger.message.session_id = ended.bytes;
  forger.message.binding_version = 1;
  forger.send(forger.spare);
  EXPECT_EQ(count_reason(world.node(1), EventKind::kReattach, Reason::kSessionExpired), 1U);
}

TEST(Reattach, FloodIsLimited) {
  Jumper world;
  Forger forger(world);
  size_t challenges = 0;
  for (int i = 0; i < 1'000; ++i) {
    ++forger.message.nonce;
    forger.send(forger.spare);
    challenges += forger.sent(kSealed<wire::ReattachChallenge>);
  }
  EXPECT_EQ(challenges, 10U);
  EXPECT_EQ(world.engine(1).counters().reattach_refused, 990U);
  EXPECT_GT(count_reason(world.node(1), EventKind::kReattach, Reason::kRateLimited), 0U);
  EXPECT_LE(world.node(1).events_of(EventKind::kReattach).size(), 10U);
  EXPECT_EQ(world.node(1).session().version, StateVersion{1});
}

TEST(Reattach, ResponseFromAnotherAddressIsRefused) {
  Jumper world;
  world.rewrite = [&](Datagram& datagram) {
    const bool response = is_control_of(datagram, 0, kSealed<wire::ReattachResponse>);
    if (response && datagram.network() != 0) datagram.path.remote.port = 4'444;
  };
  world.jump(1);
  world.run_for(Millis{900});
  world.expect_on(0);
  EXPECT_EQ(world.node(1).changes().size(), 1U);
  EXPECT_GT(count_reason(world.node(1), EventKind::kReattach, Reason::kAuthFail), 0U);
  EXPECT_GT(
      count_reason(world.node(1), EventKind::kSecurityEvent, Reason::kSecSessionFixationAttempt),
      0U);
  world.rewrite = nullptr;
  world.jump(1);
  world.run_for(Millis{500});
  world.expect_on(1);
}

// Two requests over two paths, both challenged; their responses come in any order.
TEST(Reattach, OfTwoRacingRequestsExactlyOneCommits) {
  constexpr uint64_t kSeeds = test::rounds(1'000);
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Jumper world(seed);
    test::Random random(seed);
    std::vector<Datagram> responses;
    world.filter = [&](const Datagram& datagram) {
      const bool held =
          datagram.network() != 0 && is_control_of(datagram, 0, kSealed<wire::ReattachResponse>);
      if (held) responses.push_back(datagram);
      return held ? Fate::kDrop : Fate::kDeliver;
    };
    world.jump(1);
    world.run_for(Millis{50 + random.below(900)});
    world.engine(0).path_lost(world.now, kPeer, path_between(0, 1, 1));
    world.jump(2);
    world.run_for(Millis{20 + random.below(100)});
    ASSERT_GE(responses.size(), 2U);
    if (random.chance(0.5)) std::ranges::reverse(responses);
    for (const Datagram& response : responses) world.deliver(response);
    EXPECT_EQ(world.engine(1).counters().reattach_commits, 1U);
    world.filter = nullptr;
    world.run_for(Millis{300});
    world.expect_on(2);
    if (HasFailure()) break;
  }
}

TEST(Reattach, SwitchRateDegrades) {
  Jumper world(
      1, [](size_t, EngineConfig& config) { config.policy.switching.max_switches_per_min = 2; });
  for (const size_t network : {size_t{1}, size_t{2}}) {
    world.run_for(Millis{2'000});
    world.jump(network);
    world.run_for(Millis{100});
    world.expect_on(network);
  }
  world.run_for(Millis{2'000});
  world.jump(0);  // our own initiator holds back
  world.run_for(Millis{100});
  world.expect_on(2);
  Forger forger(world);
  for (const auto& [index, install] : world.node(1).rx) {
    if (install.first_lane.value > world.node(1).tx.at(0).first_lane.value) {
      forger.spare = ReceiverIndex{index};
    }
  }
  forger.send(forger.spare);
  EXPECT_EQ(world.node(1).changes().back(), "ATTACHED>DEGRADED ENTER_DEGRADED_MODE:switch_rate");
  EXPECT_EQ(
      count_reason(world.node(1), EventKind::kTransportSwitch, Reason::kTransportSwitchDenied), 1U);
  EXPECT_EQ(world.node(1).tx.size(), 1U);  // goes on over the path that it has
}

/// A store that answers when it is told to.
TEST(Reattach, CommitThatTakesItsTime) {
  for (const OwnershipAnswer answer :
       {OwnershipAnswer::kCommitted, OwnershipAnswer::kConflict, OwnershipAnswer::kUnavailable}) {
    test::TestStore store;
    Jumper world(1, [&](size_t node, EngineConfig& config) {
      if (node == 1) config.ownership = &store.client();
    });
    store.late = true;
    world.jump(1);
    world.run_with_data(Millis{300}, 5);
    ASSERT_EQ(store.waiting.size(), 1U);
    EXPECT_EQ(world.node(1).session().version, StateVersion{1});
    EXPECT_EQ(world.network_of(1), 0U);  // the old binding carries everything
    store.answer(world.now, answer);
    world.run_with_data(Millis{20}, 5);
    if (answer == OwnershipAnswer::kCommitted) {
      world.expect_on(1);
      EXPECT_TRUE(store.waiting.empty());
    } else {
      EXPECT_EQ(world.node(1).session().version, StateVersion{1});
      EXPECT_EQ(count_reason(world.node(1), EventKind::kReattach, Reason::kOwnershipConflict), 1U);
      EXPECT_EQ(
          count_reason(world.node(1), EventKind::kSecurityEvent, Reason::kSecOwnershipAnomaly), 1U);
    }
    EXPECT_EQ(world.node(0).lost + world.node(1).lost, 0U);
  }
}

TEST(Reattach, TokenVouchesForEveryPart) {
  auto mac = MessageMac::create();
  ASSERT_TRUE(mac.ok());
  MacKey key;
  mac->expand(std::array<uint8_t, 16>{7}, key);
  const TokenClaim claim{SessionId{{1}}, test::endpoint_of(0), 5, BindingVersion{3},
                         ReceiverIndex{1}};
  const Mac token = token_of(*mac, key, claim);
  EXPECT_EQ(token_of(*mac, key, claim), token);
  std::vector<TokenClaim> others(7, claim);
  others[0].session.bytes[15] = 1;
  others[1].address.port = 1;
  others[2].address.address.bytes[0] = 1;
  others[3].nonce = 6;
  others[4].version = BindingVersion{4};
  others[5].index = ReceiverIndex{2};
  others[6].epoch = 1;
  for (const TokenClaim& other : others) EXPECT_NE(token_of(*mac, key, other), token);
}

}  // namespace
}  // namespace jvpn
