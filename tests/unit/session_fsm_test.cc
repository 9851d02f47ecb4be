#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/limits.h"
#include "control/session/state_machine.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

constexpr std::array kStates = {State::kBirth,      State::kAttached, State::kVolatile,
                                State::kRecovering, State::kDegraded, State::kTerminated};
constexpr std::array kTriggers = {
    Trigger::kKeyConfirmed,       Trigger::kHandshakeFailed,   Trigger::kTick,
    Trigger::kTerminate,          Trigger::kProtocolViolation, Trigger::kQuality,
    Trigger::kTransportDead,      Trigger::kReattachCommitted, Trigger::kRequestDenied,
    Trigger::kSwitchRateExceeded, Trigger::kSwitchRequested};
constexpr Millis kBorn{10'000};
constexpr Millis kNow{10'100};
constexpr Millis kForever{UINT64_MAX};

// In RECOVERING by death, elsewhere over a living transport.
SessionRecord record_in(State state) {
  SessionRecord record;
  record.state = state;
  record.version = StateVersion{state == State::kBirth ? 0U : 7U};
  record.binding_version = BindingVersion{state == State::kBirth ? 0U : 5U};
  record.has_transport =
      state == State::kAttached || state == State::kVolatile || state == State::kDegraded;
  record.born = record.entered = record.last_authentic = kBorn;
  if (state == State::kRecovering) record.transport_lost = kBorn;
  record.keys_expire = kBorn + Millis{kKeyRefuseAfterMs};
  return record;
}

// Nothing is ever due but HANDSHAKE_FAIL; a case sets the bound that it is about.
Policy patient_policy() {
  Policy policy;
  policy.session.max_lifetime = policy.session.transport_loss_ttl = kForever;
  auto& v = policy.volatility;
  v.heartbeat_volatile = v.transport_dead = v.stability_window = kForever;
  v.volatile_to_recovering = v.volatile_to_degraded = kForever;
  policy.switching.max_recovery_window = policy.switching.recovery_attempt = kForever;
  return policy;
}

void switch_n_times(SessionRecord& record, uint32_t n, Millis time = kBorn) {
  for (uint32_t i = 0; i < n; ++i) record.switches.add(time, record.born);
}
void recover_n_times(SessionRecord& record, uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) record.recoveries.add(kBorn, record.born);
}
void flap_n_times(SessionRecord& record, uint32_t n, Millis time = kBorn) {
  for (uint32_t i = 0; i < n; ++i) record.flaps.add(time, record.born);
}

// ---- The settled table (docs/STATE_MACHINE.md, rows), written down a second time.

TEST(SessionFsmTable, IsTheSettledOne) {
  using enum State;
  std::vector<TableRow> settled = {
      {kBirth, kAttached, Reason::kHandshakeOk},
      {kBirth, kTerminated, Reason::kHandshakeFail},
      {kAttached, kVolatile, Reason::kVolatilitySignal},
      {kAttached, kVolatile, Reason::kQualityFloorViolation},
      {kVolatile, kAttached, Reason::kHealthRecovered},
      {kAttached, kRecovering, Reason::kRecoveryStart},
      {kVolatile, kRecovering, Reason::kRecoveryStart},
      {kRecovering, kAttached, Reason::kTransportSwitchOk},
      {kRecovering, kDegraded, Reason::kRecoveryBoundsExceeded},
      {kRecovering, kTerminated, Reason::kRecoveryBoundsExceeded},
      {kVolatile, kDegraded, Reason::kEnterDegradedMode},
      {kAttached, kDegraded, Reason::kEnterDegradedMode},
      {kRecovering, kDegraded, Reason::kEnterDegradedMode},
      {kDegraded, kAttached, Reason::kExitDegradedMode},
      {kDegraded, kRecovering, Reason::kRecoveryRetry},
  };
  for (const State live : {kBirth, kAttached, kVolatile, kRecovering, kDegraded}) {
    settled.push_back({live, kTerminated, Reason::kTtlSessionExpired});
    settled.push_back({live, kTerminated, Reason::kPolicyTermination});
    settled.push_back({live, kTerminated, Reason::kFatalProtocolError});
    if (live == kBirth) continue;  // no transport yet to lose, no keys yet to expire
    settled.push_back({live, kTerminated, Reason::kTtlTransportLossExpired});
    settled.push_back({live, kTerminated, Reason::kKeyLifetimeExceeded});
  }
  std::ranges::sort(settled);
  const auto rows = table_rows();
  EXPECT_EQ(std::vector<TableRow>(rows.begin(), rows.end()), settled);
  for (const State from : kStates) {
    for (const State to : kStates) {
      for (const ReasonText& text : all_reasons()) {
        EXPECT_EQ(legal_row(from, to, text.reason),
                  std::ranges::binary_search(settled, TableRow{from, to, text.reason}));
      }
    }
  }
}

// ---- Every state and trigger, when nothing is due and no guard is in the way.

struct Expected {
  State to;
  Reason reason;
};

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
    case Trigger::kTransportDead:
      if (from == State::kDegraded) return Expected{State::kRecovering, Reason::kRecoveryRetry};
      if (from == State::kBirth || from == State::kRecovering) return std::nullopt;
      return Expected{State::kRecovering, Reason::kRecoveryStart};
    case Trigger::kReattachCommitted:  // unplanned: only where no binding lives
      if (from != State::kRecovering) return std::nullopt;
      return Expected{State::kAttached, Reason::kTransportSwitchOk};
    default:
      return std::nullopt;
  }
}

