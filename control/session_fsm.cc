// The table of design §5 as data, in the order in which simultaneous triggers are judged. step()
// applies the first row that matches; nothing else in the program changes a session's state.
#include "control/session_fsm.h"

#include <algorithm>

#include "common/limits.h"

namespace jvpn {
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

constexpr States kAttachedOnce =
    State::kAttached | State::kVolatile | State::kRecovering | State::kDegraded;
constexpr States kLive = kAttachedOnce | State::kBirth;
constexpr uint64_t kNever = UINT64_MAX;

constexpr uint64_t saturating_add(Millis a, Millis b) {
  return a.value > kNever - b.value ? kNever : a.value + b.value;
}

// Deadlines: when each row of time becomes due.

uint64_t session_ends(const SessionRecord& record, const Policy& policy) {
  return saturating_add(record.born, policy.session.max_lifetime);
}
uint64_t transport_loss_ends(const SessionRecord& record, const Policy& policy) {
  return saturating_add(record.last_authentic, policy.session.transport_loss_ttl);
}
uint64_t keys_end(const SessionRecord& record, const Policy&) {
  return record.keys_expire == Millis{0} ? kNever : record.keys_expire.value;
}
uint64_t birth_ends(const SessionRecord& record, const Policy&) {
  return saturating_add(record.born, Millis{kHandshakeTimeoutMs});
}

// A record that no sequence of rows can have produced.
bool corrupt(const SessionRecord& record) {
  switch (record.state) {
    case State::kBirth:
      return record.has_transport || record.version != StateVersion{0};
    case State::kAttached:
      return !record.has_transport || record.version == StateVersion{0};
    default:
      return false;
  }
}

// What a row waits for: a trigger, a deadline, or a corrupt record.
enum class When : uint8_t { kTriggered, kDue, kCorrupt };

struct Row {
  States from;
  When when;
  Trigger trigger;                                            // of kTriggered
  uint64_t (*deadline)(const SessionRecord&, const Policy&);  // of kDue
  State to;
  Reason reason;
  Detail detail;  // kNone: the event's
};

constexpr Row on(States from, Trigger trigger, State to, Reason reason) {
  return {from, When::kTriggered, trigger, nullptr, to, reason, Detail::kNone};
}
constexpr Row due(States from, uint64_t (*deadline)(const SessionRecord&, const Policy&), State to,
                  Reason reason, Detail detail = Detail::kNone) {
  return {from, When::kDue, Trigger::kTick, deadline, to, reason, detail};
}

constexpr std::array kTable = {
    Row{kLive, When::kCorrupt, Trigger::kTick, nullptr, State::kTerminated,
        Reason::kFatalProtocolError, Detail::kCorruptRecord},
    on(kLive, Trigger::kProtocolViolation, State::kTerminated, Reason::kFatalProtocolError),
    on(kLive, Trigger::kTerminate, State::kTerminated, Reason::kPolicyTermination),
    due(kLive, session_ends, State::kTerminated, Reason::kTtlSessionExpired),
    due(kAttachedOnce, transport_loss_ends, State::kTerminated, Reason::kTtlTransportLossExpired),
    due(kAttachedOnce, keys_end, State::kTerminated, Reason::kKeyLifetimeExceeded),
    on(only(State::kBirth), Trigger::kHandshakeFailed, State::kTerminated, Reason::kHandshakeFail),
    due(only(State::kBirth), birth_ends, State::kTerminated, Reason::kHandshakeFail,
        Detail::kTimeout),
    on(only(State::kBirth), Trigger::kKeyConfirmed, State::kAttached, Reason::kHandshakeOk),
};

bool includes(States states, State state) {
  return state <= State::kTerminated && (states & only(state)) != 0;
}

bool matches(const Row& row, const SessionRecord& record, const SessionEvent& event,
             const Policy& policy, Millis now) {
  if (!includes(row.from, record.state)) return false;
  switch (row.when) {
    case When::kTriggered:
      return event.trigger == row.trigger;
    case When::kDue:
      return now.value >= row.deadline(record, policy);
    case When::kCorrupt:
      return corrupt(record);
  }
  return false;
}

// The version may not wrap: the last number is kept for the end of the session.
bool version_allows(const SessionRecord& record, State to) {
  const uint64_t left = kNever - record.version.value;
  return left > 1 || (left == 1 && to == State::kTerminated);
}

SessionRecord applied(const SessionRecord& before, const Row& row, const SessionEvent& event,
                      Millis now) {
  SessionRecord record = before;
  record.state = row.to;
  record.version = StateVersion{before.version.value + 1};
  record.entered = now;
  if (row.to == State::kTerminated) record.has_transport = false;
  if (row.to == State::kAttached && before.state == State::kBirth) {
    record.has_transport = true;
    record.last_authentic = now;
    record.binding_version = event.binding_version == BindingVersion{0}
                                 ? BindingVersion{record.version.value}
                                 : event.binding_version;
  }
  return record;
}

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
  }
  return "unknown";
}

Step step(const SessionRecord& record, const SessionEvent& event, const Policy& policy,
          Millis now) {
  Step result;
  result.record = record;
  result.from = record.state;
  for (const Row& row : kTable) {
    if (!matches(row, record, event, policy, now)) continue;
    if (!version_allows(record, row.to)) return result;
    result.applied = true;
    result.record = applied(record, row, event, now);
    result.reason = row.reason;
    if (row.detail != Detail::kNone) {
      result.detail = row.detail;
    } else if (row.when == When::kTriggered) {
      result.detail = event.detail;
    }
    return result;
  }
  return result;
}

Millis next_deadline(const SessionRecord& record, const Policy& policy) {
  uint64_t earliest = kNever;
  for (const Row& row : kTable) {
    if (row.when != When::kDue || !includes(row.from, record.state)) continue;
    earliest = std::min(earliest, row.deadline(record, policy));
  }
  return Millis{earliest};
}

}  // namespace jvpn
