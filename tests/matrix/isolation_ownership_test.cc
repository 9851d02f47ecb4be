// Failure isolation, sections 7 and 9, with each store that the product has: a gateway cut off from
// the others or from the store, and a failure of one kind that must not become one of another.
//
// Whether a gateway is silent when it should be is told to it here (TestStore::prove()), in the
// rig's time. That the time itself is right is ClusterNode.*'s, the simulation's and `cluster_*`'s.
#include <utility>

#include <rte_cycles.h>

#include "tests/matrix/bad_requests.h"
#include "tests/matrix/each_store.h"
#include "tests/matrix/forger.h"
#include "tests/support/rooms.h"
#include "tests/unit/event_rig.h"

namespace jvpn::test {
namespace {

using wire::ControlType;

constexpr PeerId kClient{0};
constexpr Millis kProvenLong{UINT64_MAX / 2};

/// By what its workers read: it has the session's keys, and may use them.
bool carries(Rig& rig, size_t gateway) {
  const SessionTable& table = rig.gateway(gateway).sessions();
  const TxRecord* const record = table.tx(kClient);
  return record != nullptr && (!record->owned || rte_rdtsc() <= table.silent_after());
}

/// After each step: of all gateways at most one carries.
void watch_carriers(Rig& rig) {
  rig.after_step = [&rig, told = false]() mutable {
    size_t carriers = 0;
    for (size_t i = 0; i < rig.gateways(); ++i) carriers += carries(rig, i);
    if (carriers > 1 && !std::exchange(told, true))
      ADD_FAILURE() << carriers << " carry it at " << rig.now().value;
  };
}

/// The client reaches the second gateway alone.
void part_from_first(Rig& rig) {
  rig.cut({0, 1, 2});
  rig.set_candidates(0, {kPaths, kPaths + 1});
}

// ---- Section 7.

/// A session goes nowhere, neither to another path nor to another gateway, while nobody can ask
/// whose it is; and goes on where it was.
void unreachable(TestStore& store) {
  store.durable = true;
  Rig rig(with(store, 2));
  rig.connect();
  const SessionId id = rig.at_gateway().id;
  const Still still(rig);
  store.cut_off(true);
  EXPECT_FALSE(rig.jump(1));
  EXPECT_GE(rig.gateway().events().count(EventKind::kReattach, Reason::kOwnershipConflict), 1U);
  still.expect();
  store.cut_off(false);
  rig.run_for(Millis{3'000});
  ASSERT_TRUE(rig.jump(1));
  rig.gateway().engine().shutdown(rig.now());
  store.stop(0, rig.now());
  store.cut_off(true);
  part_from_first(rig);
  const EventBook& other = rig.gateway(1).events();
  EXPECT_TRUE(
      rig.run_until([&] { return other.count(Reason::kOwnershipConflict) != 0; }, Millis{8'000}));
  EXPECT_EQ(rig.at_gateway(0, 1).id, SessionId{}) << "not even if its former owner is gone";
  EXPECT_FALSE(carries(rig, 1));
  store.cut_off(false);
  ASSERT_TRUE(rig.run_until([&] { return rig.at_gateway(0, 1).id == id; }, Millis{8'000}));
  rig.run_for(Millis{100});
  EXPECT_TRUE(rig.serves());
}
TEST(Partition, NoReattachWhileTheStoreCannotBeReached) {
  with_each_store(unreachable);
}

/// Its gateway can't be reached, and nothing shows that it is over: the session ends, with a
/// reason, at both. Not expressible of a file: no second gateway has it.
void ends_instead(TestStore& store) {
  if (!store.tells_who_runs()) return;
  Rig rig(with(store, 2));
  rig.connect();
  const SessionId id = rig.at_gateway().id;
  watch_carriers(rig);
  part_from_first(rig);
  const EventBook& other = rig.gateway(1).events();
  EXPECT_TRUE(rig.run_until([&] { return rig.in_state(State::kTerminated); }, Millis{20'000}));
  EXPECT_TRUE(rig.run_until([&] { return rig.at_client().id != id; }, Millis{20'000}));
  const auto ended = [&](const EventBook& book) {
    return std::ranges::count_if(book.lines(), [&](const ToldEvent& line) {
      return line.session == to_string(id) && line.to == "TERMINATED" &&
             line.reason == to_string(Reason::kTtlTransportLossExpired);
    });
  };
  EXPECT_EQ(ended(rig.gateway().events()), 1);
  EXPECT_EQ(ended(rig.client().events()), 1);
  EXPECT_GE(other.count(Reason::kOwnershipConflict), 1U) << "it was asked for";
  EXPECT_EQ(other.count(EventKind::kOwnershipChange, Reason::kSessionResumed), 0U);
  ASSERT_TRUE(
      rig.run_until([&] { return rig.at_gateway(0, 1).state == State::kAttached; }, Millis{9'000}));
  EXPECT_NE(rig.at_gateway(0, 1).id, id) << "what comes then is another";
  EXPECT_TRUE(rig.serves());
}
TEST(Partition, ASessionEndsRatherThanIsServedTwice) {
  with_each_store(ends_instead);
}

/// One gateway's end of a store, one call after the other.
class End {
 public:
  End(TestStore& store, const PublicKey& peer) : ownership_(store.client()), peer_(peer) {}
  OwnershipReply ask(OwnershipCall call) {
    call.record.peer = peer_;
    EXPECT_TRUE(ownership_.ask(Millis{1}, call));
    return ownership_.take().value();
  }
  OwnershipAnswer answer(const OwnershipCall& call) { return ask(call).answer; }
  uint64_t epoch() const { return ownership_.epoch(); }

 private:
  Ownership& ownership_;
  PublicKey peer_;
};

/// Three gateways that don't hear of each other: one had the session, two found it at once. One
/// gets it; of the others not one write is carried out.
void split_brain(TestStore& store) {
  const OwnershipCall begun = acquisition(7);
  End old(store, begun.record.peer);
  End fast(store, begun.record.peer);
  End slow(store, begun.record.peer);
  ASSERT_EQ(old.answer(begun), OwnershipAnswer::kCommitted);
  store.stop(0, Millis{1});
  const uint64_t found = fast.ask(call_for(Kind::kLoad, 7)).found.value().epoch;
  ASSERT_EQ(slow.ask(call_for(Kind::kLoad, 7)).found.value().epoch, found);
  EXPECT_EQ(fast.answer(commit(7, 1, 2, found)), OwnershipAnswer::kCommitted);
  EXPECT_EQ(slow.answer(commit(7, 1, 2, found)), OwnershipAnswer::kLost);
  OwnershipCall reserve = call_for(Kind::kReserve, 7);
  reserve.ceiling = StateVersion{1'000'000};
  const OwnershipCall release = call_for(Kind::kRelease, 7);
  for (End* each : {&slow, &old}) {
    EXPECT_NE(each->answer(commit(7, 1, 9)), OwnershipAnswer::kCommitted);
    EXPECT_NE(each->answer(commit(7, 2, 9)), OwnershipAnswer::kCommitted);
    EXPECT_NE(each->answer(reserve), OwnershipAnswer::kCommitted);
    EXPECT_NE(each->answer(release), OwnershipAnswer::kCommitted);
  }
  const StoredSession kept = fast.ask(call_for(Kind::kLoad, 7)).found.value();
  EXPECT_EQ(kept.epoch, fast.epoch());
  EXPECT_EQ(kept.binding_version, BindingVersion{2});
  EXPECT_LT(kept.ceiling, reserve.ceiling);
  EXPECT_FALSE(kept.ended);
  EXPECT_EQ(fast.answer(commit(7, 2, 3)), OwnershipAnswer::kCommitted);
}
TEST(Partition, OfTwoThatFindASessionOneGetsIt) {
  with_each_store(split_brain);
}

// ---- Section 9.

/// Paths die: nobody is suspected of anything, no owner is in doubt, and the store hears of the
/// commits alone.
void transport_only(TestStore& store) {
  Rig rig(with(store));
  rig.connect();
  const SessionId id = rig.at_gateway().id;
  for (size_t deaths = 1; deaths <= 3; ++deaths) {
    const size_t next = deaths % kPaths;
    rig.mend_all();
    for (size_t path = 0; path < kPaths; ++path)
      if (path != next) rig.wire(path).cut();
    rig.run_for(Millis{9'000});
    rig.expect_on(next);
    EXPECT_EQ(store.commits, deaths);
  }
  EXPECT_EQ(rig.at_gateway().id, id);
  EXPECT_EQ(store.kept(id)->binding_version, rig.at_gateway().binding);
  for (const EventBook* book : {&rig.gateway().events(), &rig.client().events()}) {
    for (const ToldEvent& line : book->lines())
      EXPECT_NE(line.event, to_string(EventKind::kSecurityEvent)) << line.reason;
    EXPECT_EQ(book->count(Reason::kOwnershipConflict), 0U);
  }
}
TEST(Cascade, DeadPathsRaiseNoSuspicion) {
  with_each_store(transport_only);
}

/// What is refused for its proof comes to no store and starts no recovery, however often.
void denied(TestStore& store) {
  Rig rig(with(store));
  rig.connect();
  const Still still(rig);
  const StoredSession before = store.kept(rig.at_gateway().id).value();
  Forger forger(rig);
  for (int round = 0; round < 10; ++round) {
    for (const BadRequest& bad : kBadRequests) {
      wire::ReattachRequest request = forger.request();
      bad.spoil(request);
      rig.inject(forger.seal(forger.spare(), 1, bytes_of(request)));
    }
    rig.run_for(Millis{1'000});
    ASSERT_EQ(rig.gateway().events().count(Reason::kRecoveryStart), 0U);
  }
  EXPECT_EQ(store.commits, 0U);
  const StoredSession after = store.kept(before.id).value();
  EXPECT_EQ(after.binding_version, before.binding_version);
  EXPECT_EQ(after.ceiling, before.ceiling);
  EXPECT_FALSE(after.ended);
  EXPECT_GT(rig.gateway().events().count(Reason::kFreshnessInvalid), 0U);
  still.expect();
}
TEST(Cascade, DenialsStartNoRecovery) {
  with_each_store(denied);
}

/// A store that answers no commit: the recovery that waits for it is one, asks now and then, and
/// ends with the time that the session has without a path.
void refused_for_ever(TestStore& store) {
  Rig rig(with(store));
  rig.connect();
  const Policy policy = rig.gateway().engine().policy();
  store.answers = false;
  rig.cut({0});
  const Millis limit = policy.session.transport_loss_ttl + Millis{1'000};
  ASSERT_TRUE(rig.run_until([&] { return rig.in_state(State::kTerminated); }, limit));
  const EventBook& events = rig.gateway().events();
  constexpr uint64_t kLeastGapMs = 100;
  const size_t refused = events.count(EventKind::kReattach, Reason::kOwnershipConflict);
  EXPECT_GE(refused, 1U);
  EXPECT_LE(refused, limit.value / kLeastGapMs);
  EXPECT_EQ(events.count(EventKind::kStateChange, Reason::kRecoveryStart), 1U);
  EXPECT_TRUE(events.changes().back().ends_with(">TERMINATED TTL_TRANSPORT_LOSS_EXPIRED"));
}
TEST(Cascade, RefusalsByTheStoreEnd) {
  with_each_store(refused_for_ever);
}

/// More events than any buffer holds, while a session jumps.
std::vector<std::string> noisy_life(Rig& rig) {
  rig.connect();
  const Policy policy = rig.gateway().engine().policy();
  rig.cut({0});
  for (int i = 0; i < 250; ++i) {
    for (int k = 0; k < 8; ++k) rig.gateway().engine().set_policy(rig.now(), policy);
    rig.run_for(Millis{10});
  }
  EXPECT_TRUE(rig.jump(2));
  EXPECT_TRUE(rig.serves());
  return rig.gateway().events().changes();
}

/// What a session does, and what is kept of it, is the same with a log that goes nowhere.
void unread(TestStore& store) {
  RigOptions options;
  options.policy.observability.event_ring = 1'024;
  Rig healthy(options);
  const std::vector<std::string> expected = noisy_life(healthy);
  options.adjust_gateway = with(store).adjust_gateway;
  options.sinks = {{EventSinkKind::kFile, "/dev/full"}};
  Rig rig(options);
  EXPECT_EQ(noisy_life(rig), expected);
  EXPECT_TRUE(comes_true([&] { return !rig.gateway().log_status().healthy; }));
  const StoredSession kept = store.kept(rig.at_gateway().id).value();
  EXPECT_EQ(kept.binding_version, rig.at_gateway().binding);
  EXPECT_EQ(kept.binding_version, healthy.at_gateway().binding);
  EXPECT_FALSE(kept.ended);
}
TEST(Cascade, ALogThatFailsChangesNothingThatIsKept) {
  with_each_store(unread);
}

/// Two gateways live and have keys of one session: the first was paused (its control stands still,
/// its workers turn), the second got the session meanwhile.
class TwoWithKeys {
 public:
  explicit TwoWithKeys(TestStore& store) : store_(store), rig_(with(store, 2)) {
    store_.prove(0, kProvenLong);
    store_.prove(1, kProvenLong);
    rig_.connect();
    id_ = rig_.at_gateway().id;
    EXPECT_TRUE(rig_.serves());
    EXPECT_TRUE(carries(rig_, 0));
    old_index_ = Forger(rig_).active();
    old_spare_ = Forger(rig_).spare();
    hold_packets();
    watch_carriers(rig_);
  }

  /// Its time passes with nobody there to look: the workers see that by themselves.
  void pause_first() {
    store_.prove(0, rig_.now() + Millis{50});
    rig_.step();
    rig_.gateway().stalled = true;
    ASSERT_TRUE(comes_true([&] { return !carries(rig_, 0); }));
  }
  /// Until it is known to be over the session isn't given to another.
  void ask_second_too_early() {
    part_from_first(rig_);
    if (!store_.tells_who_runs()) return;
    const EventBook& other = rig_.gateway(1).events();
    EXPECT_TRUE(rig_.run_until([&] { return other.count(Reason::kOwnershipConflict) != 0; },
                               Millis{5'000}));
    EXPECT_EQ(rig_.at_gateway(0, 1).id, SessionId{});
    EXPECT_EQ(rig_.gateway(1).sessions().tx(kClient), nullptr);
  }
  void take_over() {
    store_.stop(0, rig_.now());
    ASSERT_TRUE(rig_.run_until([&] { return rig_.at_gateway(0, 1).id == id_; }, Millis{8'000}));
    rig_.run_for(Millis{100});
    EXPECT_NE(rig_.gateway(0).sessions().tx(kClient), nullptr) << "both have keys";
    EXPECT_TRUE(has_rx(old_index_));
    EXPECT_FALSE(carries(rig_, 0));
    EXPECT_TRUE(carries(rig_, 1));
    EXPECT_TRUE(rig_.serves());
  }
  /// What still comes to the first, from either side, goes nowhere.
  void first_is_silent() {
    const uint64_t drops = rig_.gateway().drops(Drop::kNotOwned);
    EXPECT_EQ(give_first(0), 0U);
    EXPECT_EQ(rig_.gateway().drops(Drop::kNotOwned), drops + 2);
  }
  /// Should it send all the same, its peer has left its keys.
  void peer_takes_nothing_of_first() {
    rig_.after_step = nullptr;
    const SessionTable& table = rig_.gateway().sessions();
    const uint64_t after = table.silent_after();
    rig_.gateway().sessions().set_silent_after(kNoDeadline);
    const uint64_t opened = rig_.client().counters().opened;
    EXPECT_GT(give_first(1), 0U);
    EXPECT_EQ(rig_.client().counters().opened, opened);
    rig_.gateway().sessions().set_silent_after(after);
    watch_carriers(rig_);
    EXPECT_TRUE(rig_.serves());
  }
  /// It goes on where it stood: what it would write now, the store carries out for none but the
  /// second. Its session is over there, and there alone.
  void first_wakes() {
    const size_t commits = store_.commits;
    rig_.gateway().stalled = false;
    rig_.run_for(Millis{10});
    Forger forger(rig_);
    forger.nonce = 100;
    const bool has_session = rig_.at_gateway().id == id_;
    if (has_session) forger.send(old_spare_, 1, forger.request());
    const EventBook& events = rig_.gateway().events();
    EXPECT_EQ(events.count(EventKind::kReattach, Reason::kOwnershipConflict),
              has_session ? 1U : 0U);
    EXPECT_TRUE(
        rig_.run_until([&] { return rig_.at_gateway().id == SessionId{}; }, Millis{20'000}));
    EXPECT_EQ(events.count(Reason::kReattachAccept), 0U);
    EXPECT_EQ(store_.commits, commits);
    rig_.run_for(Millis{1'000});
    EXPECT_EQ(rig_.gateway().sessions().tx(kClient), nullptr);
    EXPECT_EQ(rig_.at_client().id, id_);
    EXPECT_EQ(rig_.at_client().binding, rig_.at_gateway(0, 1).binding);
    const StoredSession kept = store_.kept(id_).value();
    EXPECT_EQ(kept.binding_version, rig_.at_gateway(0, 1).binding);
    EXPECT_FALSE(kept.ended);
    EXPECT_TRUE(rig_.serves());
  }

 private:
  bool has_rx(ReceiverIndex index) {
    const RxRecord* const record = rig_.gateway().sessions().rx(index.value);
    return record != nullptr && record->index == index;
  }
  /// Two of the client's, sealed for the first gateway, on their way to it all that time.
  void hold_packets() {
    rig_.filter = [this](const Datagram& each) {
      if (each.up && each.is_data()) held_.push_back(each);
      return !each.up || !each.is_data();
    };
    for (int i = 0; i < 2; ++i) rig_.client().send_echo();
    rig_.filter = nullptr;
    ASSERT_EQ(held_.size(), 2U);
  }
  /// One of these, and one from the LAN to the client. How many left it under the session's keys.
  size_t give_first(size_t held) {
    const size_t before = rig_.sent.size();
    rig_.mend_all();
    rig_.inject(held_.at(held));
    const Bytes udp = udp_datagram(1'000, 2'000, Bytes(8));
    const Bytes ip = ipv4_packet(address(kInsideAddress), inner_address(0), udp);
    rig_.gateway().receive(kWans, ip_frame(kPortMac, kPeerMac, ip));
    rig_.run_for(Millis{20});
    size_t left = 0;
    for (size_t i = before; i < rig_.sent.size(); ++i) {
      const Datagram& each = rig_.sent[i];
      left += !each.up && each.path < kPaths && each.is_data();
    }
    return left;
  }

  TestStore& store_;
  Rig rig_;
  SessionId id_;
  ReceiverIndex old_index_;
  ReceiverIndex old_spare_;
  std::vector<Datagram> held_;
};

void two_with_keys(TestStore& store) {
  TwoWithKeys both(store);
  both.pause_first();
  if (testing::Test::HasFatalFailure()) return;
  both.ask_second_too_early();
  both.take_over();
  if (testing::Test::HasFatalFailure()) return;
  both.first_is_silent();
  both.peer_takes_nothing_of_first();
  both.first_wakes();
}
TEST(Cascade, OfTwoLiveGatewaysWithKeysOneCarries) {
  with_each_store(two_with_keys);
}

}  // namespace
}  // namespace jvpn::test
