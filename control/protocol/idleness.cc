#include "control/protocol/idleness.h"

#include <algorithm>

namespace jvpn::protocol {
namespace {

constexpr uint64_t kQuietHeartbeats = 10;  // without data, before a session counts as idle
constexpr Millis kRepeat{200};             // of an announcement that wasn't answered
constexpr Millis kAskAgain{60'000};        // when less was granted; its policy may be another then

bool is_idle(const Session& session) {
  return session.record().idle_interval != Millis{0};
}

}  // namespace

/// Whether data has flowed since the last look.
bool Idleness::note_data(Millis now, Session& session) {
  IdleState& idle = session.initiator->idle;
  const Activity activity = context_.environment.activity(session.peer);
  const uint64_t packets = activity.rx_packets + activity.tx_packets;
  if (packets == idle.data_packets) return false;
  idle.data_packets = packets;
  idle.data_at = now;
  return true;
}

/// The interval that the initiator wants; 0: awake.
Millis Idleness::wanted_interval(Millis now, const Session& session) const {
  const Policy& policy = context_.policy_of(session);
  const Millis heartbeat = policy.volatility.heartbeat_interval;
  const bool may = session.state() == State::kAttached && session.confirmed && !session.jumping() &&
                   !session.wants_jump() && policy.session.idle_max > heartbeat;
  const Millis quiet_since = session.initiator->idle.data_at;
  const bool quiet = now >= quiet_since + Millis{kQuietHeartbeats * heartbeat.value};
  return may && quiet ? policy.session.idle_max : Millis{0};
}

/// The responder has just answered that wish, by less.
bool Idleness::asks_in_vain(Millis now, const IdleState& idle, Millis wanted) {
  return wanted > idle.granted && wanted == idle.answered_wish && now < idle.answered + kAskAgain;
}

bool Idleness::serve(Millis now, Session& session) {
  if (!session.initiates() || !session.has_transport()) return true;
  note_data(now, session);
  IdleState& idle = session.initiator->idle;
  const Millis wanted = wanted_interval(now, session);
  if (wanted == Millis{0} && is_idle(session)) {
    lifecycle_.note(now, session, {Trigger::kWoken});
    idle.announced = idle.answered_wish = Millis{0};
  }
  // What was granted while nothing was wanted may have been taken back since: the answer was lost.
  const bool settled = wanted == idle.granted && (wanted == Millis{0} || is_idle(session));
  if (settled || now < idle.announced + kRepeat || asks_in_vain(now, idle, wanted)) return true;
  idle.announced = now;
  announce(session, wanted);
  return true;
}

Millis Idleness::due(const Session& session) const {
  if (!session.initiates() || !session.has_transport()) return kNever;
  const IdleState& idle = session.initiator->idle;
  const Policy& policy = context_.policy_of(session);
  const Millis heartbeat = policy.volatility.heartbeat_interval;
  if (policy.session.idle_max <= heartbeat || is_idle(session)) return kNever;  // wake() wakes it
  if (idle.granted != Millis{0}) return idle.announced + kRepeat;
  if (session.state() != State::kAttached || !session.confirmed || session.jumping() ||
      session.wants_jump()) {
    return kNever;
  }
  const Millis quiet =
      std::max(idle.data_at + Millis{kQuietHeartbeats * heartbeat.value}, idle.announced + kRepeat);
  const Millis again = idle.answered + kAskAgain;
  return asks_in_vain(quiet, idle, policy.session.idle_max) ? again : quiet;
}

void Idleness::on_rebound(Millis now, Session& session, const Path&) {
  if (!session.initiates()) return;
  session.initiator->idle.granted = session.initiator->idle.answered_wish = Millis{0};
  session.initiator->idle.data_at = now;
}

bool Idleness::wake(Millis now, Session& session) {
  if (!session.initiates() || !is_idle(session) || !note_data(now, session)) return false;
  return serve(now, session);
}

void Idleness::announce(const Session& session, Millis interval) {
  auto message = control_message<wire::Idle>(wire::ControlType::kIdle);
  message.binding_version = session.binding_version().value;
  message.interval_ms = static_cast<uint32_t>(std::min<uint64_t>(interval.value, UINT32_MAX));
  channel_.send(session, message);
}

void Idleness::on_idle(Millis now, Session& session, const wire::Idle& message) {
  if (message.binding_version != session.binding_version().value || !session.has_transport()) {
    ++context_.counters.control_stale;
    return;
  }
  const Millis interval =
      std::min(Millis{message.interval_ms}, context_.policy_of(session).session.idle_max);
  const SessionEvent agreed{.trigger = Trigger::kIdleAgreed, .time = interval};
  if (session.initiates()) {
    IdleState& idle = session.initiator->idle;
    idle.granted = interval;
    idle.answered_wish = wanted_interval(now, session);
    idle.answered = now;
    if (idle.answered_wish != Millis{0}) lifecycle_.note(now, session, agreed);
    return;
  }
  lifecycle_.note(now, session, agreed);
  announce(session, interval);
}

}  // namespace jvpn::protocol