// Neither a row nor a refusal: the tick, a healthy verdict, an attempt that is counted, a death
// while another path is sought.
bool tolerated(State state, Trigger trigger) {
  if (trigger == Trigger::kTick) return true;
  if (trigger == Trigger::kRequestDenied || trigger == Trigger::kTransportDead)
    return state == State::kRecovering;
  return trigger == Trigger::kQuality && state != State::kBirth && state != State::kTerminated;
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
      EXPECT_EQ(taken.refused, !row && !tolerated(state, trigger));
      if (taken.refused) {
        EXPECT_EQ(taken.record, before);
      }
      EXPECT_EQ(taken.record.version.value, before.version.value + (row ? 1 : 0));
      if (!row) continue;
      EXPECT_EQ(taken.record.state, row->to);
      EXPECT_EQ(taken.reason, row->reason);
      EXPECT_EQ(taken.detail, Detail::kOperator);
      EXPECT_EQ(taken.record.entered, kNow);
      EXPECT_EQ(taken.record.has_transport, row->to == State::kAttached);
      ASSERT_EQ(taken.row_count, 1U);
      EXPECT_EQ(taken.rows()[0],
                (AppliedRow{state, row->to, row->reason, Detail::kOperator, taken.record.version}));
    }
  }
}

// ---- Rows of time: not a millisecond early, and the deadline is told.

struct Deadline {
  const char* name;
  State state;
  uint64_t after;  // birth, in milliseconds, at which the row first applies
  State to;
  Reason reason;
  Detail detail;
  void (*prepare)(SessionRecord&, Policy&);
};

const Deadline kDeadlines[] = {
    {"birth", State::kBirth, kHandshakeTimeoutMs, State::kTerminated, Reason::kHandshakeFail,
     Detail::kTimeout, [](SessionRecord&, Policy&) {}},
    {"birth TTL", State::kBirth, 4000, State::kTerminated, Reason::kTtlSessionExpired,
     Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.session.max_lifetime = Millis{4000}; }},
    {"session TTL", State::kAttached, 9000, State::kTerminated, Reason::kTtlSessionExpired,
     Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.session.max_lifetime = Millis{9000}; }},
    {"loss TTL after traffic", State::kAttached, 20'000, State::kTerminated,
     Reason::kTtlTransportLossExpired, Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.session.transport_loss_ttl = Millis{15'000};
       record.last_authentic = kBorn + Millis{5000};
     }},
    {"loss TTL of an idle session", State::kAttached, 150'000, State::kTerminated,
     Reason::kTtlTransportLossExpired, Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.session.transport_loss_ttl = Millis{15'000};
       policy.session.idle_max = Millis{5'000};  // ten heartbeats
       record.idle_interval = Millis{60'000};    // more than granted
     }},
    {"loss TTL without transport", State::kRecovering, 17'000, State::kTerminated,
     Reason::kTtlTransportLossExpired, Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.session.transport_loss_ttl = Millis{15'000};
       record.transport_lost = kBorn + Millis{2000};
       record.last_authentic = kBorn + Millis{9000};  // over a candidate
     }},
    {"loss TTL in DEGRADED", State::kDegraded, 15'000, State::kTerminated,
     Reason::kTtlTransportLossExpired, Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.session.transport_loss_ttl = Millis{15'000};
       record.has_transport = false;
       record.transport_lost = kBorn;
     }},
    {"keys", State::kVolatile, 180'000, State::kTerminated, Reason::kKeyLifetimeExceeded,
     Detail::kNone, [](SessionRecord&, Policy&) {}},
    {"recovery window", State::kRecovering, 10'000, State::kTerminated,
     Reason::kRecoveryBoundsExceeded, Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.switching.max_recovery_window = Millis{10'000}; }},
    {"attempts by time", State::kRecovering, 6000, State::kDegraded,
     Reason::kRecoveryBoundsExceeded, Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.switching.recovery_attempt = Millis{2000}; }},
    {"attempts by time and denial", State::kRecovering, 2000, State::kDegraded,
     Reason::kRecoveryBoundsExceeded, Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.switching.recovery_attempt = Millis{2000};
       record.denied = 2;
     }},
    {"dead in ATTACHED", State::kAttached, 2000, State::kRecovering, Reason::kRecoveryStart,
     Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.volatility.transport_dead = Millis{2000}; }},
    {"dead in VOLATILE", State::kVolatile, 2300, State::kRecovering, Reason::kRecoveryStart,
     Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.volatility.transport_dead = Millis{2000};
       record.last_authentic = kBorn + Millis{300};
     }},
    {"dead in DEGRADED", State::kDegraded, 2000, State::kRecovering, Reason::kRecoveryRetry,
     Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.volatility.transport_dead = Millis{2000}; }},
    {"dead while idle", State::kAttached, 8000, State::kRecovering, Reason::kRecoveryStart,
     Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.volatility.transport_dead = Millis{2000};
       policy.session.idle_max = record.idle_interval = Millis{2000};
     }},
    {"heartbeat", State::kAttached, 1000, State::kVolatile, Reason::kVolatilitySignal,
     Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.volatility.heartbeat_volatile = Millis{1000}; }},
    {"flaps", State::kVolatile, 50'000, State::kDegraded, Reason::kEnterDegradedMode, Detail::kNone,
     [](SessionRecord& record, Policy&) {
       flap_n_times(record, 7);  // more than 6, the latest after 50 s
       record.entered = kBorn + Millis{50'000};
     }},
    {"volatile to degraded", State::kVolatile, 4000, State::kDegraded, Reason::kEnterDegradedMode,
     Detail::kNone,
     [](SessionRecord&, Policy& policy) { policy.volatility.volatile_to_degraded = Millis{4000}; }},
    {"volatile to recovering", State::kVolatile, 1500, State::kRecovering, Reason::kRecoveryStart,
     Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.volatility.volatile_to_recovering = Millis{1500};
       record.can_switch = true;
     }},
    {"volatile to recovering after the cooldown", State::kVolatile, 2500, State::kRecovering,
     Reason::kRecoveryStart, Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.volatility.volatile_to_recovering = Millis{1500};
       record.can_switch = true;
       switch_n_times(record, 1, kBorn + Millis{1000});
     }},
    {"volatile to recovering within the rate", State::kVolatile, 60'000, State::kRecovering,
     Reason::kRecoveryStart, Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.volatility.volatile_to_recovering = Millis{1500};
       record.can_switch = true;
       switch_n_times(record, policy.switching.max_switches_per_min);
     }},
    {"stable in VOLATILE", State::kVolatile, 3500, State::kAttached, Reason::kHealthRecovered,
     Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.volatility.stability_window = Millis{3000};
       record.healthy_since = kBorn + Millis{500};
     }},
    {"stable in DEGRADED", State::kDegraded, 3500, State::kAttached, Reason::kExitDegradedMode,
     Detail::kNone,
     [](SessionRecord& record, Policy& policy) {
       policy.volatility.stability_window = Millis{3000};
       record.healthy_since = kBorn + Millis{500};
     }},
};

