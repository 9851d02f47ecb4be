// The table of design §5 as data, in the order in which simultaneous triggers are judged. step()
// applies the first row that matches; nothing else in the program changes a session's state.
#include "control/session/state_machine.h"

#include "common/limits.h"

namespace jvpn::session {
namespace {

using States = uint8_t;

constexpr States only(State state) {
  return static_cast<States>(1U << static_cast<unsigned>(state));
}
constexpr States operator|(State a, State b) {
  return static_cast<States>(only(a) | only(b));
}
constexpr States operator|(States a, State b) {
  return static_cast<States>(a | only(b));
}
constexpr bool includes(States states, State state) {
  return state <= State::kTerminated && (states & only(state)) != 0;
}

constexpr States kBirth = only(State::kBirth);
constexpr States kVolatile = only(State::kVolatile);
constexpr States kRecovering = only(State::kRecovering);
constexpr States kDegraded = only(State::kDegraded);
constexpr States kCarrying = State::kAttached | State::kVolatile;
constexpr States kAttachedOnce =
    State::kAttached | State::kVolatile | State::kRecovering | State::kDegraded;
constexpr States kLive = kAttachedOnce | State::kBirth;

constexpr uint64_t saturating_add(Millis a, Millis b) {
  return a.value > kNever.value - b.value ? kNever.value : a.value + b.value;
}
constexpr Millis saturating_multiply(Millis span, uint64_t times) {
  if (times != 0 && span.value > kNever.value / times) return kNever;
  return Millis{span.value * times};
}

// ---- Deadlines: when each row of time becomes due.

uint64_t session_ends(const SessionRecord& record, const Policy& policy) {
  return saturating_add(record.born, policy.session.max_lifetime);
}

uint64_t transport_loss_ends(const SessionRecord& record, const Policy& policy) {
  const Millis ttl = policy.session.transport_loss_ttl;
  if (!record.has_transport) return saturating_add(record.transport_lost, ttl);
  return saturating_add(record.last_authentic, scaled_by_idle(ttl, record, policy));
}

uint64_t keys_end(const SessionRecord& record, const Policy&) {
  return record.keys_expire == Millis{0} ? kNever.value : record.keys_expire.value;
}

uint64_t birth_ends(const SessionRecord& record, const Policy&) {
  return saturating_add(record.born, Millis{kHandshakeTimeoutMs});
}

uint64_t window_ends(const SessionRecord& record, const Policy& policy) {
  return saturating_add(record.entered, policy.switching.max_recovery_window);
}

uint64_t silence_is_death(const SessionRecord& record, const Policy& policy) {
  if (!record.has_transport) return kNever.value;
  return saturating_add(record.last_authentic,
                        scaled_by_idle(policy.volatility.transport_dead, record, policy));
}

uint64_t silence_is_volatile(const SessionRecord& record, const Policy& policy) {
  return saturating_add(record.last_authentic,
                        scaled_by_idle(policy.volatility.heartbeat_volatile, record, policy));
}

uint64_t attempts_end(const SessionRecord& record, const Policy& policy) {
  const uint64_t granted = policy.switching.max_recovery_attempts;
  const uint64_t left = granted > record.denied ? granted - record.denied : 0;
  return saturating_add(record.entered,
                        saturating_multiply(policy.switching.recovery_attempt, left));
}

// Due at once: the flap that brought the session here was one too many.
uint64_t flaps_end(const SessionRecord& record, const Policy& policy) {
  const size_t granted = std::min<size_t>(policy.volatility.max_flaps_per_min, kMaxFlapsPerMin);
  const auto first = record.flaps.at(granted, record.born);
  const bool within_a_minute = first && saturating_add(*first, kMinute) > record.entered.value;
  return within_a_minute ? record.entered.value : kNever.value;
}

uint64_t volatile_too_long(const SessionRecord& record, const Policy& policy) {
  return saturating_add(record.entered, policy.volatility.volatile_to_degraded);
}

uint64_t cooldown_ends(const SessionRecord& record, const Policy& policy) {
  const auto latest = record.switches.at(0, record.born);
  return latest ? saturating_add(*latest, policy.switching.switch_cooldown) : 0;
}

// When one more switch is within max_switches_per_min again.
uint64_t switch_rate_allows(const SessionRecord& record, const Policy& policy) {
  const size_t granted =
      std::min<size_t>(policy.switching.max_switches_per_min, kMaxSwitchesPerMin);
  if (granted == 0) return kNever.value;
  const auto first = record.switches.at(granted - 1, record.born);
  return first ? saturating_add(*first, kMinute) : 0;
}

uint64_t wants_better_path(const SessionRecord& record, const Policy& policy) {
  if (!record.can_switch) return kNever.value;
  return std::max({saturating_add(record.entered, policy.volatility.volatile_to_recovering),
                   cooldown_ends(record, policy), switch_rate_allows(record, policy)});
}

// Never, when the present silence will have become volatile by then.
uint64_t stable(const SessionRecord& record, const Policy& policy) {
  if (!record.has_transport || !record.healthy_since) return kNever.value;
  const uint64_t at = saturating_add(*record.healthy_since, policy.volatility.stability_window);
  return at < silence_is_volatile(record, policy) ? at : kNever.value;
}

// ---- Guards: what else a triggered row asks for.

bool told(const SessionEvent& event) {
  return event.binding_version != BindingVersion{0};
}

/// A living binding is replaced by a request that retires it, and not in haste; a dead one by any.
bool commit_allowed(const SessionRecord& record, const SessionEvent& event, const Policy& policy,
                    Millis now) {
  if (told(event)) return event.binding_version > record.binding_version;
  if (switch_rate_exceeded(record, policy, now)) return false;
  if (!has_living_transport(record, policy, now)) return true;
  return event.planned &&
         (record.state == State::kRecovering || !cooling_down(record, policy, now));
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

// ---- A record that no sequence of rows can have produced.

bool corrupt(const SessionRecord& record) {
  const bool unversioned = record.version == StateVersion{0};
  switch (record.state) {
    case State::kBirth:
      return record.has_transport || !unversioned;
    case State::kAttached:
    case State::kVolatile:
      return !record.has_transport || unversioned || record.binding_version == BindingVersion{0};
    case State::kRecovering:
    case State::kDegraded:
      return unversioned || record.binding_version == BindingVersion{0};
    case State::kTerminated:
      return false;  // absorbing, whatever it holds
  }
  return false;
}

// ---- The table.

// What a row waits for: a trigger, a deadline, or a corrupt record.
enum class When : uint8_t { kTriggered, kDue, kCorrupt };

using Deadline = uint64_t (*)(const SessionRecord&, const Policy&);
using Guard = bool (*)(const SessionRecord&, const SessionEvent&, const Policy&, Millis);

struct Row {
  States from;
  When when;
  Trigger trigger;    // of kTriggered
  Deadline deadline;  // of kDue
  Guard guard;        // of kTriggered; null: none
  State to;
  Reason reason;
  Detail detail = Detail::kNone;  // kNone: the event's
  bool by_death = false;          // the active binding is given up
};

constexpr Row on(States from, Trigger trigger, State to, Reason reason, Guard guard = nullptr) {
  return {from, When::kTriggered, trigger, nullptr, guard, to, reason};
}
constexpr Row due(States from, Deadline deadline, State to, Reason reason) {
  return {from, When::kDue, Trigger::kTick, deadline, nullptr, to, reason};
}
constexpr Row with(Row row, Detail detail) {
  row.detail = detail;
  return row;
}
constexpr Row by_death(Row row) {
  row.by_death = true;
  return row;
}

constexpr std::array kTable = {
    // fatal
    with(Row{kLive, When::kCorrupt, Trigger::kTick, nullptr, nullptr, State::kTerminated,
             Reason::kFatalProtocolError},
         Detail::kCorruptRecord),
    on(kLive, Trigger::kProtocolViolation, State::kTerminated, Reason::kFatalProtocolError),
    // operator, supersession, policy, peer
    on(kLive, Trigger::kTerminate, State::kTerminated, Reason::kPolicyTermination),
    // TTLs and keys
    due(kLive, session_ends, State::kTerminated, Reason::kTtlSessionExpired),
    due(kAttachedOnce, transport_loss_ends, State::kTerminated, Reason::kTtlTransportLossExpired),
    due(kAttachedOnce, keys_end, State::kTerminated, Reason::kKeyLifetimeExceeded),
    // handshake
    on(kBirth, Trigger::kHandshakeFailed, State::kTerminated, Reason::kHandshakeFail),
    with(due(kBirth, birth_ends, State::kTerminated, Reason::kHandshakeFail), Detail::kTimeout),
    on(kBirth, Trigger::kKeyConfirmed, State::kAttached, Reason::kHandshakeOk),
    // recovery window
    due(kRecovering, window_ends, State::kTerminated, Reason::kRecoveryBoundsExceeded),
    // accepted commit; from elsewhere than RECOVERING both rows in one step
    on(kRecovering, Trigger::kReattachCommitted, State::kAttached, Reason::kTransportSwitchOk,
       commit_allowed),
    on(kCarrying, Trigger::kReattachCommitted, State::kRecovering, Reason::kRecoveryStart,
       commit_allowed),
    on(kDegraded, Trigger::kReattachCommitted, State::kRecovering, Reason::kRecoveryRetry,
       commit_after_retry_allowed),
    // death
    by_death(on(kCarrying, Trigger::kTransportDead, State::kRecovering, Reason::kRecoveryStart)),
    by_death(due(kCarrying, silence_is_death, State::kRecovering, Reason::kRecoveryStart)),
    by_death(
        on(kDegraded, Trigger::kTransportDead, State::kRecovering, Reason::kRecoveryRetry, bound)),
    by_death(due(kDegraded, silence_is_death, State::kRecovering, Reason::kRecoveryRetry)),
    // attempts
    due(kRecovering, attempts_end, State::kDegraded, Reason::kRecoveryBoundsExceeded),
    // switch rate, and the request that leads out of DEGRADED
    with(on(kCarrying | State::kRecovering, Trigger::kSwitchRateExceeded, State::kDegraded,
            Reason::kEnterDegradedMode, rate_degrades),
         Detail::kSwitchRate),
    with(on(kCarrying | State::kRecovering, Trigger::kSwitchRateExceeded, State::kTerminated,
            Reason::kPolicyTermination, rate_terminates),
         Detail::kSwitchRate),
    on(kDegraded, Trigger::kSwitchRequested, State::kRecovering, Reason::kRecoveryRetry,
       retry_allowed),
    // instability
    due(kVolatile, flaps_end, State::kDegraded, Reason::kEnterDegradedMode),
    due(kVolatile, volatile_too_long, State::kDegraded, Reason::kEnterDegradedMode),
    due(kVolatile, wants_better_path, State::kRecovering, Reason::kRecoveryStart),
    // quality
    due(only(State::kAttached), silence_is_volatile, State::kVolatile, Reason::kVolatilitySignal),
    on(only(State::kAttached), Trigger::kQuality, State::kVolatile, Reason::kVolatilitySignal,
       over_threshold),
    on(only(State::kAttached), Trigger::kQuality, State::kVolatile, Reason::kQualityFloorViolation,
       under_floor),
    // stability
    due(kVolatile, stable, State::kAttached, Reason::kHealthRecovered),
    due(kDegraded, stable, State::kAttached, Reason::kExitDegradedMode),
};

bool matches(const Row& row, const SessionRecord& record, const SessionEvent& event,
             const Policy& policy, Millis now) {
  if (!includes(row.from, record.state)) return false;
  switch (row.when) {
    case When::kTriggered:
      return event.trigger == row.trigger &&
             (row.guard == nullptr || row.guard(record, event, policy, now));
    case When::kDue:
      return now.value >= row.deadline(record, policy);
    case When::kCorrupt:
      return corrupt(record);
  }
  return false;
}

const Row* first_match(const SessionRecord& record, const SessionEvent& event, const Policy& policy,
                       Millis now) {
  const auto* const found = std::ranges::find_if(
      kTable, [&](const Row& row) { return matches(row, record, event, policy, now); });
  return found == kTable.end() ? nullptr : found;
}

/// The first row of a commit that replaces an active binding; the second follows in the same step.
bool opens_a_commit(const Row& row) {
  return row.trigger == Trigger::kReattachCommitted && row.to == State::kRecovering;
}

// The version may not wrap: the last number is kept for the end of the session.
bool version_allows(const SessionRecord& record, const Row& row) {
  const uint64_t left = kNever.value - record.version.value;
  if (row.to == State::kTerminated) return left >= 1;
  return left > (opens_a_commit(row) ? 2U : 1U);
}

// ---- What a step changes.

/// Health runs unbroken by silence, whatever the trigger.
void note_silence(SessionRecord& record, const Policy& policy, Millis now) {
  const bool silent = now.value >= silence_is_volatile(record, policy);
  if (silent || !record.has_transport) record.healthy_since.reset();
}

/// Verdicts and denied requests are remembered between rows. False: nothing to remember.
bool note(SessionRecord& record, const SessionEvent& event, const Policy& policy, Millis now) {
  const bool judged = includes(kVolatile | State::kDegraded, record.state);
  if (judged) note_silence(record, policy, now);
  if (event.trigger == Trigger::kRequestDenied) {
    if (record.state != State::kRecovering || record.denied == UINT32_MAX) return false;
    ++record.denied;
    return true;
  }
  if (event.trigger != Trigger::kQuality) return false;
  if (!judged) return includes(kAttachedOnce, record.state);
  const bool silent = now.value >= silence_is_volatile(record, policy);
  if (event.verdict != QualityVerdict::kHealthy) {
    record.healthy_since.reset();
  } else if (!silent && record.has_transport && !record.healthy_since) {
    record.healthy_since = now;
  }
  return true;
}

/// The transport-loss TTL runs from the latest sign of life. Silence that an announced idleness
/// explains counts no more than any other death.
void lose_transport(SessionRecord& record, const Policy& policy, Millis now) {
  const Millis dead = policy.volatility.transport_dead;
  const bool idle = scaled_by_idle(dead, record, policy) != dead;
  record.has_transport = false;
  record.transport_lost =
      idle ? std::max(record.last_authentic, now - dead) : record.last_authentic;
}

void bind(SessionRecord& record, const SessionEvent& event, Millis now) {
  record.has_transport = true;
  record.transport_lost = Millis{0};
  record.last_authentic = now;
  record.idle_interval = Millis{0};
  record.binding_version =
      told(event) ? event.binding_version : BindingVersion{record.version.value};
}

void apply(SessionRecord& record, const Row& row, const SessionEvent& event, const Policy& policy,
           Millis now) {
  const bool was_dead = now.value >= silence_is_death(record, policy);
  const State from = record.state;
  record.state = row.to;
  record.version = StateVersion{record.version.value + 1};
  record.entered = now;
  record.healthy_since.reset();
  record.denied = 0;
  if (row.by_death) lose_transport(record, policy, now);
  switch (row.to) {
    case State::kAttached:
      if (from == State::kRecovering) record.switches.add(now, record.born);
      if (from == State::kRecovering || from == State::kBirth) bind(record, event, now);
      break;
    case State::kVolatile:
      record.flaps.add(now, record.born);
      break;
    case State::kDegraded:
      if (was_dead) lose_transport(record, policy, now);
      break;
    case State::kTerminated:
      record.has_transport = false;
      break;
    default:
      break;
  }
}

void append(Step& result, const Row& row, const SessionEvent& event, State from) {
  result.applied = true;
  result.reason = row.reason;
  result.detail = row.when == When::kTriggered ? event.detail : Detail::kNone;
  if (row.detail != Detail::kNone) result.detail = row.detail;
  result.all_rows[result.row_count++] = {from, row.to, result.reason, result.detail,
                                         result.record.version};
}

/// Of the rows of time that `counts` names.
template <typename Counts>
Millis earliest_due(const SessionRecord& record, const Policy& policy, Counts counts) {
  uint64_t earliest = kNever.value;
  for (const Row& row : kTable) {
    if (row.when != When::kDue || !includes(row.from, record.state) || !counts(row)) continue;
    earliest = std::min(earliest, row.deadline(record, policy));
  }
  return Millis{earliest};
}

// ---- The table as a list.

struct RowList {
  std::array<TableRow, kTable.size() * 6> rows;
  size_t count = 0;
};

constexpr RowList list_rows() {
  RowList list;
  for (const Row& row : kTable) {
    for (unsigned from = 0; from <= static_cast<unsigned>(State::kTerminated); ++from) {
      if (!includes(row.from, static_cast<State>(from))) continue;
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

const char* to_string(State state) {
  switch (state) {
    case State::kBirth:
      return "BIRTH";
    case State::kAttached:
      return "ATTACHED";
    case State::kVolatile:
      return "VOLATILE";
    case State::kRecovering:
      return "RECOVERING";
    case State::kDegraded:
      return "DEGRADED";
    case State::kTerminated:
      return "TERMINATED";
  }
  return "UNKNOWN";
}

const char* to_string(Trigger trigger) {
  switch (trigger) {
    case Trigger::kKeyConfirmed:
      return "key_confirmed";
    case Trigger::kHandshakeFailed:
      return "handshake_failed";
    case Trigger::kTick:
      return "tick";
    case Trigger::kTerminate:
      return "terminate";
    case Trigger::kProtocolViolation:
      return "protocol_violation";
    case Trigger::kQuality:
      return "quality";
    case Trigger::kTransportDead:
      return "transport_dead";
    case Trigger::kReattachCommitted:
      return "reattach_committed";
    case Trigger::kRequestDenied:
      return "request_denied";
    case Trigger::kSwitchRateExceeded:
      return "switch_rate_exceeded";
    case Trigger::kSwitchRequested:
      return "switch_requested";
  }
  return "unknown";
}

Step step(const SessionRecord& record, const SessionEvent& event, const Policy& policy,
          Millis now) {
  Step result;
  result.record = record;
  result.from = record.state;
  const bool noted = note(result.record, event, policy, now);
  const Row* row = first_match(result.record, event, policy, now);
  if (row != nullptr && !version_allows(result.record, *row)) row = nullptr;
  while (row != nullptr) {
    const State from = result.record.state;
    apply(result.record, *row, event, policy, now);
    append(result, *row, event, from);
    const bool more = opens_a_commit(*row) && result.row_count < result.all_rows.size();
    row = more ? first_match(result.record, event, policy, now) : nullptr;
  }
  result.refused = !result.applied && !noted && event.trigger != Trigger::kTick;
  if (result.refused) result.record = record;
  return result;
}

Millis next_deadline(const SessionRecord& record, const Policy& policy) {
  return earliest_due(record, policy, [](const Row&) { return true; });
}

Millis end_deadline(const SessionRecord& record, const Policy& policy) {
  return earliest_due(record, policy, [](const Row& row) { return row.to == State::kTerminated; });
}

bool switch_rate_exceeded(const SessionRecord& record, const Policy& policy, Millis now) {
  return now.value < switch_rate_allows(record, policy);
}

bool cooling_down(const SessionRecord& record, const Policy& policy, Millis now) {
  return now.value < cooldown_ends(record, policy);
}

bool has_living_transport(const SessionRecord& record, const Policy& policy, Millis now) {
  return record.has_transport && now.value < silence_is_death(record, policy);
}

bool may_retry(const SessionRecord& record, const Policy& policy, Millis now) {
  return record.state == State::kDegraded &&
         now.value >= saturating_add(record.entered, policy.switching.switch_cooldown);
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
  return longer.value == kNever.value ? longer : Millis{longer.value / heartbeat.value};
}

std::span<const TableRow> table_rows() {
  return {kRowList.rows.data(), kRowList.count};
}

bool legal_row(State from, State to, Reason reason) {
  return std::ranges::binary_search(table_rows(), TableRow{from, to, reason});
}

}  // namespace jvpn::session
