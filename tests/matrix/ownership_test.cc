// Matrix section 3: one binding, one owner, one winner — whatever the store and the racers do.
#include "tests/matrix/each_store.h"
#include "tests/matrix/forger.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

using wire::ControlType;

/// What others could own by now isn't carried, and gets no sign of life; with the proof it goes on.
TEST(StoreFaults, WithoutProofNothingIsCarried) {
  TestStore store;
  store.proven_until = Millis{UINT64_MAX / 2};
  Rig rig(with(store));
  rig.connect();
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.count(EventKind::kOwnershipChange, Reason::kOwnershipProven), 1U);
  ASSERT_TRUE(rig.serves());
  const SessionId id = rig.at_gateway().id;
  store.proven_until = rig.now();
  rig.run_for(Millis{10});
  EXPECT_EQ(events.count(EventKind::kOwnershipChange, Reason::kOwnershipConflict,
                         Detail::kStoreUnavailable),
            1U);
  EXPECT_FALSE(rig.serves());
  EXPECT_GT(rig.gateway().drops(Drop::kNotOwned), 0U);
  EXPECT_FALSE(rig.jump(1)) << "nobody answers for it";
  store.proven_until = Millis{UINT64_MAX / 2};
  rig.run_for(Millis{3'000});
  EXPECT_EQ(events.count(EventKind::kOwnershipChange, Reason::kOwnershipProven), 2U);
  EXPECT_TRUE(rig.jump(1));
  EXPECT_TRUE(rig.serves());
  EXPECT_EQ(rig.at_gateway().id, id);
}

TEST(Ownership, dual_active) {
  Rig rig;
  rig.connect();
  const Still still(rig);
  Forger forger(rig);
  wire::ReattachRequest request = forger.request();
  request.retire_active = 0;
  forger.send(forger.spare(), 1, request);
  EXPECT_EQ(
      rig.gateway().events().count(EventKind::kReattach, Reason::kPolicyDeny, Detail::kDualActive),
      1U);
  EXPECT_EQ(forger.answers<wire::ReattachReject>(ControlType::kReattachReject).size(), 1U);
  still.expect();
}

void uncertain(TestStore& store) {
  Rig rig(with(store));
  rig.connect();
  const EventBook& events = rig.gateway().events();
  for (bool* doubt : {&store.reachable, &store.answers}) {
    const Still still(rig);
    const size_t told = events.size();
    *doubt = false;
    EXPECT_FALSE(rig.jump(1));
    EXPECT_GE(events.count(EventKind::kReattach, Reason::kOwnershipConflict, Detail::kNone, told),
              1U);
    EXPECT_GE(
        events.count(EventKind::kSecurityEvent, Reason::kSecOwnershipAnomaly, Detail::kNone, told),
        1U);
    still.expect();
    *doubt = true;
    rig.run_for(Millis{3'000});
  }
  ASSERT_TRUE(rig.jump(1)) << "once the doubt is gone";
  EXPECT_TRUE(rig.serves());
}
TEST(Ownership, uncertain) {
  with_each_store(uncertain);
}

/// The store has another version than the gateway thinks: the request is refused, and the next one
/// names what a retry needs.
void cas_failure(TestStore& store) {
  Rig rig(with(store));
  rig.connect();
  const SessionId id = rig.at_gateway().id;
  const Still still(rig);
  store.late = true;
  EXPECT_FALSE(rig.jump(1));
  const EventBook& events = rig.gateway().events();
  const Millis patience = rig.gateway().engine().policy().switching.recovery_attempt;
  ASSERT_TRUE(rig.run_until(
      [&] {
        return events.count(EventKind::kReattach, Reason::kOwnershipConflict,
                            Detail::kStoreUnavailable) != 0;
      },
      patience + Millis{100}))
      << "unanswered, a commit is refused";
  still.expect();
  store.answer(rig.now(), OwnershipAnswer::kCommitted);  // it was made all the same
  rig.run_for(Millis{10});
  still.expect();
  EXPECT_EQ(store.kept(id)->binding_version, BindingVersion{3});
  store.late = false;
  rig.run_for(Millis{3'000});
  ASSERT_TRUE(rig.jump(1)) << "the retry goes on from what the store has";
  EXPECT_EQ(rig.at_gateway().binding, store.kept(id)->binding_version);
  EXPECT_TRUE(rig.serves());
}
TEST(Ownership, cas_failure) {
  with_each_store(cas_failure);
}

TEST(Ownership, concurrent_race) {
  Rig rig;
  rig.connect();
  std::vector<Datagram> responses;
  rig.filter = [&](const Datagram& each) {
    const bool held = each.up && each.control == ControlType::kReattachResponse;
    if (held) responses.push_back(each);
    return !held;
  };
  rig.wish_jump(1);
  rig.run_for(Millis{50});
  rig.client().engine().path_lost(rig.client_now(), kGateway, rig.path(1));
  rig.wish_jump(2);
  rig.run_for(Millis{50});
  ASSERT_EQ(responses.size(), 2U);
  for (const Datagram& each : responses) rig.inject(each);
  rig.run_for(Millis{20});
  EXPECT_EQ(rig.gateway().engine().counters().reattach_commits, 1U);
  EXPECT_EQ(rig.at_gateway().version, StateVersion{3});
  EXPECT_EQ(rig.gateway().events().count(EventKind::kReattach, Reason::kReattachAccept), 1U);
  rig.expect_on(2);
  EXPECT_TRUE(rig.serves());
}

/// Everything the client sends reaches the other node, too: it is in no position to act on it.
void no_dual_identity(TestStore& store) {
  Rig rig(with(store, 2));
  const IpAddress twin[kWans] = {wan_address(1, 0), wan_address(1, 1)};
  rig.filter = [&](const Datagram& each) {
    if (!each.up || each.type() != wire::MessageType::kControl) return true;
    Datagram copy = each;
    copy.destination.address = twin[each.path % kWans];
    rig.inject(copy);
    return true;
  };
  rig.connect();
  const SessionId id = rig.at_gateway().id;
  for (const size_t path : {size_t{1}, size_t{2}, size_t{0}}) {
    ASSERT_TRUE(rig.jump(path));
    rig.run_for(Millis{2'000});
    rig.expect_on(path);
    EXPECT_EQ(rig.at_gateway().id, id);
    EXPECT_TRUE(rig.serves());
  }
  const EventBook& other = rig.gateway(1).events();
  EXPECT_EQ(other.count(EventKind::kSecurityEvent, Reason::kSessionNotFound), other.size());
  EXPECT_EQ(rig.at_gateway(0, 1).state, State::kTerminated) << "there is none";
  EXPECT_GT(rig.gateway(1).drops(Drop::kUnknownIndex), 0U);
  EXPECT_EQ(store.commits, 3U);
}
TEST(Ownership, no_dual_identity) {
  with_each_store(no_dual_identity);
}

/// Fails at one of its calls, counted over both kinds.
class FailingStore final : public TestStore {
 public:
  FailingStore(uint64_t at, OwnershipAnswer how) : at_(at), how_(how) {}
  bool failed() const { return calls_ > at_; }

 private:
  bool asks() override { return calls_++ != at_; }
  std::optional<OwnershipAnswer> forced() override {
    return calls_++ == at_ ? std::optional(how_) : std::nullopt;
  }
  uint64_t at_;
  OwnershipAnswer how_;
  uint64_t calls_ = 0;
};

/// A session that jumps twice: whichever answer of the store fails, a jump is refused by name, the
/// binding that is there goes on, and the next jump succeeds.
TEST(StoreFaults, OneAnswerFailsAndTheNextJumpSucceeds) {
  for (const auto how : {OwnershipAnswer::kUnavailable, OwnershipAnswer::kConflict}) {
    uint64_t point = 0;
    for (bool failed = true; failed; ++point) {
      SCOPED_TRACE("call " + std::to_string(point));
      FailingStore store(point, how);
      Rig rig(with(store));
      rig.connect();
      const SessionId id = rig.at_gateway().id;
      size_t refused = 0;
      for (const size_t path : {size_t{1}, size_t{2}}) {
        refused += rig.jump(path) ? 0 : 1;
        rig.run_for(Millis{3'000});
      }
      failed = store.failed();
      const EventBook& events = rig.gateway().events();
      EXPECT_EQ(events.count(EventKind::kReattach, Reason::kOwnershipConflict), failed ? 1U : 0U)
          << events.text();
      EXPECT_LE(refused, failed ? 1U : 0U);
      EXPECT_EQ(rig.at_gateway().id, id) << "the session is the same";
      EXPECT_TRUE(rig.jump(0));
      EXPECT_TRUE(rig.serves());
    }
    EXPECT_GT(point, 4U) << "a check and a commit of each jump are points of the table";
  }
}

/// Another node's version: nothing is accepted, and the session is that node's.
void taken_over(TestStore& store) {
  Rig rig(with(store, 1));
  rig.connect();
  const Snapshot before = rig.at_gateway();
  store.take_over(rig.now(), before.id, BindingVersion{9});
  EXPECT_FALSE(rig.jump(1));
  const EventBook& events = rig.gateway().events();
  EXPECT_GE(events.count(EventKind::kReattach, Reason::kOwnershipConflict), 1U);
  EXPECT_EQ(events.count(EventKind::kOwnershipChange, Reason::kSecOwnershipAnomaly,
                         Detail::kOwnershipLost),
            1U);
  EXPECT_EQ(events.count(Reason::kReattachAccept), 0U);
  EXPECT_EQ(events.count(EventKind::kStateChange, Reason::kTransportSwitchOk), 0U);
}
TEST(StoreFaults, AnotherNodesVersionIsThatNodesSession) {
  with_each_store(taken_over);
}

/// A gateway that stops leaves what a durable store keeps to its next run, and says so.
void parked(TestStore& store) {
  store.durable = true;
  Rig rig(with(store));
  rig.connect();
  const Snapshot before = rig.at_gateway();
  const size_t sent = rig.sent.size();
  rig.gateway().engine().shutdown(rig.now());
  rig.run_for(Millis{10});
  EXPECT_EQ(rig.at_gateway().id, SessionId{});
  for (size_t i = sent; i < rig.sent.size(); ++i)
    EXPECT_NE(rig.sent[i].control, ControlType::kTerminate);
  EXPECT_EQ(rig.at_client().id, before.id) << "nobody was told";
  EXPECT_EQ(rig.gateway().events().count(EventKind::kOwnershipChange, Reason::kSessionParked), 1U);
  EXPECT_FALSE(store.kept(before.id)->ended);
  EXPECT_EQ(store.kept(before.id)->binding_version, before.binding);
}
TEST(StoreFaults, AGatewayThatStopsParksItsSessions) {
  with_each_store(parked);
}

/// Its gateway is over, and its paths are dead: the session goes on at another one, as itself.
void resumed_elsewhere(TestStore& store) {
  store.durable = true;
  Rig rig(with(store, 2));
  rig.connect();
  const Snapshot before = rig.at_gateway();
  rig.gateway().engine().shutdown(rig.now());
  store.stop(0, rig.now());
  rig.cut({0, 1, 2});
  rig.set_candidates(0, {kPaths, kPaths + 1});
  ASSERT_TRUE(rig.run_until([&] { return rig.at_gateway(0, 1).id == before.id; }, Millis{10'000}));
  rig.run_for(Millis{100});
  EXPECT_EQ(rig.at_client().id, before.id);
  EXPECT_EQ(rig.at_client().binding, rig.at_gateway(0, 1).binding);
  EXPECT_GT(rig.at_gateway(0, 1).version.value, before.version.value + 1'000);
  EXPECT_EQ(rig.gateway(1).events().count(EventKind::kOwnershipChange, Reason::kSessionResumed),
            1U);
  EXPECT_TRUE(rig.serves());
}
TEST(StoreFaults, ASessionGoesOnAtAnotherGateway) {
  with_each_store(resumed_elsewhere);
}

}  // namespace
}  // namespace jvpn::test
