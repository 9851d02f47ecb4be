#include "control/session_fsm.h"

#include <optional>

#include <gtest/gtest.h>

#include "common/limits.h"

namespace jvpn {
namespace {

constexpr std::array kStates = {State::kBirth,      State::kAttached, State::kVolatile,
                                State::kRecovering, State::kDegraded, State::kTerminated};
constexpr std::array kTriggers = {Trigger::kKeyConfirmed, Trigger::kHandshakeFailed, Trigger::kTick,
                                  Trigger::kTerminate, Trigger::kProtocolViolation};
constexpr Millis kBorn{10'000};
constexpr Millis kNow{10'100};

SessionRecord record_in(State state) {
  SessionRecord record;
  record.state = state;
  record.version = StateVersion{state == State::kBirth ? 0U : 7U};
  record.has_transport = state != State::kBirth && state != State::kTerminated;
  record.born = record.entered = record.last_authentic = kBorn;
  record.keys_expire = kBorn + Millis{kKeyRefuseAfterMs};
  return record;
}

struct Expected {
  State to;
  Reason reason;
};

// What the table of design §5 says about events that come in time; nothing else may happen.
std::optional<Expected> expected(State from, Trigger trigger) {
  if (from == State::kTerminated) return std::nullopt;
  switch (trigger) {
    case Trigger::kProtocolViolation:
      return Expected{State::kTerminated, Reason::kFatalProtocolError};
    case Trigger::kTerminate:
      return Expected{State::kTerminated, Reason::kPolicyTermination};
    case Trigger::kKeyConfirmed:
      if (from == State::kBirth) return Expected{State::kAttached, Reason::kHandshakeOk};
      return std::nullopt;
    case Trigger::kHandshakeFailed:
      if (from == State::kBirth) return Expected{State::kTerminated, Reason::kHandshakeFail};
      return std::nullopt;
    case Trigger::kTick:
      return std::nullopt;
  }
  return std::nullopt;
}

bool same(const SessionRecord& a, const SessionRecord& b) {
  return a.state == b.state && a.version == b.version && a.binding_version == b.binding_version &&
         a.has_transport == b.has_transport && a.born == b.born && a.entered == b.entered &&
         a.last_authentic == b.last_authentic && a.keys_expire == b.keys_expire;
}

TEST(SessionFsm, EveryStateAndTrigger) {
  for (const State state : kStates) {
    for (const Trigger trigger : kTriggers) {
      SCOPED_TRACE(std::string(to_string(state)) + " " + to_string(trigger));
      const SessionRecord before = record_in(state);
      const Step taken = step(before, {trigger, Detail::kOperator}, Policy{}, kNow);
      const auto row = expected(state, trigger);
      ASSERT_EQ(taken.applied, row.has_value());
      EXPECT_EQ(taken.from, state);
      if (!row) {
        EXPECT_TRUE(same(taken.record, before));
        continue;
      }
      EXPECT_EQ(taken.record.state, row->to);
      EXPECT_EQ(taken.reason, row->reason);
      EXPECT_EQ(taken.detail, Detail::kOperator);
      EXPECT_EQ(taken.record.version.value, before.version.value + 1);
      EXPECT_EQ(taken.record.entered, kNow);
      EXPECT_EQ(taken.record.has_transport, row->to == State::kAttached);
    }
  }
}

TEST(SessionFsm, ConfirmationBinds) {
  const Step own = step(record_in(State::kBirth), {Trigger::kKeyConfirmed}, Policy{}, kNow);
  EXPECT_EQ(own.record.binding_version, BindingVersion{1});
  EXPECT_EQ(own.record.last_authentic, kNow);
  const Step told =
      step(record_in(State::kBirth), {Trigger::kKeyConfirmed, Detail::kNone, BindingVersion{9}},
           Policy{}, kNow);
  EXPECT_EQ(told.record.binding_version, BindingVersion{9});
  EXPECT_EQ(told.record.version, StateVersion{1});
}

struct Deadline {
  const char* name;
  State state;
  uint64_t at;  // first millisecond at which the row applies
  Reason reason;
  Detail detail;
  void (*prepare)(SessionRecord&, Policy&);
};

const Deadline kDeadlines[] = {
    {"birth", State::kBirth, kBorn.value + kHandshakeTimeoutMs, Reason::kHandshakeFail,
     Detail::kTimeout, [](SessionRecord&, Policy&) {}},
    {"birth TTL", State::kBirth, kBorn.value + 4000, Reason::kTtlSessionExpired, Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.session.max_lifetime = Millis{4000}; }},
    {"session TTL", State::kAttached, kBorn.value + 9000, Reason::kTtlSessionExpired, Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.session.max_lifetime = Millis{9000}; }},
    {"loss TTL", State::kAttached, kBorn.value + 15'000, Reason::kTtlTransportLossExpired,
     Detail::kNone, [](SessionRecord&, Policy&) {}},
    {"loss TTL after traffic", State::kAttached, kBorn.value + 20'000,
     Reason::kTtlTransportLossExpired, Detail::kNone,
     [](SessionRecord& record, Policy&) { record.last_authentic = kBorn + Millis{5000}; }},
    {"keys", State::kAttached, kBorn.value + 180'000, Reason::kKeyLifetimeExceeded, Detail::kNone,
     [](SessionRecord& record, Policy&) { record.last_authentic = kBorn + Millis{170'000}; }},
};

TEST(SessionFsm, Deadlines) {
  for (const Deadline& row : kDeadlines) {
    SCOPED_TRACE(row.name);
    SessionRecord record = record_in(row.state);
    Policy policy;
    row.prepare(record, policy);
    EXPECT_EQ(next_deadline(record, policy), Millis{row.at});
    EXPECT_FALSE(step(record, {Trigger::kTick}, policy, Millis{row.at - 1}).applied);
    const Step taken = step(record, {Trigger::kTick}, policy, Millis{row.at});
    ASSERT_TRUE(taken.applied);
    EXPECT_EQ(taken.record.state, State::kTerminated);
    EXPECT_EQ(taken.reason, row.reason);
    EXPECT_EQ(taken.detail, row.detail);
  }
  EXPECT_EQ(next_deadline(record_in(State::kTerminated), Policy{}), Millis{UINT64_MAX});
}

// Fatal, then TERMINATE, then both TTLs, then key expiry; each masks those after it.
TEST(SessionFsm, SimultaneousTriggersInOrder) {
  SessionRecord record = record_in(State::kAttached);
  Policy policy;
  policy.session.max_lifetime = Millis{1000};
  const Millis late{kBorn.value + 400'000};
  const auto reason = [&](Trigger trigger) { return step(record, {trigger}, policy, late).reason; };
  EXPECT_EQ(reason(Trigger::kProtocolViolation), Reason::kFatalProtocolError);
  EXPECT_EQ(reason(Trigger::kTerminate), Reason::kPolicyTermination);
  EXPECT_EQ(reason(Trigger::kTick), Reason::kTtlSessionExpired);
  policy.session.max_lifetime = Millis{1'000'000};
  EXPECT_EQ(reason(Trigger::kTick), Reason::kTtlTransportLossExpired);
  record.last_authentic = late;
  EXPECT_EQ(reason(Trigger::kTick), Reason::kKeyLifetimeExceeded);
}

TEST(SessionFsm, ConfirmationAfterTheTimeoutIsTooLate) {
  const Step taken = step(record_in(State::kBirth), {Trigger::kKeyConfirmed}, Policy{},
                          kBorn + Millis{kHandshakeTimeoutMs});
  EXPECT_EQ(taken.record.state, State::kTerminated);
  EXPECT_EQ(taken.reason, Reason::kHandshakeFail);
  EXPECT_EQ(taken.detail, Detail::kTimeout);
}

TEST(SessionFsm, CorruptRecordEnds) {
  SessionRecord homeless = record_in(State::kAttached);
  homeless.has_transport = false;
  SessionRecord unversioned = record_in(State::kAttached);
  unversioned.version = StateVersion{0};
  SessionRecord bound = record_in(State::kBirth);
  bound.has_transport = true;
  for (const SessionRecord& record : {homeless, unversioned, bound}) {
    const Step taken = step(record, {Trigger::kTick}, Policy{}, kNow);
    ASSERT_TRUE(taken.applied);
    EXPECT_EQ(taken.record.state, State::kTerminated);
    EXPECT_EQ(taken.reason, Reason::kFatalProtocolError);
    EXPECT_EQ(taken.detail, Detail::kCorruptRecord);
  }
}

TEST(SessionFsm, StateOutOfRangeIsRefused) {
  SessionRecord record = record_in(State::kAttached);
  record.state = static_cast<State>(200);
  EXPECT_FALSE(step(record, {Trigger::kTerminate}, Policy{}, kNow).applied);
}

TEST(SessionFsm, VersionNeverWraps) {
  SessionRecord record = record_in(State::kAttached);
  record.version = StateVersion{UINT64_MAX - 1};
  const Step last = step(record, {Trigger::kTerminate}, Policy{}, kNow);
  ASSERT_TRUE(last.applied);
  EXPECT_EQ(last.record.version, StateVersion{UINT64_MAX});
  record.version = StateVersion{UINT64_MAX};
  EXPECT_FALSE(step(record, {Trigger::kTerminate}, Policy{}, kNow).applied);
}

TEST(SessionFsm, SpansWithoutEndDontWrap) {
  Policy policy;
  policy.session.max_lifetime = Millis{UINT64_MAX};
  policy.session.transport_loss_ttl = Millis{UINT64_MAX};
  SessionRecord record = record_in(State::kAttached);
  record.keys_expire = Millis{0};
  EXPECT_EQ(next_deadline(record, policy), Millis{UINT64_MAX});
  EXPECT_FALSE(step(record, {Trigger::kTick}, policy, Millis{UINT64_MAX - 1}).applied);
}

}  // namespace
}  // namespace jvpn
