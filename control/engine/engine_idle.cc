// Idleness by agreement (design §7): an initiator without traffic announces how rarely it will be
// heard, and only the responder's answer makes both ends' liveness clocks that much slower. The
// first packet wakes it at once.
#include <algorithm>

#include "control/engine/engine_impl.h"

namespace jvpn::engine {
namespace {

constexpr uint64_t kQuietHeartbeats = 10;  // without data, before a session counts as idle
constexpr Millis kRepeat{200};             // of an announcement that wasn't answered

}  // namespace

/// Whether data has flowed since the last look.
bool SessionEngine::Impl::note_data(Millis now, Session& session) {
  const Activity activity = host.activity(session.peer);
  const uint64_t packets = activity.rx_packets + activity.tx_packets;
  if (packets == session.data_packets) return false;
  session.data_packets = packets;
  session.data_at = now;
  return true;
}

/// The interval that the initiator wants; 0: awake.
Millis SessionEngine::Impl::idle_wish(Millis now, const Session& session) const {
  const Policy& policy = policy_of(session);
  const Millis heartbeat = policy.volatility.heartbeat_interval;
  const bool may = session.record.state == State::kAttached && session.confirmed && !session.jump &&
                   !session.wanted && policy.session.idle_max > heartbeat;
  const bool quiet = now >= session.data_at + Millis{kQuietHeartbeats * heartbeat.value};
  return may && quiet ? policy.session.idle_max : Millis{0};
}

void SessionEngine::Impl::serve_idle(Millis now, Session& session) {
  if (!session.initiator || !session.record.has_transport) return;
  note_data(now, session);
  const Millis wish = idle_wish(now, session);
  if (wish == Millis{0} && session.record.idle_interval != Millis{0}) {
    session.record.idle_interval = Millis{0};
    session.record.last_authentic = now;  // the silence was agreed upon
    session.idle_sent = Millis{0};
  }
  if (wish == session.idle_granted || now < session.idle_sent + kRepeat) return;
  session.idle_sent = now;
  send_idle(session, wish);
}

Millis SessionEngine::Impl::idle_due(const Session& session) const {
  if (!session.initiator || !session.record.has_transport) return kNever;
  const Policy& policy = policy_of(session);
  const Millis heartbeat = policy.volatility.heartbeat_interval;
  if (policy.session.idle_max <= heartbeat) return kNever;
  if (session.record.idle_interval != Millis{0}) return kNever;  // woken by wake()
  if (session.idle_granted != Millis{0}) return session.idle_sent + kRepeat;
  if (session.record.state != State::kAttached) return kNever;
  return std::max(session.data_at + Millis{kQuietHeartbeats * heartbeat.value},
                  session.idle_sent + kRepeat);
}

void SessionEngine::Impl::wake(Millis now, PeerId id) {
  Session* session = peers[id.value].session.get();
  if (session == nullptr || session->record.idle_interval == Millis{0}) return;
  if (!note_data(now, *session)) return;
  serve_idle(now, *session);
  rearm(id);
}

void SessionEngine::Impl::send_idle(Session& session, Millis interval) {
  wire::Idle message{};
  message.header = control_header(wire::ControlType::kIdle);
  message.binding_version = session.record.binding_version.value;
  message.interval_ms = static_cast<uint32_t>(std::min<uint64_t>(interval.value, UINT32_MAX));
  send_control(session, *session.current, message);
}

void SessionEngine::Impl::on_idle(Millis now, Session& session, const wire::Idle& message) {
  if (message.binding_version != session.record.binding_version.value ||
      !session.record.has_transport) {
    ++counters.control_stale;
    return;
  }
  const Millis interval =
      std::min(Millis{message.interval_ms}, policy_of(session).session.idle_max);
  if (session.initiator) {
    session.idle_granted = interval;
    if (idle_wish(now, session) != Millis{0}) session.record.idle_interval = interval;
    return;
  }
  session.record.idle_interval = interval;
  send_idle(session, interval);
}

}  // namespace jvpn::engine
