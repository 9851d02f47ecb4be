// The session state machine (docs/STATE_MACHINE.md): a pure function of record, event, policy and
// time.
//
// No I/O, no clock, no allocation. Every applied row raises state_version by one and has exactly
// one primary reason; whatever no row allows is refused without a mutation. Both ends run it; each
// numbers its own rows. Ownership loss isn't a row: the engine forgets the session.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "common/limits.h"
#include "common/policy.h"
#include "common/reason.h"
#include "common/types.h"

namespace jvpn::session {

enum class State : uint8_t { kBirth, kAttached, kVolatile, kRecovering, kDegraded, kTerminated };
const char* to_string(State state);

/// What can happen to a session. Only authentic input becomes a trigger.
enum class Trigger : uint8_t {
  kKeyConfirmed,        ///< handshake done, initiator's key confirmed, transport bound
  kHandshakeFailed,     ///< authentication, policy or time-out before confirmation
  kTick,                ///< time passed: every deadline is judged
  kTerminate,           ///< operator, supersession, policy hard stop or peer; `detail` says which
  kProtocolViolation,   ///< corrupt record, or an authentic but impossible message
  kQuality,             ///< `verdict` on the bound transport; at least one per heartbeat interval
  kTransportDead,       ///< the bound transport's link is down, or authentic TRANSPORT_DEAD
  kReattachCommitted,   ///< compare-and-set won (responder), or REATTACH_ACK came (initiator)
  kRequestDenied,       ///< an authentic request was answered POLICY_DENY: one attempt
  kSwitchRateExceeded,  ///< over max_switches_per_min: an authentic request, or our own recovery
  kSwitchRequested,     ///< an authentic request, or the initiator's own wish, while DEGRADED
  // Facts: noted in the record, whose rows are judged by the next trigger above.
  kHeard,        ///< authentic message or data over the bound transport, at `time`
  kIdleAgreed,   ///< both ends agreed to be heard every `time` only; 0: as often as ever
  kWoken,        ///< the initiator ended an agreed idleness; the silence until now was agreed upon
  kKeysRenewed,  ///< the current keys may be used until `time`
  kCandidates,   ///< `can_switch`: there is a better path to jump to
};
const char* to_string(Trigger trigger);

/// How the bound transport does, as the quality module judged it.
enum class QualityVerdict : uint8_t {
  kHealthy,
  kVolatile,    ///< loss, jitter or latency over its threshold
  kUnderFloor,  ///< delivered, but under the policy's quality floor
};

struct SessionEvent {
  Trigger trigger = Trigger::kTick;
  Detail detail = Detail::kNone;
  /// kKeyConfirmed, kReattachCommitted of an initiator: as the responder told it. 0: this end
  /// commits, its own version counts. What was told is a fact: no bound of this end refuses it, but
  /// a told version must exceed the record's.
  BindingVersion binding_version{};
  QualityVerdict verdict = QualityVerdict::kHealthy;  ///< kQuality
  uint64_t observed = 0;    ///< kQuality: what `detail` names, in millionths or microseconds;
                            ///< kTransportDead, unanswered: ms of silence
  uint64_t threshold = 0;   ///< kTransportDead, unanswered: ms that were granted
  bool planned = false;     ///< kReattachCommitted: it retires the active binding itself
  bool rebind = false;      ///< kReattachCommitted: the same path, from another source
  Millis time{};            ///< of a fact
  bool can_switch = false;  ///< kCandidates
};

/// The latest times of something that a policy bounds per minute, newest first, as milliseconds
/// since the session's birth (policies end sessions after 30 days; 49 fit).
template <size_t N>
class RecentTimes {
 public:
  static constexpr size_t kCapacity = N;
  size_t count() const { return std::min<size_t>(count_, N); }
  /// The n-th newest, from 0; nullopt when there were fewer.
  std::optional<Millis> at(size_t n, Millis born) const {
    if (n >= count()) return std::nullopt;
    return born + Millis{since_birth_[n]};
  }
  void add(Millis time, Millis born) {
    std::copy_backward(since_birth_.begin(), since_birth_.end() - 1, since_birth_.end());
    since_birth_[0] = static_cast<uint32_t>(std::min<uint64_t>((time - born).value, UINT32_MAX));
    count_ = static_cast<uint32_t>(std::min<size_t>(count_ + size_t{1}, N));
  }
  bool operator==(const RecentTimes&) const = default;

 private:
  std::array<uint32_t, N> since_birth_{};
  uint32_t count_ = 0;
};

/// What a commit would be. Each kind has a budget of its own, so that what an attacker can bring
/// about, and what a session wishes, never denies it its recovery.
enum class SwitchKind : uint8_t {
  kWished,    ///< from a living binding, by plan or for quality
  kRecovery,  ///< from a dead one
  kRebind,    ///< of a living one on its own path: a NAT has changed
};

using jvpn::kMaxFlapsPerMin;
using jvpn::kMaxSwitchesPerMin;

/// What the state machine knows of a session. Plain value that changes through step() alone, and
/// its note_fact(); times are CLOCK_BOOTTIME. Facts change the second group, rows the first and
/// what a new binding resets.
struct SessionRecord {
  State state = State::kBirth;
  StateVersion version;
  BindingVersion binding_version;  ///< the responder's version at the last commit
  bool has_transport = false;      ///< an active binding; RECOVERING by death has none
  Millis entered;                  ///< when `state` was entered
  Millis transport_lost;           ///< without transport: since when the transport-loss TTL runs
  std::optional<Millis> healthy_since;  ///< VOLATILE, DEGRADED: the present run of healthy verdicts
  uint32_t denied = 0;                  ///< RECOVERING: requests denied during this stay
  RecentTimes<kMaxSwitchesPerMin> switches;    ///< SwitchKind::kWished
  RecentTimes<kMaxSwitchesPerMin> recoveries;  ///< SwitchKind::kRecovery
  RecentTimes<kRebindsRemembered> rebinds;     ///< SwitchKind::kRebind
  RecentTimes<kMaxFlapsPerMin + 1> flaps;      ///< ATTACHED → VOLATILE