TEST(SessionFsm, Deadlines) {
  for (const Deadline& row : kDeadlines) {
    SCOPED_TRACE(row.name);
    SessionRecord record = record_in(row.state);
    Policy policy = patient_policy();
    row.prepare(record, policy);
    const Millis at = kBorn + Millis{row.after};
    EXPECT_EQ(next_deadline(record, policy), at);
    EXPECT_FALSE(step(record, {Trigger::kTick}, policy, at - Millis{1}).applied);
    const Step taken = step(record, {Trigger::kTick}, policy, at);
    ASSERT_TRUE(taken.applied);
    EXPECT_EQ(taken.record.state, row.to);
    EXPECT_EQ(taken.reason, row.reason);
    EXPECT_EQ(taken.detail, row.detail);
    EXPECT_EQ(taken.record.version.value, record.version.value + 1);
    EXPECT_EQ(taken.record.entered, at);
  }
  EXPECT_EQ(next_deadline(record_in(State::kTerminated), Policy{}), kForever);
}

// What must not become due.
struct Never {
  const char* name;
  State state;
  void (*prepare)(SessionRecord&, Policy&);
};

const Never kNevers[] = {
    {"a responder doesn't want another path", State::kVolatile,
     [](SessionRecord&, Policy& policy) { policy.volatility.volatile_to_recovering = Millis{1}; }},
    {"as many flaps as granted", State::kVolatile,
     [](SessionRecord& record, Policy&) { flap_n_times(record, 6); }},
    {"flaps over more than a minute", State::kVolatile,
     [](SessionRecord& record, Policy&) {
       flap_n_times(record, 7);
       record.entered = kBorn + Millis{60'000};
     }},
    {"no transport in DEGRADED can be stable or die", State::kDegraded,
     [](SessionRecord& record, Policy& policy) {
       record.has_transport = false;
       record.healthy_since = kBorn;
       policy.volatility.stability_window = policy.volatility.transport_dead = Millis{1};
     }},
    {"silence isn't stability", State::kVolatile,
     [](SessionRecord& record, Policy& policy) {
       record.healthy_since = kBorn;
       policy.volatility.stability_window = policy.volatility.heartbeat_volatile = Millis{1000};
     }},
    {"no key yet", State::kAttached,
     [](SessionRecord& record, Policy&) { record.keys_expire = Millis{0}; }},
};

TEST(SessionFsm, NothingDue) {
  for (const Never& row : kNevers) {
    SCOPED_TRACE(row.name);
    SessionRecord record = record_in(row.state);
    record.keys_expire = Millis{0};
    Policy policy = patient_policy();
    row.prepare(record, policy);
    EXPECT_EQ(next_deadline(record, policy), kForever);
    EXPECT_FALSE(step(record, {Trigger::kTick}, policy, Millis{UINT64_MAX - 1}).applied);
  }
}

// ---- Triggered rows with guards, and the refusals beside them.

using Prepare = void (*)(SessionRecord&, Policy&, SessionEvent&);

struct Guarded {
  const char* name;
  State state;
  Trigger trigger;
  Prepare prepare;
  std::vector<TableRow> rows;  // none: refused or noted
};

void planned(SessionRecord&, Policy&, SessionEvent& event) {
  event.planned = true;
}
void just_as_it_is(SessionRecord&, Policy&, SessionEvent&) {}
void full_rate(SessionRecord& record, Policy& policy, SessionEvent& event) {
  switch_n_times(record, policy.switching.max_switches_per_min);
  policy.switching.switch_cooldown = Millis{0};
  event.planned = true;
}
void full_rate_of_recoveries(SessionRecord& record, Policy& policy, SessionEvent& event) {
  recover_n_times(record, policy.switching.max_switches_per_min);
  policy.switching.switch_cooldown = Millis{0};
  event.planned = true;
}
void full_rate_of_both(SessionRecord& record, Policy& policy, SessionEvent& event) {
  full_rate(record, policy, event);
  full_rate_of_recoveries(record, policy, event);
}
void rebind_in_haste(SessionRecord& record, Policy& policy, SessionEvent& event) {
  full_rate_of_both(record, policy, event);
  policy.switching.switch_cooldown = kForever - kBorn;
  event.rebind = true;
}
void rebind_again(SessionRecord& record, Policy&, SessionEvent& event) {
  record.rebinds.add(kNow, record.born);
  event.planned = event.rebind = true;
}
void full_rate_ends(SessionRecord& record, Policy& policy, SessionEvent& event) {
  full_rate_of_both(record, policy, event);
  policy.switching.on_rate_exceeded = OnRateExceeded::kTerminate;
}
void cooled_down(SessionRecord&, Policy& policy, SessionEvent& event) {
  policy.switching.switch_cooldown = kNow - kBorn;
  event.planned = true;
}
void told_new(SessionRecord&, Policy&, SessionEvent& event) {
  event.binding_version = BindingVersion{6};
}
void told_again(SessionRecord&, Policy&, SessionEvent& event) {
  event.binding_version = BindingVersion{5};
}
void told_over_rate(SessionRecord& record, Policy& policy, SessionEvent& event) {
  full_rate(record, policy, event);
  event.binding_version = BindingVersion{6};
}
void without_transport(SessionRecord& record, Policy& policy, SessionEvent&) {
  policy.switching.switch_cooldown = kNow - kBorn;
  record.has_transport = false;
  record.transport_lost = kBorn;
}
void with_transport(SessionRecord& record, Policy&, SessionEvent&) {
  record.has_transport = true;
}
void silently_dead(SessionRecord&, Policy& policy, SessionEvent&) {
  policy.volatility.transport_dead = kNow - kBorn;
}
void recently_switched(SessionRecord& record, Policy&, SessionEvent& event) {
  switch_n_times(record, 1);
  event.planned = true;
}
void over_threshold(SessionRecord&, Policy&, SessionEvent& event) {
  event.verdict = QualityVerdict::kVolatile;
}
void under_floor(SessionRecord&, Policy&, SessionEvent& event) {
  event.verdict = QualityVerdict::kUnderFloor;
}

using enum State;
const TableRow kStartFromAttached{kAttached, kRecovering, Reason::kRecoveryStart};
const TableRow kStartFromVolatile{kVolatile, kRecovering, Reason::kRecoveryStart};
const TableRow kRetry{kDegraded, kRecovering, Reason::kRecoveryRetry};
const TableRow kSwitched{kRecovering, kAttached, Reason::kTransportSwitchOk};

const Guarded kGuarded[] = {
    {"volatile",
     kAttached,
     Trigger::kQuality,
     over_threshold,
     {{kAttached, kVolatile, Reason::kVolatilitySignal}}},
    {"under floor",
     kAttached,
     Trigger::kQuality,
     under_floor,
     {{kAttached, kVolatile, Reason::kQualityFloorViolation}}},
    {"still volatile", kVolatile, Trigger::kQuality, under_floor, {}},
    {"volatile when degraded", kDegraded, Trigger::kQuality, over_threshold, {}},

    {"planned", kAttached, Trigger::kReattachCommitted, planned, {kStartFromAttached, kSwitched}},
    {"planned", kVolatile, Trigger::kReattachCommitted, planned, {kStartFromVolatile, kSwitched}},
    {"planned, just degraded", kDegraded, Trigger::kReattachCommitted, planned, {}},
    {"planned, cooled down",
     kDegraded,
     Trigger::kReattachCommitted,
     cooled_down,
     {kRetry, kSwitched}},
    {"planned in haste", kAttached, Trigger::kReattachCommitted, recently_switched, {}},
    {"planned over the rate", kAttached, Trigger::kReattachCommitted, full_rate, {}},
    {"planned while recovering", kRecovering, Trigger::kReattachCommitted, planned, {kSwitched}},
    {"recovering in haste",
     kRecovering,
     Trigger::kReattachCommitted,
     recently_switched,
     {kSwitched}},
    {"recovering over the rate of planned switches",
     kRecovering,
     Trigger::kReattachCommitted,
     full_rate,
     {kSwitched}},
    {"recovering over its own rate",
     kRecovering,
     Trigger::kReattachCommitted,
     full_rate_of_recoveries,
     {}},
    {"planned, over the rate of recoveries",
     kAttached,
     Trigger::kReattachCommitted,
     full_rate_of_recoveries,
     {kStartFromAttached, kSwitched}},
    {"rebind over both rates, in haste",
     kAttached,
     Trigger::kReattachCommitted,
     rebind_in_haste,
     {kStartFromAttached, kSwitched}},
    {"rebind at once after another", kAttached, Trigger::kReattachCommitted, rebind_again, {}},
    {"recovering beside a living binding",
     kRecovering,
     Trigger::kReattachCommitted,
     with_transport,
     {}},
    {"unplanned, nothing bound",
     kDegraded,
     Trigger::kReattachCommitted,
     without_transport,
     {kRetry, kSwitched}},
    {"told", kRecovering, Trigger::kReattachCommitted, told_new, {kSwitched}},
    {"told", kAttached, Trigger::kReattachCommitted, told_new, {kStartFromAttached, kSwitched}},
    {"told", kDegraded, Trigger::kReattachCommitted, told_new, {kRetry, kSwitched}},
    {"told over this end's rate",
     kRecovering,
     Trigger::kReattachCommitted,
     told_over_rate,
     {kSwitched}},
    {"told again", kRecovering, Trigger::kReattachCommitted, told_again, {}},
    {"told again", kAttached, Trigger::kReattachCommitted, told_again, {}},
    {"told before birth", kBirth, Trigger::kReattachCommitted, told_new, {}},

    {"no binding to lose", kDegraded, Trigger::kTransportDead, without_transport, {}},
    {"unplanned, silently dead",
     kVolatile,
     Trigger::kReattachCommitted,
     silently_dead,
     {kStartFromVolatile, kSwitched}},

    {"rate",
     kAttached,
     Trigger::kSwitchRateExceeded,
     full_rate,
     {{kAttached, kDegraded, Reason::kEnterDegradedMode}}},
    {"rate",
     kVolatile,
     Trigger::kSwitchRateExceeded,
     full_rate,
     {{kVolatile, kDegraded, Reason::kEnterDegradedMode}}},
    {"rate",
     kRecovering,
     Trigger::kSwitchRateExceeded,
     full_rate_of_both,
     {{kRecovering, kDegraded, Reason::kEnterDegradedMode}}},
    {"rate ends",
     kAttached,
     Trigger::kSwitchRateExceeded,
     full_rate_ends,
     {{kAttached, kTerminated, Reason::kPolicyTermination}}},
    {"rate ends",
     kVolatile,
     Trigger::kSwitchRateExceeded,
     full_rate_ends,
     {{kVolatile, kTerminated, Reason::kPolicyTermination}}},
    {"rate ends",
     kRecovering,
     Trigger::kSwitchRateExceeded,
     full_rate_ends,
     {{kRecovering, kTerminated, Reason::kPolicyTermination}}},
    {"rate when degraded", kDegraded, Trigger::kSwitchRateExceeded, full_rate_ends, {}},
    {"rate not exceeded", kAttached, Trigger::kSwitchRateExceeded, just_as_it_is, {}},

    {"retry", kDegraded, Trigger::kSwitchRequested, cooled_down, {kRetry}},
    {"retry too early", kDegraded, Trigger::kSwitchRequested, just_as_it_is, {}},
    {"request elsewhere", kAttached, Trigger::kSwitchRequested, cooled_down, {}},
};

TEST(SessionFsm, GuardedRowsAndRefusals) {
  for (const Guarded& each : kGuarded) {
    SCOPED_TRACE(std::string(to_string(each.state)) + " " + to_string(each.trigger) + ": " +
                 each.name);
    SessionRecord record = record_in(each.state);
    Policy policy;
    SessionEvent event{each.trigger};
    each.prepare(record, policy, event);
    const Step taken = step(record, event, policy, kNow);
    ASSERT_EQ(taken.row_count, each.rows.size());
    EXPECT_EQ(taken.refused, each.rows.empty() && each.trigger != Trigger::kQuality);
    EXPECT_EQ(taken.record.version.value, record.version.value + each.rows.size());
    if (taken.refused) {
      EXPECT_EQ(taken.record, record);
    }
    for (size_t i = 0; i < each.rows.size(); ++i) {
      const AppliedRow& row = taken.rows()[i];
      EXPECT_EQ((TableRow{row.from, row.to, row.reason}), each.rows[i]);
      EXPECT_EQ(row.version.value, record.version.value + i + 1);
    }
  }
}

// ---- Simultaneous triggers, in pairs: the earlier of this list wins.

struct Simultaneous {
  const char* name;
  std::vector<State> states;
  Reason reason;
  std::optional<Trigger> trigger;  // none: a deadline
  Prepare prepare;
};

const std::vector<State> kAllLive = {kBirth, kAttached, kVolatile, kRecovering, kDegraded};
const std::vector<State> kOnceAttached = {kAttached, kVolatile, kRecovering, kDegraded};

const Simultaneous kInOrder[] = {
    {"corrupt",
     kOnceAttached,
     Reason::kFatalProtocolError,
     {},
     [](SessionRecord& record, Policy&, SessionEvent&) { record.version = StateVersion{0}; }},
    {"fatal", kAllLive, Reason::kFatalProtocolError, Trigger::kProtocolViolation, just_as_it_is},
    {"terminate", kAllLive, Reason::kPolicyTermination, Trigger::kTerminate, just_as_it_is},
    {"session TTL",
     kAllLive,
     Reason::kTtlSessionExpired,
     {},
     [](SessionRecord&, Policy& policy, SessionEvent&) {
       policy.session.max_lifetime = Millis{1};
     }},
    {"loss TTL",
     kOnceAttached,
     Reason::kTtlTransportLossExpired,
     {},
     [](SessionRecord&, Policy& policy, SessionEvent&) {
       policy.session.transport_loss_ttl = Millis{1};
     }},
    {"keys",
     kOnceAttached,
     Reason::kKeyLifetimeExceeded,
     {},
     [](SessionRecord& record, Policy&, SessionEvent&) { record.keys_expire = kNow; }},
    {"window",
     {kRecovering},
     Reason::kRecoveryBoundsExceeded,
     {},
     [](SessionRecord&, Policy& policy, SessionEvent&) {
       policy.switching.max_recovery_window = kNow - kBorn;
     }},
    {"commit", kOnceAttached, Reason::kTransportSwitchOk, Trigger::kReattachCommitted, cooled_down},
    {"dead link",
     {kAttached, kVolatile},
     Reason::kRecoveryStart,
     Trigger::kTransportDead,
     just_as_it_is},
    {"dead in silence",
     {kAttached, kVolatile},
     Reason::kRecoveryStart,
     {},
     [](SessionRecord&, Policy& policy, SessionEvent&) {
       policy.volatility.transport_dead = Millis{1};
     }},
    {"dead link, degraded",
     {kDegraded},
     Reason::kRecoveryRetry,
     Trigger::kTransportDead,
     just_as_it_is},
    {"attempts",
     {kRecovering},
     Reason::kRecoveryBoundsExceeded,
     {},
     [](SessionRecord& record, Policy&, SessionEvent&) { record.denied = 3; }},
    {"rate",
     {kAttached, kVolatile, kRecovering},
     Reason::kEnterDegradedMode,
     Trigger::kSwitchRateExceeded,
     full_rate},
    {"flaps",
     {kVolatile},
     Reason::kEnterDegradedMode,
     {},
     [](SessionRecord& record, Policy&, SessionEvent&) { flap_n_times(record, 7); }},
    {"volatile to degraded",
     {kVolatile},
     Reason::kEnterDegradedMode,
     {},
     [](SessionRecord&, Policy& policy, SessionEvent&) {
       policy.volatility.volatile_to_degraded = Millis{1};
     }},
    {"volatile to recovering",
     {kVolatile},
     Reason::kRecoveryStart,
     {},
     [](SessionRecord& record, Policy& policy, SessionEvent&) {
       policy.volatility.volatile_to_recovering = Millis{1};
       record.can_switch = true;
     }},
    {"heartbeat",
     {kAttached},
     Reason::kVolatilitySignal,
     {},
     [](SessionRecord&, Policy& policy, SessionEvent&) {
       policy.volatility.heartbeat_volatile = Millis{1};
     }},
    {"floor", {kAttached}, Reason::kQualityFloorViolation, Trigger::kQuality, under_floor},
    {"stable",
     {kVolatile},
     Reason::kHealthRecovered,
     {},
     [](SessionRecord& record, Policy& policy, SessionEvent&) {
       policy.volatility.stability_window = Millis{1};
       record.healthy_since = kBorn;
     }},
    {"stable, degraded",
     {kDegraded},
     Reason::kExitDegradedMode,
     {},
     [](SessionRecord& record, Policy& policy, SessionEvent&) {
       policy.volatility.stability_window = Millis{1};
       record.healthy_since = kBorn;
     }},
};

bool in(const std::vector<State>& states, State state) {
  return std::ranges::find(states, state) != states.end();
}

TEST(SessionFsm, SimultaneousTriggersInPairs) {
  size_t pairs = 0;
  for (size_t i = 0; i < std::size(kInOrder); ++i) {
    for (size_t j = i + 1; j < std::size(kInOrder); ++j) {
      const Simultaneous& first = kInOrder[i];
      const Simultaneous& second = kInOrder[j];
      if (first.trigger && second.trigger) continue;  // a step takes one
      for (const State state : kStates) {
        if (!in(first.states, state) || !in(second.states, state)) continue;
        SCOPED_TRACE(std::string(to_string(state)) + ": " + first.name + ", " + second.name);
        SessionRecord record = record_in(state);
        Policy policy = patient_policy();
        SessionEvent event{first.trigger.value_or(second.trigger.value_or(Trigger::kTick))};
        second.prepare(record, policy, event);
        first.prepare(record, policy, event);
        const Step taken = step(record, event, policy, kNow);
        EXPECT_EQ(taken.reason, first.reason);
        ++pairs;
      }
    }
  }
  EXPECT_GT(pairs, 150U);
}

// ---- What a row does to the record.

TEST(SessionFsm, ConfirmationBinds) {
  const Step own = step(record_in(State::kBirth), {Trigger::kKeyConfirmed}, Policy{}, kNow);
  EXPECT_EQ(own.record.binding_version, BindingVersion{1});
  EXPECT_EQ(own.record.last_authentic, kNow);
  const Step told =
      step(record_in(State::kBirth), {Trigger::kKeyConfirmed, Detail::kNone, BindingVersion{9}},
           Policy{}, kNow);
  EXPECT_EQ(told.record.binding_version, BindingVersion{9});
  EXPECT_EQ(told.record.version, StateVersion{1});
  EXPECT_EQ(told.record.switches.count(), 0U);
}

TEST(SessionFsm, CommitBinds) {
  SessionRecord before = record_in(State::kAttached);
  before.idle_interval = Millis{400};
  SessionEvent event{Trigger::kReattachCommitted};
  event.planned = true;
  const SessionRecord own = step(before, event, Policy{}, kNow).record;
  EXPECT_EQ(own.version, StateVersion{9});
  EXPECT_EQ(own.binding_version, BindingVersion{9});
  EXPECT_EQ(own.last_authentic, kNow);
  EXPECT_EQ(own.idle_interval, Millis{0});
  EXPECT_EQ(own.switches.at(0, own.born), kNow);
  EXPECT_EQ(own.switches.count(), 1U);

  event.binding_version = BindingVersion{21};
  const SessionRecord told = step(before, event, Policy{}, kNow).record;
  EXPECT_EQ(told.version, StateVersion{9});
  EXPECT_EQ(told.binding_version, BindingVersion{21});
}

TEST(SessionFsm, OnlyDeathGivesUpTheBinding) {
  SessionRecord record = record_in(State::kVolatile);
  record.can_switch = true;
  const Millis later = kBorn + Millis{1500};
  record.last_authentic = later;
  const Step wish = step(record, {Trigger::kTick}, Policy{}, later);
  EXPECT_EQ(wish.record.state, State::kRecovering);
  EXPECT_TRUE(wish.record.has_transport);
  const Step death = step(record, {Trigger::kTransportDead}, Policy{}, later);
  EXPECT_EQ(death.record.state, State::kRecovering);
  EXPECT_FALSE(death.record.has_transport);
  EXPECT_EQ(death.record.transport_lost, later);
}

// Else the session would leave RECOVERING for DEGRADED, be found healthy there and be ATTACHED,
// with nothing to send by.
TEST(SessionFsm, ADeathToldInRecoveringGivesUpTheBindingAtOnce) {
  SessionRecord record = record_in(State::kRecovering);
  record.has_transport = true;
  record.last_authentic = kNow;
  const Step death = step(record, {Trigger::kTransportDead}, Policy{}, kNow);
  EXPECT_FALSE(death.applied);
  EXPECT_FALSE(death.refused);
  EXPECT_EQ(death.record.state, State::kRecovering);
  EXPECT_FALSE(death.record.has_transport);
  EXPECT_EQ(death.record.transport_lost, kNow);
  const Step again = step(death.record, {Trigger::kTransportDead}, Policy{}, kNow);
  EXPECT_FALSE(again.refused);
  EXPECT_EQ(again.record, death.record);
}

TEST(SessionFsm, ABindingThatDiedInRecoveringIsGivenUpWithTheRecovery) {
  SessionRecord record = record_in(State::kRecovering);
  record.has_transport = true;
  record.denied = 3;
  const Step alive = step(record, {Trigger::kTick}, Policy{}, kNow);
  EXPECT_EQ(alive.record.state, State::kDegraded);
  EXPECT_TRUE(alive.record.has_transport);
  const Step dead = step(record, {Trigger::kTick}, Policy{}, kBorn + Millis{2000});
  EXPECT_EQ(dead.record.state, State::kDegraded);
  EXPECT_FALSE(dead.record.has_transport);
  EXPECT_EQ(dead.record.transport_lost, kBorn);
}

TEST(SessionFsm, TransportLossRunsThroughRetriesUntilACommit) {
  Policy policy;
  policy.switching.max_recovery_attempts = 1;
  SessionRecord record = record_in(State::kAttached);
  Millis now = kBorn + Millis{2000};
  record = step(record, {Trigger::kTick}, policy, now).record;
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(record.state, State::kRecovering);
    EXPECT_EQ(record.transport_lost, kBorn);
    now = now + Millis{2000};
    record = step(record, {Trigger::kTick}, policy, now).record;
    EXPECT_EQ(record.state, State::kDegraded);
    now = now + Millis{1500};
    record = step(record, {Trigger::kSwitchRequested}, policy, now).record;
  }
  const Step end = step(record, {Trigger::kTick}, policy, kBorn + Millis{15'000});
  EXPECT_EQ(end.reason, Reason::kTtlTransportLossExpired);
}

// An idle peer's death is seen late; it still has the whole TTL to come back.
TEST(SessionFsm, DeathOfAnIdlePeerStartsTheLossTtl) {
  Policy policy;
  policy.session.idle_max = Millis{60'000};
  SessionRecord record = record_in(State::kVolatile);
  record.entered = kBorn + Millis{239'000};
  record.keys_expire = Millis{0};
  record.idle_interval = Millis{60'000};
  const Millis dead = kBorn + Millis{240'000};
  const Step taken = step(record, {Trigger::kTick}, policy, dead);
  EXPECT_EQ(taken.record.state, State::kRecovering);
  EXPECT_EQ(taken.record.transport_lost, dead - Millis{2000});
}

TEST(SessionFsm, DeniedRequestsAreAttempts) {
  SessionRecord record = record_in(State::kRecovering);
  for (uint32_t attempt = 1; attempt < 3; ++attempt) {
    const Step taken = step(record, {Trigger::kRequestDenied}, Policy{}, kNow);
    EXPECT_FALSE(taken.applied);
    EXPECT_FALSE(taken.refused);
    record = taken.record;
    EXPECT_EQ(recovery_attempts(record, Policy{}, kNow), attempt);
  }
  const Step last = step(record, {Trigger::kRequestDenied}, Policy{}, kNow);
  EXPECT_EQ(last.record.state, State::kDegraded);
  EXPECT_EQ(last.reason, Reason::kRecoveryBoundsExceeded);
  EXPECT_EQ(last.record.denied, 0U);
}

TEST(SessionFsm, HealthRunsFromTheFirstHealthyVerdict) {
  const auto judge = [](SessionRecord record, QualityVerdict verdict, uint64_t after) {
    const Millis at = kBorn + Millis{after};
    record.last_authentic = at;
    SessionEvent event{Trigger::kQuality};
    event.verdict = verdict;
    return step(record, event, Policy{}, at).record;
  };
  SessionRecord record = record_in(State::kVolatile);
  record = judge(record, QualityVerdict::kHealthy, 100);
  record = judge(record, QualityVerdict::kHealthy, 500);
  EXPECT_EQ(record.healthy_since, kBorn + Millis{100});
  record = judge(record, QualityVerdict::kVolatile, 800);
  EXPECT_EQ(record.healthy_since, std::nullopt);
  record = judge(record, QualityVerdict::kHealthy, 900);
  EXPECT_EQ(record.healthy_since, kBorn + Millis{900});
  const SessionRecord attached = judge(record, QualityVerdict::kHealthy, 3900);
  EXPECT_EQ(attached.state, State::kAttached);
  EXPECT_EQ(attached.healthy_since, std::nullopt);
  // Silence breaks the run, and a tick that saw it says so.
  const SessionRecord silent =
      step(record, {Trigger::kTick}, Policy{}, kBorn + Millis{900 + 1000}).record;
  EXPECT_EQ(silent.state, State::kVolatile);
  EXPECT_EQ(silent.healthy_since, std::nullopt);
}

TEST(SessionFsm, SevenFlapsAMinuteDegrade) {
  Policy policy;
  SessionRecord record = record_in(State::kAttached);
  SessionEvent bad{Trigger::kQuality};
  bad.verdict = QualityVerdict::kVolatile;
  Millis now = kBorn;
  for (int flap = 1; flap <= 7; ++flap) {
    record.last_authentic = now;
    record = step(record, bad, policy, now).record;
    ASSERT_EQ(record.state, State::kVolatile);
    const Step next = step(record, {Trigger::kTick}, policy, now);
    ASSERT_EQ(next.applied, flap == 7);
    if (flap == 7) {
      EXPECT_EQ(next.record.state, State::kDegraded);
      break;
    }
    now = now + Millis{3500};
    record.last_authentic = now;
    record.healthy_since = now - Millis{3000};
    record = step(record, {Trigger::kTick}, policy, now).record;
    ASSERT_EQ(record.state, State::kAttached);
  }
}

// ---- Helpers.

TEST(SessionFsm, SwitchRateAndCooldown) {
  Policy policy;
  SessionRecord record = record_in(State::kAttached);
  EXPECT_FALSE(cooling_down(record, policy, kBorn));
  switch_n_times(record, 7);
  EXPECT_FALSE(switch_rate_exceeded(record, policy, kNow));
  switch_n_times(record, 1, kNow);
  EXPECT_TRUE(switch_rate_exceeded(record, policy, kNow));
  EXPECT_EQ(switch_rate_allows(record, policy, SwitchKind::kWished), kBorn + Millis{60'000});
  EXPECT_EQ(switch_rate_allows(record, policy, SwitchKind::kRecovery), Millis{0});
  EXPECT_TRUE(cooling_down(record, policy, kNow + Millis{1499}));
  EXPECT_FALSE(cooling_down(record, policy, kNow + Millis{1500}));
  policy.switching.max_switches_per_min = 0;
  EXPECT_TRUE(switch_rate_exceeded(record, policy, kForever - Millis{1}));
}

TEST(SessionFsm, EachRebindDoublesTheWaitForAMinute) {
  SessionRecord record = record_in(State::kAttached);
  const auto allowed = [&] { return switch_rate_allows(record, {}, SwitchKind::kRebind); };
  EXPECT_EQ(allowed(), Millis{0});
  Millis at = kNow;
  for (const uint64_t wait : {250U, 500U, 1'000U, 2'000U, 4'000U, 8'000U, 16'000U}) {
    record.rebinds.add(at, record.born);
    EXPECT_EQ(allowed() - at, Millis{wait});
    at = allowed();
  }
  record.rebinds.add(at + Millis{60'000}, record.born);
  EXPECT_EQ(allowed(), at + Millis{60'250});
}

TEST(SessionFsm, MoreSwitchesThanAreRememberedAreNotGranted) {
  Policy policy;
  policy.switching.max_switches_per_min = 1000;
  SessionRecord record = record_in(State::kAttached);
  switch_n_times(record, kMaxSwitchesPerMin - 1);
  EXPECT_FALSE(switch_rate_exceeded(record, policy, kNow));
  switch_n_times(record, 1);
  EXPECT_TRUE(switch_rate_exceeded(record, policy, kNow));
}

TEST(SessionFsm, RecentTimesKeepTheNewest) {
  RecentTimes<3> times;
  EXPECT_EQ(times.at(0, kBorn), std::nullopt);
  for (uint64_t i = 1; i <= 5; ++i) times.add(kBorn + Millis{i}, kBorn);
  EXPECT_EQ(times.count(), 3U);
  EXPECT_EQ(times.at(0, kBorn), kBorn + Millis{5});
  EXPECT_EQ(times.at(2, kBorn), kBorn + Millis{3});
  EXPECT_EQ(times.at(3, kBorn), std::nullopt);
}

TEST(SessionFsm, AttemptsAreTimeAndDenials) {
  SessionRecord record = record_in(State::kRecovering);
  EXPECT_EQ(recovery_attempts(record, Policy{}, kBorn + Millis{1999}), 0U);
  EXPECT_EQ(recovery_attempts(record, Policy{}, kBorn + Millis{2000}), 1U);
  EXPECT_EQ(recovery_attempts(record, Policy{}, kBorn + Millis{900'000}), 3U);
  EXPECT_EQ(recovery_attempts(record_in(State::kAttached), Policy{}, kForever), 0U);
}

TEST(SessionFsm, LivenessScalesWithAnnouncedIdleness) {
  Policy policy;
  SessionRecord record = record_in(State::kAttached);
  record.idle_interval = Millis{5000};
  EXPECT_EQ(scaled_by_idle(Millis{2000}, record, policy), Millis{2000});  // none is granted
  policy.session.idle_max = Millis{2000};
  EXPECT_EQ(scaled_by_idle(Millis{2000}, record, policy), Millis{8000});
  EXPECT_EQ(scaled_by_idle(kForever, record, policy), kForever);
  record.idle_interval = Millis{500};
  EXPECT_EQ(scaled_by_idle(Millis{2000}, record, policy), Millis{2000});
}

// ---- Edges.

TEST(SessionFsm, ConfirmationAfterTheTimeoutIsTooLate) {
  const Step taken = step(record_in(State::kBirth), {Trigger::kKeyConfirmed}, Policy{},
                          kBorn + Millis{kHandshakeTimeoutMs});
  EXPECT_EQ(taken.record.state, State::kTerminated);
  EXPECT_EQ(taken.reason, Reason::kHandshakeFail);
  EXPECT_EQ(taken.detail, Detail::kTimeout);
}

TEST(SessionFsm, CorruptRecordEnds) {
  std::vector<SessionRecord> corrupt;
  for (const State state : {State::kAttached, State::kVolatile}) {
    corrupt.push_back(record_in(state));
    corrupt.back().has_transport = false;
  }
  for (const State state : kOnceAttached) {
    corrupt.push_back(record_in(state));
    corrupt.back().version = StateVersion{0};
    corrupt.push_back(record_in(state));
    corrupt.back().binding_version = BindingVersion{0};
  }
  corrupt.push_back(record_in(State::kBirth));
  corrupt.back().has_transport = true;
  corrupt.push_back(record_in(State::kBirth));
  corrupt.back().version = StateVersion{1};
  for (const SessionRecord& record : corrupt) {
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
  EXPECT_EQ(next_deadline(record, Policy{}), kForever);
}

TEST(SessionFsm, VersionNeverWraps) {
  SessionRecord record = record_in(State::kAttached);
  record.version = StateVersion{UINT64_MAX - 1};
  const Step last = step(record, {Trigger::kTerminate}, Policy{}, kNow);
  ASSERT_TRUE(last.applied);
  EXPECT_EQ(last.record.version, StateVersion{UINT64_MAX});
  record.version = StateVersion{UINT64_MAX};
  EXPECT_FALSE(step(record, {Trigger::kTerminate}, Policy{}, kNow).applied);
  // A planned commit takes two: both or none.
  SessionEvent event{Trigger::kReattachCommitted};
  event.planned = true;
  record.version = StateVersion{UINT64_MAX - 2};
  EXPECT_TRUE(step(record, event, Policy{}, kNow).refused);
  record.version = StateVersion{UINT64_MAX - 3};
  EXPECT_EQ(step(record, event, Policy{}, kNow).record.version, StateVersion{UINT64_MAX - 1});
}

TEST(SessionFsm, SpansWithoutEndDontWrap) {
  SessionRecord record = record_in(State::kAttached);
  record.keys_expire = Millis{0};
  EXPECT_EQ(next_deadline(record, patient_policy()), kForever);
  EXPECT_FALSE(step(record, {Trigger::kTick}, patient_policy(), kForever - Millis{1}).applied);
}

}  // namespace
}  // namespace jvpn
