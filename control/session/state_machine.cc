// step(): the first row of the table that matches is applied; nothing else in the program changes a
// session's record.
#include "control/session/state_machine.h"

#include "common/assert.h"
#include "control/session/state_table.h"

namespace jvpn::session {
namespace {

constexpr States kHealthJudged =
    static_cast<States>(only(State::kVolatile) | only(State::kDegraded));

/// A record that no sequence of rows can have produced.
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

/// Of a row that the record's state has.
bool matches(const Row& row, const SessionRecord& record, const SessionEvent& event,
             const Policy& policy, Millis now) {
  switch (row.when) {
    case When::kTriggered:
      return event.trigger == row.trigger &&
             (row.guard.holds == nullptr || row.guard.holds(record, event, policy, now));
    case When::kDue:
      return now >= row.deadline.at(record, policy);
    case When::kCorrupt:
      return corrupt(record);
  }
  return false;
}

const Row* first_match(const SessionRecord& record, const SessionEvent& event, const Policy& policy,
                       Millis now) {
  for (const Row* row : rows_from(record.state)) {
    if (matches(*row, record, event, policy, now)) return row;
  }
  return nullptr;
}

// The version may not wrap: the last number is kept for the end of the session.
bool version_allows(const SessionRecord& record, const Row& row) {
  const uint64_t left = kNever.value - record.version.value;
  if (row.to == State::kTerminated) return left >= 1;
  return left > (row.binding == BindingEffect::kReplace ? 2U : 1U);
}

// ---- What is noted without a row.

bool is_fact(Trigger trigger) {
  switch (trigger) {
    case Trigger::kHeard:
    case Trigger::kIdleAgreed:
    case Trigger::kWoken:
    case Trigger::kKeysRenewed:
    case Trigger::kCandidates:
      return true;
    default:
      return false;
  }
}

/// Health runs unbroken by silence, whatever the trigger.
void note_silence(SessionRecord& record, const Policy& policy, Millis now) {
  const bool silent = now >= silence_is_volatile(record, policy);
  if (silent || !record.has_transport) record.healthy_since.reset();
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

/// A death that is told in RECOVERING, where no row waits for it: whatever is due is judged first.
/// False: it wasn't that.
bool note_death(Step& result, const SessionEvent& event, const Policy& policy, Millis now) {
  if (event.trigger != Trigger::kTransportDead || result.from != State::kRecovering) return false;
  if (result.record.has_transport) lose_transport(result.record, policy, now);
  return true;
}

/// Verdicts and denied requests are remembered between rows. False: nothing to remember.
bool note(SessionRecord& record, const SessionEvent& event, const Policy& policy, Millis now) {
  const bool judged = includes(kHealthJudged, record.state);
  if (judged) note_silence(record, policy, now);
  if (event.trigger == Trigger::kRequestDenied) {
    if (record.state != State::kRecovering || record.denied == UINT32_MAX) return false;
    ++record.denied;
    return true;
  }
  if (event.trigger != Trigger::kQuality) return false;
  if (!judged) return record.state == State::kAttached || record.state == State::kRecovering;
  const bool silent = now >= silence_is_volatile(record, policy);
  if (event.verdict != QualityVerdict::kHealthy) {
    record.healthy_since.reset();
  } else if (!silent && record.has_transport && !record.healthy_since) {
    record.healthy_since = now;
  }
  return true;
}

// ---- What a row changes.

void bind(SessionRecord& record, const SessionEvent& event, Millis now) {
  const bool told = event.binding_version != BindingVersion{0};
  record.has_transport = true;
  record.transport_lost = Millis{0};
  record.last_authentic = now;
  record.idle_interval = Millis{0};
  record.binding_version = told ? event.binding_version : BindingVersion{record.version.value};
}

void change_binding(SessionRecord& record, BindingEffect effect, const SessionEvent& event,
                    const Policy& policy, Millis now) {
  switch (effect) {
    case BindingEffect::kKeep:
    case BindingEffect::kReplace:
      break;
    case BindingEffect::kLoseIfSilent:
      if (now < silence_is_death(record, policy)) break;
      [[fallthrough]];
    case BindingEffect::kLose:
      lose_transport(record, policy, now);
      break;
    case BindingEffect::kBind:
      bind(record, event, now);
      break;
    case BindingEffect::kEnd:
      record.has_transport = false;
      break;
  }
}

void count_switch(SessionRecord& record, const SessionEvent& event, const Policy& policy,
                  Millis now) {
  switch (switch_kind(record, policy, now, event.rebind)) {
    case SwitchKind::kWished:
      return record.switches.add(now, record.born);
    case SwitchKind::kRecovery:
      return record.recoveries.add(now, record.born);
    case SwitchKind::kRebind:
      return record.rebinds.add(now, record.born);
  }
}

void apply(SessionRecord& record, const Row& row, const SessionEvent& event, const Policy& policy,
           Millis now) {
  record.state = row.to;
  record.version = StateVersion{record.version.value + 1};
  record.entered = now;
  record.healthy_since.reset();
  record.denied = 0;
  if (row.counts == Counts::kSwitch) count_switch(record, event, policy, now);
  if (row.counts == Counts::kFlap) record.flaps.add(now, record.born);
  change_binding(record, row.binding, event, policy, now);
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
template <typename Wanted>
Millis earliest_due(const SessionRecord& record, const Policy& policy, Wanted wanted) {
  Millis earliest = kNever;
  for (const Row* row : rows_from(record.state)) {
    if (row->when != When::kDue || !wanted(*row)) continue;
    earliest = std::min(earliest, row->deadline.at(record, policy));
  }
  return earliest;
}

}  // namespace

void note_fact(SessionRecord& record, const SessionEvent& fact, Millis now) {
  JVPN_ASSERT(is_fact(fact.trigger), "rows are step()'s");
  switch (fact.trigger) {
    case Trigger::kHeard:  // ignored without a bound transport
      if (record.has_transport) record.last_authentic = std::max(record.last_authentic, fact.time);
      break;
    case Trigger::kIdleAgreed:
      record.idle_interval = fact.time;
      break;
    case Trigger::kWoken:
      record.idle_interval = Millis{0};
      record.last_authentic = now;
      break;
    case Trigger::kKeysRenewed:
      record.keys_expire = fact.time;
      break;
    case Trigger::kCandidates:
      record.can_switch = fact.can_switch;
      break;
    default:
      break;
  }
}

Step step(const SessionRecord& record, const SessionEvent& event, const Policy& policy,
          Millis now) {
  Step result(record);
  if (is_fact(event.trigger)) {
    note_fact(result.record, event, now);
    return result;
  }
  bool noted = note(result.record, event, policy, now);
  const Row* row = first_match(result.record, event, policy, now);
  if (row != nullptr && !version_allows(result.record, *row)) row = nullptr;
  while (row != nullptr) {
    const State from = result.record.state;
    apply(result.record, *row, event, policy, now);
    append(result, *row, event, from);
    const bool more =
        row->binding == BindingEffect::kReplace && result.row_count < result.all_rows.size();
    row = more ? first_match(result.record, event, policy, now) : nullptr;
  }
  noted |= note_death(result, event, policy, now);
  result.refused = !result.applied && !noted && event.trigger != Trigger::kTick;
  if (result.refused) result.record = record;
  return result;
}

bool nothing_is_due(const SessionRecord& record, const Policy& policy, Millis now) {
  const bool notes = includes(kHealthJudged, record.state);
  return !notes && first_match(record, {Trigger::kTick}, policy, now) == nullptr;
}

SessionRecord new_record(Millis now, Millis keys_expire) {
  SessionRecord record;
  record.born = record.entered = record.last_authentic = now;
  record.keys_expire = keys_expire;
  return record;
}

Millis age_of(const SessionRecord& record, Millis now) {
  return saturating_add(record.lived, now - record.born);
}

BindingVersion version_after_commit(const SessionRecord& record) {
  const uint64_t rows = record.state == State::kRecovering ? 1 : 2;
  return BindingVersion{record.version.value + rows};
}

Millis next_deadline(const SessionRecord& record, const Policy& policy) {
  return earliest_due(record, policy, [](const Row&) { return true; });
}

Millis end_deadline(const SessionRecord& record, const Policy& policy) {
  return earliest_due(record, policy, [](const Row& row) { return row.to == State::kTerminated; });
}

}  // namespace jvpn::session
