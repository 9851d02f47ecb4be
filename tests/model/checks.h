// The model's edges: every event under every guard, and what must hold of each step.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "control/session/state_machine.h"
#include "tests/model/ages.h"
#include "tests/support/rooms.h"

namespace jvpn::model {

// ---- Events and guards.

struct Input {
  const char* name;
  SessionEvent event;
};

inline SessionEvent quality(QualityVerdict verdict) {
  return {.trigger = Trigger::kQuality, .verdict = verdict};
}
inline SessionEvent commit(uint64_t told, bool planned) {
  return {.trigger = Trigger::kReattachCommitted,
          .binding_version = BindingVersion{told},
          .planned = planned};
}

inline const std::vector<Input>& inputs() {
  static const std::vector<Input> all = {
      {"key_confirmed, own", {Trigger::kKeyConfirmed}},
      {"key_confirmed, told",
       {.trigger = Trigger::kKeyConfirmed, .binding_version = BindingVersion{11}}},
      {"handshake_failed", {Trigger::kHandshakeFailed, Detail::kAuthentication}},
      {"tick", {Trigger::kTick}},
      {"terminate", {Trigger::kTerminate, Detail::kOperator}},
      {"protocol_violation", {Trigger::kProtocolViolation, Detail::kImpossibleMessage}},
      {"quality, healthy", quality(QualityVerdict::kHealthy)},
      {"quality, volatile", quality(QualityVerdict::kVolatile)},
      {"quality, under floor", quality(QualityVerdict::kUnderFloor)},
      {"transport_dead", {Trigger::kTransportDead}},
      {"commit, own", commit(0, false)},
      {"commit, own, planned", commit(0, true)},
      {"commit, told, stale", commit(9, false)},
      {"commit, told, repeated", commit(10, true)},
      {"commit, told, new", commit(11, false)},
      {"commit, told, new, planned", commit(12, true)},
      {"request_denied", {Trigger::kRequestDenied}},
      {"switch_rate_exceeded", {Trigger::kSwitchRateExceeded}},
      {"switch_requested", {Trigger::kSwitchRequested}},
      {"not authentic: no trigger", {static_cast<Trigger>(200)}},
  };
  return all;
}

/// What the engine or time did to a record since the last step, beside the ages.
struct Guard {
  const char* name;
  void (*prepare)(SessionRecord&);
};

inline constexpr std::array kGuards = {
    Guard{"nothing else", [](SessionRecord&) {}},
    Guard{"a candidate", [](SessionRecord& record) { record.can_switch = true; }},
    Guard{"session TTL due",
          [](SessionRecord& record) {
            SessionRecord aged = record;
            aged.born = kNow - units(kLifetime);
            aged.switches = aged.recoveries = {};
            aged.flaps = {};
            for (size_t i = record.switches.count(); i-- > 0;) {
              aged.switches.add(*record.switches.at(i, record.born), aged.born);
            }
            for (size_t i = record.recoveries.count(); i-- > 0;) {
              aged.recoveries.add(*record.recoveries.at(i, record.born), aged.born);
            }
            for (size_t i = record.flaps.count(); i-- > 0;) {
              aged.flaps.add(*record.flaps.at(i, record.born), aged.born);
            }
            record = aged;
          }},
    Guard{"keys expired", [](SessionRecord& record) { record.keys_expire = kNow; }},
};

/// The function under test, or a faulty copy of it.
using Transition = std::function<Step(const SessionRecord&, const SessionEvent&, const Policy&)>;

inline Step real(const SessionRecord& record, const SessionEvent& event, const Policy& policy) {
  return step(record, event, policy, kNow);
}

// ---- The checks of one edge. Each names its fault, or returns null. They compute every bound from
// the record and the policy themselves.

struct Edge {
  const SessionRecord& before;
  const SessionEvent& event;
  const Policy& policy;
  const Step& taken;
  const SessionRecord& after = taken.record;

