// The session state machine (design §5): a pure function of record, event, policy and time.
//
// No I/O, no clock, no allocation. Every applied row raises state_version by one and has exactly
// one primary reason; whatever no row allows is refused without a mutation. Both ends run it; each
// numbers its own rows.
#pragma once

#include <array>
#include <cstdint>

#include "common/policy.h"
#include "common/reason.h"
#include "common/types.h"

namespace jvpn {

enum class State : uint8_t { kBirth, kAttached, kVolatile, kRecovering, kDegraded, kTerminated };
const char* to_string(State state);

/// What can happen to a session. Only authentic input becomes a trigger.
enum class Trigger : uint8_t {
  kKeyConfirmed,       ///< handshake done, initiator's key confirmed, transport bound
  kHandshakeFailed,    ///< authentication, policy or time-out before confirmation
  kTick,               ///< time passed: TTLs and key expiry are judged
  kTerminate,          ///< operator, supersession, policy hard stop or peer; `detail` says which
  kProtocolViolation,  ///< corrupt record, or an authentic but impossible message
};
const char* to_string(Trigger trigger);

struct SessionEvent {
  Trigger trigger = Trigger::kTick;
  Detail detail = Detail::kNone;
  /// kKeyConfirmed of an initiator: as the responder told it. 0: this end commits, its own version
  /// counts.
  BindingVersion binding_version{};
};

/// What the state machine knows of a session. Plain value; times are CLOCK_BOOTTIME.
struct SessionRecord {
  State state = State::kBirth;
  StateVersion version;
  BindingVersion binding_version;
  bool has_transport = false;
  Millis born;
  Millis entered;         ///< when `state` was entered
  Millis last_authentic;  ///< latest authentic message or data of the peer
  Millis keys_expire;     ///< refusal time of the current keys; 0 before the first
};

/// An applied row, or a refusal: then `record` equals the input and `applied` is false.
struct Step {
  bool applied = false;
  SessionRecord record;
  Reason reason{};
  Detail detail = Detail::kNone;
  State from{};
};

/// One step. Simultaneous triggers are judged in design §5's order; whatever is due by `now` is
/// judged with every trigger, so that nothing goes on past its time because an event came before
/// the tick.
Step step(const SessionRecord& record, const SessionEvent& event, const Policy& policy, Millis now);

/// The earliest time at which a kTick could apply a row; Millis{UINT64_MAX} if none.
Millis next_deadline(const SessionRecord& record, const Policy& policy);

}  // namespace jvpn
