#include "control/session/lifecycle.h"

#include <algorithm>
#include <cstring>

#include "tests/support/part_rig.h"

namespace jvpn {
namespace {

class LifecyclePart : public test::PartRig {
 protected:
  Reporter reporter{context};
  Bindings bindings{context};
  ControlChannel channel{context};
  Lifecycle lifecycle{context, reporter, bindings, channel};
};

class Listener : public Part {
 public:
  void on_rows(Millis, Session&) override { ++rows; }
  int rows = 0;
};

TEST_F(LifecyclePart, ALostTransportIsWithdrawnAndThePartsHear) {
  Session& session = attached(false);
  Listener listener;
  const std::array<Part*, 1> parts{&listener};
  lifecycle.set_parts(parts);
  ASSERT_TRUE(lifecycle.transition(now, session, {Trigger::kTransportDead}));
  EXPECT_EQ(session.state(), State::kRecovering);
  EXPECT_EQ(count<TxWithdraw>(), 1U);
  EXPECT_EQ(listener.rows, 1);
}

TEST_F(LifecyclePart, TheEndIsToldRememberedAndLeavesNothing) {
  Session& session = attached(false);
  const SessionId id = session.id;
  store.acquire(now, session);
  EXPECT_FALSE(lifecycle.transition(now, session, {Trigger::kTerminate, Detail::kOperator}));
  EXPECT_EQ(table.peer(kPeer).session, nullptr);
  EXPECT_TRUE(table.remembers(id));
  const OwnershipCall load{.kind = OwnershipCall::Kind::kLoad, .peer = {}, .session = id};
  const OwnershipReply kept = sessions.apply(now, load, 0);
  ASSERT_TRUE(kept.found);
  EXPECT_TRUE(kept.found->ended) << "it never comes back";
  EXPECT_EQ(kept.found->reason, Reason::kPolicyTermination);
  EXPECT_EQ(count<Send>(), 1U) << "TERMINATE";
  EXPECT_EQ(count<TxWithdraw>(), 1U);
  EXPECT_EQ(count<RxRetire>(), 1U);
}

/// Takes nothing until there is room, and answers nothing by itself.
class FullOwnership : public Ownership {
 public:
  bool ask(Millis, const OwnershipCall& call) override {
    if (room) asked.push_back(call);
    return room;
  }
  std::optional<OwnershipReply> take() override {
    if (asked.empty()) return std::nullopt;
    const OwnershipCall call = asked.back();
    asked.pop_back();
    return OwnershipReply{call.kind, call.ticket, call.peer, call.session,
                          OwnershipAnswer::kCommitted};
  }
  bool has_replies() const override { return !asked.empty(); }

  bool room = false;
  std::vector<OwnershipCall> asked;
};

SessionId numbered_id(uint32_t number) {
  SessionId id;
  std::memcpy(id.bytes.data(), &number, sizeof number);
  return id;
}

/// Else they could be handed over, or resumed, after they have ended.
TEST_F(LifecyclePart, NoEndIsForgottenWhileTheStoreHasNoRoom) {
  constexpr uint32_t kEnds = 10'000;
  FullOwnership full;
  StoreCalls calls(config, full);
  Session& session = attached(false);
  session.responder->store.owned = true;
  for (uint32_t i = 0; i < kEnds; ++i) {
    session.id = numbered_id(i);
    calls.release(now, session, Detail::kNone);
  }
  for (uint32_t i = 0; i < kEnds; ++i) ASSERT_TRUE(calls.is_ending(numbered_id(i))) << i;
  while (calls.take()) {
  }
  now = now + calls.patience();
  calls.serve_endings(now);
  EXPECT_GT(calls.endings_due(), now) << "it isn't asked in a loop";
  full.room = true;
  for (int turns = 0; calls.endings_due() != kNever; ++turns) {
    ASSERT_LT(turns, 1'000);
    now = std::max(now, calls.endings_due());
    calls.serve_endings(now);
    while (calls.take()) {
    }
  }
  EXPECT_FALSE(calls.is_ending(numbered_id(0)));
  EXPECT_FALSE(calls.is_ending(numbered_id(kEnds - 1)));
}

/// Another session's id stands in the record: events and store go on to know the one that was
/// confirmed, which ends.
TEST_F(LifecyclePart, AChangedIdentityIsFoundAndEndsTheSession) {
  Session& session = attached(true);
  const SessionId confirmed = session.id;
  const KeyGeneration& keys = *session.current;
  environment.seen.tx = {session.binding_version(), keys.remote, LaneId{0}, session.path};
  environment.seen.rx = {{keys.local, LaneId{0}, 1}};
  lifecycle.report_switch(now, session, test::path_over(2));
  lifecycle.audit_switches();
  EXPECT_EQ(reasons(),
            (std::vector{Reason::kTransportSwitchOk, Reason::kAuditInvariantOkSingleActive,
                         Reason::kAuditInvariantOkNoReset}));
  effects.clear();
  session.id.bytes[0] ^= 1;
  lifecycle.report_switch(now, session, test::path_over(2));
  lifecycle.audit_switches();
  EXPECT_EQ(reasons(),
            (std::vector{Reason::kTransportSwitchOk, Reason::kAuditInvariantOkSingleActive,
                         Reason::kAuditInvariantViolated, Reason::kFatalProtocolError}));
  EXPECT_EQ(latest<Event>().detail, Detail::kIdentityChanged);
  EXPECT_EQ(latest<Event>().session, confirmed);
  EXPECT_EQ(table.peer(kPeer).session, nullptr);
  EXPECT_TRUE(table.remembers(confirmed));
}

TEST_F(LifecyclePart, AFactIsNotedWithoutARow) {
  Session& session = attached(false);
  lifecycle.note(now, session, {.trigger = Trigger::kHeard, .time = now + Millis{5}});
  EXPECT_EQ(session.record().last_authentic, now + Millis{5});
  EXPECT_EQ(session.record().version, StateVersion{1});
  EXPECT_TRUE(effects.empty());
}

TEST_F(LifecyclePart, ARefusedTriggerIsReportedAndChangesNothing) {
  Session& session = attached(false);
  const SessionRecord before = session.record();
  EXPECT_TRUE(lifecycle.transition(now, session, {Trigger::kKeyConfirmed}));
  EXPECT_EQ(session.record(), before);
  EXPECT_EQ(reasons(), std::vector{Reason::kAuditTransitionRefused});
}

}  // namespace
}  // namespace jvpn
