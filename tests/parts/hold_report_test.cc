#include "control/jump/hold_report.h"

#include "control/session/message_fields.h"
#include "tests/support/part_rig.h"

namespace jvpn {
namespace {

using session::append_field;

class HoldReportPart : public test::PartRig {
 protected:
  /// An initiator whose transport is dead.
  Session& bereft() {
    Session& session = attached(true);
    session.binding.tx_installed = false;
    return session;
  }
  void hold() {
    config.policy.switching.hold = Millis{1'000};
    config.policy.switching.hold_bytes = 1'000;
  }
  KeyGeneration& replaced_keys(Session& session) {
    NoiseKeys keys;
    const auto index = table.indices().allocate(kPeer, 0x4321'0000);
    session.previous =
        make_generation(now, keys, session.initiates(), *index, ReceiverIndex{0x6666'0000}, 1);
    return *session.previous;
  }
  /// A responder that has just left the index of its active binding.
  Session& rebound() {
    Session& session = attached(false);
    session.responder->reattach = std::make_unique<ReattachMemory>(
        ReattachMemory{TokenBucket(1, now), TokenBucket(1, now), {}, {}, {}, 0, {}, 0, {}});
    bindings.top_up_spares(session, *session.current);
    old = session.current->local;
    bindings.rebind(now, session, 1, test::path_over(2));
    return session;
  }
  static LaneReport report_of(ReceiverIndex index) { return {index, true, {{LaneId{0}, 10, {}}}}; }

  Bindings bindings{context};
  jump::ClosedLanes closed{context, bindings};
  ReceiverIndex old;
};

TEST_F(HoldReportPart, ARequestNamesTheIndicesOfBothKeys) {
  hold();
  Session& session = bereft();
  EXPECT_EQ(jump::held_indices(jump::held_fields(context, session)),
            (HeldIndices{session.current->remote, ReceiverIndex{}}));
  KeyGeneration& before = replaced_keys(session);
  EXPECT_EQ(jump::held_indices(jump::held_fields(context, session)),
            (HeldIndices{session.current->remote, before.remote}));
  before.left = true;
  EXPECT_EQ(jump::held_indices(jump::held_fields(context, session))[1], ReceiverIndex{})
      << "what went there is settled";
}

TEST_F(HoldReportPart, WhoHoldsNothingOrLosesNothingNamesNone) {
  Session& session = bereft();
  EXPECT_TRUE(jump::held_fields(context, session).empty());
  EXPECT_TRUE(jump::settle_hold(context, session, {}));
  EXPECT_EQ(count<HoldSettle>(), 0U);
  hold();
  session.initiator->policy = config.policy;
  session.binding.tx_installed = true;
  EXPECT_TRUE(jump::held_fields(context, session).empty()) << "the old path carries everything";
}

TEST_F(HoldReportPart, TheAcknowledgementSettlesTheHold) {
  hold();
  Session& session = bereft();
  std::vector<uint8_t> fields;
  const std::vector<LaneReport> told{report_of(session.current->remote)};
  append_field(fields, 77, std::vector<uint8_t>{1, 2, 3});
  append_field(fields, wire::kReceivedField, encode_reports(told));
  EXPECT_TRUE(jump::settle_hold(context, session, fields));
  EXPECT_EQ(latest<HoldSettle>().reports, told);
  EXPECT_TRUE(jump::settle_hold(context, session, {}));
  EXPECT_TRUE(latest<HoldSettle>().reports.empty()) << "nothing was told: it is given up";
  EXPECT_FALSE(latest<HoldSettle>().carried) << "the path was dead";
  fields.clear();
  append_field(fields, wire::kReceivedField, std::vector<uint8_t>{1, 2, 3});
  EXPECT_FALSE(jump::settle_hold(context, session, fields));
}

/// Of a client whose transport is dead, and whose gateway holds.
class LaneCloserPart : public HoldReportPart {
 protected:
  Session& deserted() {
    Session& session = bereft();
    session.initiator->responder_holds = true;
    learn(session, 3);
    asked = bindings.assign_spare(session, test::path_over(2))->number;
    other = bindings.assign_spare(session, test::path_over(3))->number;
    return session;
  }
  SpareBinding& spare(Session& session, uint16_t number) {
    return *session.current->spares.numbered(number);
  }
  /// The indices that a request by the spare on path 2 reports.
  std::vector<ReceiverIndex> reported(Session& session) {
    std::vector<uint8_t> fields;
    closer.append_report(session, spare(session, asked), fields);
    const auto told = session::find_field(fields, wire::kReceivedField);
    if (!told) return {};
    latest_reports = *decode_reports(*told);
    std::vector<ReceiverIndex> indices;
    for (const LaneReport& each : latest_reports) indices.push_back(each.index);
    return indices;
  }
  using Indices = std::vector<ReceiverIndex>;

  jump::LaneCloser closer{context};
  uint16_t asked = 0;
  uint16_t other = 0;
  std::vector<LaneReport> latest_reports;
};

TEST_F(LaneCloserPart, ARequestReportsTheIndicesOfBothKeysOnceClosed) {
  Session& session = deserted();
  EXPECT_EQ(reported(session), Indices{session.current->local});
  EXPECT_TRUE(environment.stopped.contains(session.current->local.value));
  const auto first = latest_reports;
  EXPECT_EQ(reported(session), Indices{session.current->local});
  EXPECT_EQ(latest_reports, first) << "a report is made once";
  const KeyGeneration& before = replaced_keys(session);
  EXPECT_EQ(reported(session), (Indices{session.current->local, before.local}));
  jump::LaneCloser::forget(session);
  EXPECT_FALSE(jump::LaneCloser::is_closed(session, session.current->local));
}

TEST_F(LaneCloserPart, KeysThatTheSessionLeftByAJumpAreSettled) {
  Session& session = deserted();
  replaced_keys(session).left = true;
  EXPECT_EQ(reported(session), Indices{session.current->local});
}

TEST_F(LaneCloserPart, NothingIsClosedWithoutNeed) {
  Session& session = deserted();
  session.initiator->responder_holds = false;
  EXPECT_EQ(reported(session), Indices{}) << "it holds nothing";
  session.initiator->responder_holds = true;
  session.binding.tx_installed = true;
  EXPECT_EQ(reported(session), Indices{}) << "the path lives";
  session.binding.tx_installed = false;
  environment.says_taken = false;
  EXPECT_EQ(reported(session), Indices{}) << "the host can't say";
  EXPECT_TRUE(environment.stopped.empty());
}

TEST_F(LaneCloserPart, ACommitThatWasMissedClosesTheOtherPathsThatWereAsked) {
  Session& session = deserted();
  const ReceiverIndex index = spare(session, other).local;
  session.initiator->jumping.told_version = BindingVersion{9};
  EXPECT_EQ(reported(session), (Indices{session.current->local, index}));
  EXPECT_EQ(spare(session, other).status, SpareStatus::kReturned) << "no jump may go there";
  EXPECT_TRUE(jump::LaneCloser::is_closed(session, index));
  EXPECT_EQ(spare(session, asked).status, SpareStatus::kAssigned);
  EXPECT_FALSE(jump::LaneCloser::is_closed(session, spare(session, asked).local));
  const uint16_t next = bindings.assign_spare(session, test::path_over(3))->number;
  EXPECT_EQ(reported(session).size(), 2U);
  EXPECT_EQ(spare(session, next).status, SpareStatus::kAssigned) << "once for each such commit";
}

TEST_F(HoldReportPart, ARequestsReportSettlesTheResponders) {
  hold();
  Session& session = attached(false);
  std::vector<uint8_t> fields;
  const std::vector<LaneReport> told{report_of(session.current->remote)};
  append_field(fields, wire::kReceivedField, encode_reports(told));
  auto word = jump::hold_word(fields);
  ASSERT_TRUE(word);
  EXPECT_EQ(word->received, told);
  jump::settle_own_hold(context, session, *word);
  EXPECT_EQ(latest<HoldSettle>().reports, told);
  word = jump::hold_word({});
  ASSERT_TRUE(word && !word->received);
  session.binding.cause = wire::ReattachCause::kPlanned;
  jump::settle_own_hold(context, session, *word);
  EXPECT_TRUE(latest<HoldSettle>().carried) << "the old path drains";
  session.binding.cause = wire::ReattachCause::kDead;
  jump::settle_own_hold(context, session, *word);
  EXPECT_TRUE(latest<HoldSettle>().reports.empty()) << "nothing was told: it is given up";
  EXPECT_FALSE(latest<HoldSettle>().carried);
  config.policy.switching.hold = Millis{0};
  jump::settle_own_hold(context, session, *word);
  EXPECT_EQ(count<HoldSettle>(), 3U) << "it holds nothing";
  append_field(fields, wire::kReceivedField, std::vector<uint8_t>{1, 2, 3});
  EXPECT_TRUE(jump::hold_word(fields)) << "the first one counts";
  fields.clear();
  append_field(fields, wire::kReceivedField, std::vector<uint8_t>{1, 2, 3});
  EXPECT_FALSE(jump::hold_word(fields));
}

TEST_F(HoldReportPart, ACommitClosesWhatIsNamedAndOursAndWaitsForTheHost) {
  Session& session = rebound();
  const ReceiverIndex before = replaced_keys(session).local;
  EXPECT_TRUE(closed.close(now, session, {old, before}));
  EXPECT_EQ(count<RxClose>(), 2U);
  EXPECT_EQ(count<RxRetire>(), 0U);
  EXPECT_EQ(session.previous, nullptr);
  EXPECT_TRUE(table.peer(kPeer).draining.empty());
  EXPECT_FALSE(table.indices().owner(old));
  EXPECT_TRUE(jump::ClosedLanes::fields(session).empty());
  EXPECT_TRUE(jump::ClosedLanes::answers_soon(now, session));
  EXPECT_FALSE(jump::ClosedLanes::answers_soon(now + jump::ClosedLanes::kPatience, session));

  EXPECT_FALSE(closed.take(session, report_of(ReceiverIndex{4711}))) << "of no index of these";
  EXPECT_FALSE(closed.take(session, report_of(before)));
  EXPECT_TRUE(closed.take(session, report_of(old)));
  EXPECT_FALSE(closed.take(session, report_of(old))) << "once";
  const auto fields = jump::ClosedLanes::fields(session);
  const auto told = session::find_field(fields, wire::kReceivedField);
  ASSERT_TRUE(told);
  EXPECT_EQ(decode_reports(*told), (std::vector{report_of(old), report_of(before)}));
}

TEST_F(HoldReportPart, WhatWasToldIsToldAgain) {
  Session& session = rebound();
  closed.close(now, session, {old});
  closed.take(session, report_of(old));
  const auto fields = jump::ClosedLanes::fields(session);
  // The acknowledgement was lost, and so is the new path: the initiator is where it was.
  EXPECT_FALSE(closed.close(now, session, {old}));
  EXPECT_EQ(jump::ClosedLanes::fields(session), fields);
  EXPECT_EQ(count<RxClose>(), 1U);
  EXPECT_FALSE(closed.close(now, session, {session.current->local}));
  EXPECT_TRUE(jump::ClosedLanes::fields(session).empty()) << "it is on the new binding";
}

TEST_F(HoldReportPart, NothingThatCarriesIsClosedWhoeverAsks) {
  Session& session = rebound();
  const ReceiverIndex spare = session.current->spares.begin()->local;
  EXPECT_FALSE(closed.close(now, session, {session.current->local, spare}));
  EXPECT_FALSE(closed.close(now, session, {ReceiverIndex{4711}, ReceiverIndex{}}));
  EXPECT_EQ(count<RxClose>(), 0U);
}

}  // namespace
}  // namespace jvpn