  bool has_row(Reason reason) const {
    return std::ranges::any_of(taken.rows(),
                               [&](const AppliedRow& row) { return row.reason == reason; });
  }
  bool commits() const {
    return has_row(Reason::kTransportSwitchOk) || has_row(Reason::kHandshakeOk);
  }
};

inline bool since(Millis start, Millis span) {
  return kNow.value >= start.value + span.value;
}
inline bool silent_for(const SessionRecord& record, Millis span) {
  const uint64_t times = record.idle_interval == Millis{0} ? 1 : 2;
  return since(record.last_authentic, Millis{span.value * times});
}
inline bool attached_once(const SessionRecord& record) {
  return record.state != State::kBirth && record.state != State::kTerminated;
}
template <size_t N>
inline size_t in_last_minute(const SessionRecord& record, const RecentTimes<N>& times) {
  size_t count = 0;
  while (times.at(count, record.born) &&
         !since(*times.at(count, record.born), units(kMinuteUnits))) {
    ++count;
  }
  return count;
}

inline const char* check_rows(const Edge& edge) {
  const auto rows = edge.taken.rows();
  if (edge.taken.applied != !rows.empty()) return "applied disagrees with the rows";
  State at = edge.before.state;
  uint64_t version = edge.before.version.value;
  for (const AppliedRow& row : rows) {
    if (row.from != at) return "rows don't join";
    if (row.version.value != ++version) return "a row isn't version + 1";
    if (row.reason == Reason::kNone) return "a row without a reason";
    if (kind_of(row.reason) != ReasonKind::kStateTransition) return "not a transition's reason";
    if (!legal_row(row.from, row.to, row.reason)) return "a row that the table doesn't list";
    at = row.to;
  }
  if (edge.after.version.value != version) return "version isn't the number of rows";
  if (edge.after.state != at) return "state isn't where the rows lead";
  if (rows.size() == 2 && !edge.has_row(Reason::kTransportSwitchOk)) return "two rows, no commit";
  if (!rows.empty() && edge.taken.reason != rows.back().reason) return "reason isn't the row's";
  return nullptr;
}

inline const char* check_unchanged(const Edge& edge) {
  if (edge.before.state == State::kTerminated && !(edge.after == edge.before)) {
    return "TERMINATED isn't absorbing";
  }
  if (edge.event.trigger > Trigger::kSwitchRequested && !edge.taken.applied &&
      !(edge.taken.refused && edge.after == edge.before)) {
    return "input that is no trigger had an effect";
  }
  if (edge.taken.refused && (edge.taken.applied || !(edge.after == edge.before))) {
    return "refused and mutated";
  }
  if (edge.taken.applied) return nullptr;
  SessionRecord noted = edge.before;
  noted.healthy_since = edge.after.healthy_since;
  noted.denied = edge.after.denied;
  if (edge.before.state == State::kRecovering && edge.event.trigger == Trigger::kTransportDead) {
    noted.has_transport = false;
    noted.transport_lost = edge.after.transport_lost;  // check_death judges it
  }
  return noted == edge.after ? nullptr : "mutated without a row";
}

inline const char* check_binding(const Edge& edge) {
  const bool bound = edge.after.has_transport;
  switch (edge.after.state) {
    case State::kBirth:
    case State::kTerminated:
      if (bound) return "a binding before birth or after the end";
      break;
    case State::kAttached:
    case State::kVolatile:
      if (!bound) return "ATTACHED or VOLATILE without exactly one binding";
      break;
    default:
      break;
  }
  if (bound && !edge.before.has_transport && !edge.commits()) return "a binding without a commit";
  if (edge.commits() != (edge.after.binding_version != edge.before.binding_version)) {
    return "binding_version changes with a commit alone";
  }
  if (!edge.commits()) return nullptr;
  const uint64_t told = edge.event.binding_version.value;
  if (edge.after.binding_version.value != (told != 0 ? told : edge.after.version.value)) {
    return "binding_version isn't the committer's version";
  }
  return edge.after.binding_version > edge.before.binding_version ? nullptr
                                                                  : "binding_version falls";
}

inline const char* check_commit(const Edge& edge) {
  if (!edge.has_row(Reason::kTransportSwitchOk)) return nullptr;
  if (edge.event.trigger != Trigger::kReattachCommitted) return "a switch without a commit";
  if (edge.event.binding_version != BindingVersion{0}) return nullptr;
  const bool living =
      edge.before.has_transport && !silent_for(edge.before, edge.policy.volatility.transport_dead);
  const size_t lately =
      in_last_minute(edge.before, living ? edge.before.switches : edge.before.recoveries);
  if (lately >= edge.policy.switching.max_switches_per_min) {
    return "more switches of a kind a minute than the policy grants";
  }
  return living && !edge.event.planned ? "a second binding beside a living one" : nullptr;
}

inline const char* check_death(const Edge& edge) {
  const bool carried = edge.before.has_transport && (edge.before.state != State::kRecovering ||
                                                     edge.event.trigger == Trigger::kTransportDead);
  const bool dead = edge.event.trigger == Trigger::kTransportDead ||
                    silent_for(edge.before, edge.policy.volatility.transport_dead);
  if (carried && dead && edge.after.has_transport && !edge.commits()) {
    return "a dead binding stays active";
  }
  const bool lost = edge.before.has_transport && !edge.after.has_transport;
  if (lost && edge.after.state != State::kTerminated &&
      !silent_for(edge.before, edge.policy.volatility.transport_dead) &&
      edge.event.trigger != Trigger::kTransportDead) {
    return "a living binding is given up";
  }
  if (!attached_once(edge.after) || edge.after.has_transport) return nullptr;
  if (!edge.before.has_transport) {
    return edge.after.transport_lost == edge.before.transport_lost
               ? nullptr
               : "the transport-loss TTL starts anew without a commit";
  }
  const Millis latest =
      std::max(edge.before.last_authentic, kNow - edge.policy.volatility.transport_dead);
  return edge.after.transport_lost > latest ? "the transport-loss TTL starts late" : nullptr;
}

// What must end a session ends it, whatever else happens at the same time.
inline const char* check_end(const Edge& edge) {
  const SessionRecord& at = edge.before;
  const Policy& policy = edge.policy;
  if (at.state == State::kTerminated || edge.after.state == State::kTerminated) return nullptr;
  if (since(at.born, policy.session.max_lifetime)) return "session time without bound";
  if (at.state == State::kBirth) {
    return since(at.born, Millis{kHandshakeTimeoutMs}) ? "handshake time without bound" : nullptr;
  }
  if (since(at.keys_expire, Millis{0})) return "expired keys in use";
  const Millis ttl = policy.session.transport_loss_ttl;
  if (!at.has_transport && since(at.transport_lost, ttl)) return "transportless without bound";
  if (at.has_transport && silent_for(at, ttl)) return "silence without bound";
  if (at.state == State::kRecovering && since(at.entered, policy.switching.max_recovery_window)) {
    return "recovery time without bound";
  }
  return nullptr;
}

// What else was due and led nowhere.
inline const char* check_bounds(const Edge& edge) {
  if (edge.taken.applied || edge.before.state == State::kTerminated) return nullptr;
  const SessionRecord& at = edge.after;
  const Policy& policy = edge.policy;
  const auto stay = [&](State state, Millis span) {
    return at.state == state && since(at.entered, span);
  };
  const uint64_t attempts =
      at.denied + (kNow - at.entered).value / policy.switching.recovery_attempt.value;
  if (at.state == State::kRecovering && attempts >= policy.switching.max_recovery_attempts) {
    return "recovery attempts without bound";
  }
  if (stay(State::kVolatile, policy.volatility.volatile_to_degraded)) {
    return "volatile time without bound";
  }
  size_t flaps = 0;
  while (at.flaps.at(flaps, at.born) &&
         *at.flaps.at(flaps, at.born) + units(kMinuteUnits) > at.entered) {
    ++flaps;
  }
  if (at.state == State::kVolatile && flaps > policy.volatility.max_flaps_per_min) {
    return "flaps without bound";
  }
  if (at.state == State::kAttached && silent_for(at, policy.volatility.heartbeat_volatile)) {
    return "silence without VOLATILITY_SIGNAL";
  }
  return nullptr;
}

inline const char* check_stability(const Edge& edge) {
  if (!edge.has_row(Reason::kHealthRecovered) && !edge.has_row(Reason::kExitDegradedMode)) {
    return nullptr;
  }
  const auto healthy = edge.before.healthy_since;
  if (!healthy || !since(*healthy, edge.policy.volatility.stability_window)) {
    return "stable before the stability window was met";
  }
  return silent_for(edge.before, edge.policy.volatility.heartbeat_volatile) ? "stable in silence"
                                                                            : nullptr;
}

inline const char* check_deadline(const Edge& edge) {
  if (edge.taken.applied || edge.event.trigger != Trigger::kTick) return nullptr;
  return next_deadline(edge.after, edge.policy) <= kNow ? "a deadline that no tick meets" : nullptr;
}

inline const char* check_identity(const Edge& edge) {
  if (edge.after.born != edge.before.born || edge.after.keys_expire != edge.before.keys_expire ||
      edge.after.can_switch != edge.before.can_switch) {
    return "a step changed what isn't its own";
  }
  if (!edge.commits() && (edge.after.last_authentic != edge.before.last_authentic ||
                          edge.after.idle_interval != edge.before.idle_interval)) {
    return "a step without a commit changed the clocks of liveness";
  }
  return nullptr;
}

inline constexpr std::array kChecks = {
    check_rows, check_unchanged, check_binding,   check_commit,   check_death,
    check_end,  check_bounds,    check_stability, check_deadline, check_identity};

}  // namespace jvpn::model
