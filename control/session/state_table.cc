// The table, in the order in which simultaneous triggers are judged, with its deadlines and guards.
#include "control/session/state_table.h"

#include <algorithm>
#include <array>

#include "common/limits.h"

namespace jvpn::session {
namespace {

constexpr States operator|(State a, State b) {
  return static_cast<States>(only(a) | only(b));
}
constexpr States operator|(States a, State b) {
  return static_cast<States>(a | only(b));
}

constexpr States kBirth = only(State::kBirth);
constexpr States kAttached = only(State::kAttached);
constexpr States kVolatile = only(State::kVolatile);
constexpr States kRecovering = only(State::kRecovering);
constexpr States kDegraded = only(State::kDegraded);
constexpr States kCarrying = State::kAttached | State::kVolatile;
constexpr States kAttachedOnce =
    State::kAttached | State::kVolatile | State::kRecovering | State::kDegraded;
constexpr States kLive = kAttachedOnce | State::kBirth;

constexpr Millis saturating_multiply(Millis span, uint64_t times) {
  if (times != 0 && span.value > kNever.value / times) return kNever;
  return Millis{span.value * times};
}

// ---- Deadlines.

Millis transport_loss_ends(const SessionRecord& record, const Policy& policy) {
  const Millis ttl = policy.session.transport_loss_ttl;
  if (!record.has_transport) return saturating_add(record.transport_lost, ttl);
  return saturating_add(record.last_authentic, scaled_by_idle(ttl, record, policy));
}

Millis keys_end(const SessionRecord& record, const Policy&) {
  return record.keys_expire == Millis{0} ? kNever : record.keys_expire;
}

Millis birth_ends(const SessionRecord& record, const Policy&) {
  return saturating_add(record.born, Millis{kHandshakeTimeoutMs});
}

Millis window_ends(const SessionRecord& record, const Policy& policy) {
  return saturating_add(record.entered, policy.switching.max_recovery_window);
}

Millis attempts_end(const SessionRecord& record, const Policy& policy) {
  const uint64_t granted = policy.switching.max_recovery_attempts;
  const uint64_t left = granted > record.denied ? granted - record.denied : 0;
  return saturating_add(record.entered,
                        saturating_multiply(policy.switching.recovery_attempt, left));
}

// Due at once: the flap that brought the session here was one too many.
Millis flaps_end(const SessionRecord& record, const Policy& policy) {
  const size_t granted = std::min<size_t>(policy.volatility.max_flaps_per_min, kMaxFlapsPerMin);
  const auto first = record.flaps.at(granted, record.born);
  const bool within_a_minute = first && saturating_add(*first, kMinute) > record.entered;
  return within_a_minute ? record.entered : kNever;
}

Millis volatile_too_long(const SessionRecord& record, const Policy& policy) {
  return saturating_add(record.entered, policy.volatility.volatile_to_degraded);
}

Millis wants_better_path(const SessionRecord& record, const Policy& policy) {
  if (!record.can_switch) return kNever;
  return std::max({saturating_add(record.entered, policy.volatility.volatile_to_recovering),
                   cooldown_ends(record, policy),
                   switch_rate_allows(record, policy, SwitchKind::kWished)});
}

// Never, when the present silence will have become volatile by then.
Millis stable(const SessionRecord& record, const Policy& policy) {
  if (!record.has_transport || !record.healthy_since) return kNever;
  const Millis at = saturating_add(*record.healthy_since, policy.volatility.stability_window);
  return at < silence_is_volatile(record, policy) ? at : kNever;
}

constexpr Deadline kSessionEnds{session_ends, "`max_lifetime_ms` since birth"};
constexpr Deadline kTransportLossEnds{transport_loss_ends,
                                      "no active transport for `transport_loss_ttl_ms`"};
constexpr Deadline kKeysEnd{keys_end, "the keys expire without a successor"};
constexpr Deadline kBirthEnds{birth_ends, "no confirmation within 5 s"};
constexpr Deadline kWindowEnds{window_ends, "in RECOVERING for `max_recovery_window_ms`"};
constexpr Deadline kSilenceIsDeath{silence_is_death, "nothing authentic for `transport_dead_ms`"};
constexpr Deadline kAttemptsEnd{attempts_end, "`max_recovery_attempts` used"};
constexpr Deadline kFlapsEnd{flaps_end, "more than `max_flaps_per_min`"};
constexpr Deadline kVolatileTooLong{volatile_too_long, "in VOLATILE for `volatile_to_degraded_ms`"};
constexpr Deadline kWantsBetterPath{
    wants_better_path,
    "initiator with a better candidate: in VOLATILE for `volatile_to_recovering_ms`, and cooldown "
    "and switch rate permit"};
constexpr Deadline kSilenceIsVolatile{silence_is_volatile,
                                      "nothing authentic for `heartbeat_volatile_ms`"};
constexpr Deadline kStable{stable, "healthy for `stability_window_ms`, with a transport"};

// ---- Guards.

bool told(const SessionEvent& event) {
  return event.binding_version != BindingVersion{0};
}

bool commit_allowed(const SessionRecord& record, const SessionEvent& event, const Policy& policy,
                    Millis now) {
  if (told(event)) return event.binding_version > record.binding_version;
  const SwitchKind kind = switch_kind(record, policy, now, event.rebind);
  if (now < switch_rate_allows(record, policy, kind)) return false;
  if (kind == SwitchKind::kRecovery) return true;
  return event.planned && (kind == SwitchKind::kRebind || record.state == State::kRecovering ||
                           !cooling_down(record, policy, now));
}

bool commit_after_retry_allowed(const SessionRecord& record, const SessionEvent& event,
                                const Policy& policy, Millis now) {
  return (told(event) || may_retry(record, policy, now)) &&
         commit_allowed(record, event, policy, now);
}

bool bound(const SessionRecord& record, const SessionEvent&, const Policy&, Millis) {
  return record.has_transport;
}

bool retry_allowed(const SessionRecord& record, const SessionEvent&, const Policy& policy,
                   Millis now) {
  return may_retry(record, policy, now);
}

bool rate_degrades(const SessionRecord& record, const SessionEvent&, const Policy& policy,
                   Millis now) {
  return policy.switching.on_rate_exceeded == OnRateExceeded::kDegrade &&
         switch_rate_exceeded(record, policy, now);
}

bool rate_terminates(const SessionRecord& record, const SessionEvent&, const Policy& policy,
                     Millis now) {
  return policy.switching.on_rate_exceeded == OnRateExceeded::kTerminate &&
         switch_rate_exceeded(record, policy, now);
}

bool over_threshold(const SessionRecord&, const SessionEvent& event, const Policy&, Millis) {
  return event.verdict == QualityVerdict::kVolatile;
}

bool under_floor(const SessionRecord&, const SessionEvent& event, const Policy&, Millis) {
  return event.verdict == QualityVerdict::kUnderFloor;
}

constexpr Guard kNoGuard{};
constexpr Guard kCommitAllowed{
    commit_allowed,
    "initiator: a higher version was told; responder: within the budget of its kind (recovery, "
    "rebind, any other), and the old binding is dead, or retired by the request, after the "
    "cooldown "
    "unless it is a rebind"};
constexpr Guard kCommitAfterRetry{commit_after_retry_allowed,
                                  "the same, and `switch_cooldown_ms` in DEGRADED have passed"};
constexpr Guard kBound{bound, "with a transport"};
constexpr Guard kRetryAllowed{retry_allowed, "`switch_cooldown_ms` in DEGRADED have passed"};
constexpr Guard kRateDegrades{rate_degrades,
                              "over `max_switches_per_min`, `on_rate_exceeded: degrade`"};
constexpr Guard kRateTerminates{rate_terminates,
                                "over `max_switches_per_min`, `on_rate_exceeded: terminate`"};
constexpr Guard kOverThreshold{over_threshold, "loss, latency or jitter over its threshold"};
constexpr Guard kUnderFloor{under_floor, "delivered, but under `quality_floor`"};

// ---- The table.

constexpr Row on(States from, Trigger trigger, Guard guard, State to, Reason reason) {
  return {from, When::kTriggered, trigger, {}, guard, to, reason};
}
constexpr Row due(States from, Deadline deadline, State to, Reason reason) {
  return {from, When::kDue, Trigger::kTick, deadline, {}, to, reason};
}
constexpr Row corrupt(States from, State to, Reason reason) {
  return {from, When::kCorrupt, Trigger::kTick, {}, {}, to, reason};
}
constexpr Row with(Row row, BindingEffect binding, Counts counts = Counts::kNothing) {
  row.binding = binding;
  row.counts = counts;
  return row;
}
constexpr Row saying(Row row, Detail detail) {
  row.detail = detail;
  return row;
}
constexpr Row ending(Row row) {
  return with(row, BindingEffect::kEnd);
}
constexpr Row flap(Row row) {
  return with(row, BindingEffect::kKeep, Counts::kFlap);
}

using enum BindingEffect;

constexpr std::array kTable = {
    // fatal
    saying(ending(corrupt(kLive, State::kTerminated, Reason::kFatalProtocolError)),
           Detail::kCorruptRecord),
    ending(on(kLive, Trigger::kProtocolViolation, kNoGuard, State::kTerminated,
              Reason::kFatalProtocolError)),
    // operator, supersession, policy, peer
    ending(
        on(kLive, Trigger::kTerminate, kNoGuard, State::kTerminated, Reason::kPolicyTermination)),
    // TTLs and keys
    ending(due(kLive, kSessionEnds, State::kTerminated, Reason::kTtlSessionExpired)),
    ending(due(kAttachedOnce, kTransportLossEnds, State::kTerminated,
               Reason::kTtlTransportLossExpired)),
    ending(due(kAttachedOnce, kKeysEnd, State::kTerminated, Reason::kKeyLifetimeExceeded)),
    // handshake
    ending(on(kBirth, Trigger::kHandshakeFailed, kNoGuard, State::kTerminated,
              Reason::kHandshakeFail)),
    saying(ending(due(kBirth, kBirthEnds, State::kTerminated, Reason::kHandshakeFail)),
           Detail::kTimeout),
    with(on(kBirth, Trigger::kKeyConfirmed, kNoGuard, State::kAttached, Reason::kHandshakeOk),
         kBind),
    // recovery window
    ending(due(kRecovering, kWindowEnds, State::kTerminated, Reason::kRecoveryBoundsExceeded)),
    // accepted commit; from elsewhere than RECOVERING both rows in one step
    with(on(kRecovering, Trigger::kReattachCommitted, kCommitAllowed, State::kAttached,
            Reason::kTransportSwitchOk),
         kBind, Counts::kSwitch),
    with(on(kCarrying, Trigger::kReattachCommitted, kCommitAllowed, State::kRecovering,
            Reason::kRecoveryStart),
         kReplace),
    with(on(kDegraded, Trigger::kReattachCommitted, kCommitAfterRetry, State::kRecovering,
            Reason::kRecoveryRetry),
         kReplace),
    // death
    with(on(kCarrying, Trigger::kTransportDead, kNoGuard, State::kRecovering,
            Reason::kRecoveryStart),
         kLose),
    with(due(kCarrying, kSilenceIsDeath, State::kRecovering, Reason::kRecoveryStart), kLose),
    with(on(kDegraded, Trigger::kTransportDead, kBound, State::kRecovering, Reason::kRecoveryRetry),
         kLose),
    with(due(kDegraded, kSilenceIsDeath, State::kRecovering, Reason::kRecoveryRetry), kLose),
    // attempts
    with(due(kRecovering, kAttemptsEnd, State::kDegraded, Reason::kRecoveryBoundsExceeded),
         kLoseIfSilent),
    // switch rate, and the request that leads out of DEGRADED
    saying(with(on(kCarrying | State::kRecovering, Trigger::kSwitchRateExceeded, kRateDegrades,
                   State::kDegraded, Reason::kEnterDegradedMode),
                kLoseIfSilent),
           Detail::kSwitchRate),
    saying(ending(on(kCarrying | State::kRecovering, Trigger::kSwitchRateExceeded, kRateTerminates,
                     State::kTerminated, Reason::kPolicyTermination)),
           Detail::kSwitchRate),
    on(kDegraded, Trigger::kSwitchRequested, kRetryAllowed, State::kRecovering,
       Reason::kRecoveryRetry),
    // instability
    with(due(kVolatile, kFlapsEnd, State::kDegraded, Reason::kEnterDegradedMode), kLoseIfSilent),
    with(due(kVolatile, kVolatileTooLong, State::kDegraded, Reason::kEnterDegradedMode),
         kLoseIfSilent),
    due(kVolatile, kWantsBetterPath, State::kRecovering, Reason::kRecoveryStart),
    // quality
    flap(due(kAttached, kSilenceIsVolatile, State::kVolatile, Reason::kVolatilitySignal)),
    flap(on(kAttached, Trigger::kQuality, kOverThreshold, State::kVolatile,
            Reason::kVolatilitySignal)),
    flap(on(kAttached, Trigger::kQuality, kUnderFloor, State::kVolatile,
            Reason::kQualityFloorViolation)),
    // stability
    due(kVolatile, kStable, State::kAttached, Reason::kHealthRecovered),
    due(kDegraded, kStable, State::kAttached, Reason::kExitDegradedMode),
};

// ---- The table by state: each event asks only the rows of its record's state.

struct RowsFrom {
  std::array<const Row*, kTable.size()> rows{};
  size_t count = 0;
};

constexpr std::array<RowsFrom, kStateCount> by_state() {
  std::array<RowsFrom, kStateCount> all{};
  for (const Row& row : kTable) {
    for (size_t from = 0; from < kStateCount; ++from) {
      RowsFrom& list = all[from];
      if (includes(row.from, static_cast<State>(from))) list.rows[list.count++] = &row;
    }
  }
  return all;
}
constexpr std::array<RowsFrom, kStateCount> kByState = by_state();

// ---- The table as a list.

struct RowList {
  std::array<TableRow, kTable.size() * kStateCount> rows;
  size_t count = 0;
};

constexpr RowList list_rows() {
  RowList list;
  for (size_t from = 0; from < kStateCount; ++from) {
    for (size_t i = 0; i < kByState[from].count; ++i) {
      const Row& row = *kByState[from].rows[i];
      list.rows[list.count++] = {static_cast<State>(from), row.to, row.reason};
    }
  }
  const auto end = list.rows.begin() + static_cast<std::ptrdiff_t>(list.count);
  std::sort(list.rows.begin(), end);
  list.count = static_cast<size_t>(std::unique(list.rows.begin(), end) - list.rows.begin());
  return list;
}
constexpr RowList kRowList = list_rows();

}  // namespace

Millis session_ends(const SessionRecord& record, const Policy& policy) {
  return saturating_add(record.born, policy.session.max_lifetime - record.lived);
}

std::span<const Row> state_table() {
  return kTable;
}

std::span<const Row* const> rows_from(State state) {
  const auto from = static_cast<size_t>(state);
  if (from >= kStateCount) return {};
  return {kByState[from].rows.data(), kByState[from].count};
}

Millis silence_is_death(const SessionRecord& record, const Policy& policy) {
  if (!record.has_transport) return kNever;
  return saturating_add(record.last_authentic,
                        scaled_by_idle(policy.volatility.transport_dead, record, policy));
}

Millis silence_is_volatile(const SessionRecord& record, const Policy& policy) {
  return saturating_add(record.last_authentic,
                        scaled_by_idle(policy.volatility.heartbeat_volatile, record, policy));
}

bool has_living_transport(const SessionRecord& record, const Policy& policy, Millis now) {
  return record.has_transport && now < silence_is_death(record, policy);
}

bool may_retry(const SessionRecord& record, const Policy& policy, Millis now) {
  return record.state == State::kDegraded &&
         now >= saturating_add(record.entered, policy.switching.switch_cooldown);
}

uint64_t recovery_attempts(const SessionRecord& record, const Policy& policy, Millis now) {
  if (record.state != State::kRecovering) return 0;
  const uint64_t each = std::max<uint64_t>(policy.switching.recovery_attempt.value, 1);
  return std::min<uint64_t>(policy.switching.max_recovery_attempts,
                            record.denied + (now - record.entered).value / each);
}

Millis scaled_by_idle(Millis span, const SessionRecord& record, const Policy& policy) {
  const Millis idle = std::min(record.idle_interval, policy.session.idle_max);
  const Millis heartbeat = policy.volatility.heartbeat_interval;
  if (idle <= heartbeat || heartbeat == Millis{0}) return span;
  const Millis longer = saturating_multiply(span, idle.value);
  return longer == kNever ? longer : Millis{longer.value / heartbeat.value};
}

std::span<const TableRow> table_rows() {
  return {kRowList.rows.data(), kRowList.count};
}

bool legal_row(State from, State to, Reason reason) {
  return std::ranges::binary_search(table_rows(), TableRow{from, to, reason});
}

}  // namespace jvpn::session