  Millis born;            ///< in this run
  Millis lived;           ///< before it, in others
  Millis last_authentic;  ///< latest authentic message or data over the *bound* transport
  Millis keys_expire;     ///< refusal time of the current keys; 0 before the first
  Millis idle_interval;   ///< announced by IDLE; 0: none. Counts up to idle_max; a commit clears it
  bool can_switch = false;  ///< initiator with a candidate; false at a responder

  bool operator==(const SessionRecord&) const = default;
};

/// One applied row: one STATE_CHANGE.
struct AppliedRow {
  State from{};
  State to{};
  Reason reason{};
  Detail detail = Detail::kNone;
  StateVersion version;  ///< after this row
  bool operator==(const AppliedRow&) const = default;
};

/// What a step did. `applied` says that some row was applied, not that it was the trigger's: what
/// is due by `now` may come first. `record` is to be stored always: without a row its state,
/// version and bindings are the input's, but health, denied requests and a death told in RECOVERING
/// may have been noted.
struct Step {
  explicit Step(const SessionRecord& before) : record(before), from(before.state) {}

  bool applied = false;  ///< at least one row
  bool refused = false;  ///< the trigger means nothing here: nothing changed, a diagnostic is due
  SessionRecord record;
  Reason reason{};  ///< of the last row
  Detail detail = Detail::kNone;
  State from{};  ///< before the first row
  std::array<AppliedRow, 2> all_rows{};
  size_t row_count = 0;

  /// In order. Two only when a commit retires the binding that it replaces: → RECOVERING →
  /// ATTACHED.
  std::span<const AppliedRow> rows() const { return {all_rows.data(), row_count}; }
};

/// One step. Simultaneous triggers are judged in the table's order; whatever is due by `now` is
/// judged with every trigger but facts, so that nothing goes on past its time because an event came
/// before the tick. One row a call (but for a planned commit): the next is due at next_deadline(),
/// which may be at once.
Step step(const SessionRecord& record, const SessionEvent& event, const Policy& policy, Millis now);

/// step() of a fact, in place.
void note_fact(SessionRecord& record, const SessionEvent& fact, Millis now);

/// step() with a kTick now would leave the record as it is. False: it may change something.
bool nothing_is_due(const SessionRecord& record, const Policy& policy, Millis now);

/// The earliest time at which a kTick could apply a row; Millis{UINT64_MAX} if none.
Millis next_deadline(const SessionRecord& record, const Policy& policy);

/// The earliest time at which a kTick could end the session.
Millis end_deadline(const SessionRecord& record, const Policy& policy);

/// `max_lifetime_ms` after its birth.
Millis session_ends(const SessionRecord& record, const Policy& policy);

/// Its age, all runs together.
Millis age_of(const SessionRecord& record, Millis now);

/// The record of a session that begins now, in BIRTH, with keys that may be used until then.
SessionRecord new_record(Millis now, Millis keys_expire);

// Guards that the engine asks before it answers a request. Pure, any thread.

/// When the present silence of the bound transport becomes its death; kNever without one.
Millis silence_is_death(const SessionRecord& record, const Policy& policy);
/// When it becomes volatility.
Millis silence_is_volatile(const SessionRecord& record, const Policy& policy);
/// What a commit now would be; `rebind` as in SessionEvent.
SwitchKind switch_kind(const SessionRecord& record, const Policy& policy, Millis now, bool rebind);
/// When switch_cooldown_ms has passed since the last switch, rebinds apart; 0 when there was none.
Millis cooldown_ends(const SessionRecord& record, const Policy& policy);
/// When one more switch of a kind is within its budget again: max_switches_per_min of each kind but
/// rebinds, after which the wait doubles from 250 ms on. kNever when none is allowed.
Millis switch_rate_allows(const SessionRecord& record, const Policy& policy, SwitchKind kind);
/// One more switch now, other than a rebind, would be over max_switches_per_min.
bool switch_rate_exceeded(const SessionRecord& record, const Policy& policy, Millis now);
/// Less than switch_cooldown_ms since the last switch.
bool cooling_down(const SessionRecord& record, const Policy& policy, Millis now);
/// There is an active binding and it isn't silent for transport_dead_ms: a second is dual_active.
bool has_living_transport(const SessionRecord& record, const Policy& policy, Millis now);
/// DEGRADED for switch_cooldown_ms: kSwitchRequested would be accepted.
bool may_retry(const SessionRecord& record, const Policy& policy, Millis now);
/// The state_version that a commit brings, which becomes the binding_version.
BindingVersion version_after_commit(const SessionRecord& record);
/// Attempts used of max_recovery_attempts in this stay in RECOVERING; 0 elsewhere.
uint64_t recovery_attempts(const SessionRecord& record, const Policy& policy, Millis now);
/// A liveness span, lengthened as an idle peer's heartbeats are: × idle interval ÷ heartbeat
/// interval.
Millis scaled_by_idle(Millis span, const SessionRecord& record, const Policy& policy);

// The table as a list, for `jvpn audit`, documents and tests.

struct TableRow {
  State from{};
  State to{};
  Reason reason{};
  auto operator<=>(const TableRow&) const = default;
};
/// Every row once, sorted.
std::span<const TableRow> table_rows();
/// Whether some row leads so, whatever its trigger.
bool legal_row(State from, State to, Reason reason);

}  // namespace jvpn::session
