#include "control/protocol/liveness.h"

#include <algorithm>

namespace jvpn::protocol {
namespace {

constexpr Millis kConfirmRepeat{200};  // heartbeats until new keys are confirmed

void note_told_version(Session& session, uint64_t version) {
  if (!session.initiates()) return;
  BindingVersion& told = session.initiator->jumping.told_version;
  told = std::max(told, BindingVersion{version});
}

}  // namespace

bool Liveness::serve(Millis now, Session& session) {
  if (now >= due(session)) send_heartbeat(now, session);
  return true;
}

Millis Liveness::due(const Session& session) const {
  const SessionRecord& record = session.record();
  if (!record.has_transport) return kNever;
  if (!session.confirmed) return session.heartbeat_sent + kConfirmRepeat;
  const Policy& policy = context_.policy_of(session);
  const Millis interval = scaled_by_idle(policy.volatility.heartbeat_interval, record, policy);
  // The responder knows one by the time it has to ask whether the bound source is still there.
  const bool measures =
      measures_round_trips(policy) ||
      (session.initiates() ? record.state == State::kVolatile || record.state == State::kDegraded
                           : !session.quality.path.rtt.rtt_us());
  const Millis heard = record.last_authentic;
  if (session.heartbeat_sent > heard) {
    const Millis answer{2 * uint64_t{session.rtt_us()} / 1'000};
    const Millis patience = std::max(Millis{interval.value / 4}, answer);
    // Grows with the silence, so that no outage keeps step with it.
    const Millis stretch{(session.heartbeat_sent - heard).value / 8};
    return session.heartbeat_sent + std::min(interval, patience + stretch);
  }
  return (measures ? session.heartbeat_sent : heard) + interval;
}

void Liveness::on_rebound(Millis now, Session& session, const Path&) {
  session.heartbeat_sent = now;
}

void Liveness::send_heartbeat(Millis now, Session& session) {
  auto message = control_message<wire::Heartbeat>(wire::ControlType::kHeartbeat);
  message.clock_us = context_.environment.clock_us(now);
  message.binding_version = session.binding_version().value;
  session.heartbeat_sent = now;
  channel_.send(session, message);
}

void Liveness::note_data(Millis now, Session& session) {
  if (!session.has_transport()) return;
  Millis latest = session.record().last_authentic;
  // Only what came on the bound path is a sign of its life.
  for (const KeyGeneration* generation :
       {session.current.get(), session.next.get(), session.previous.get()}) {
    if (generation == nullptr || generation->left) continue;
    latest = std::max(latest, context_.environment.rx_progress(generation->local).last_rx);
  }
  if (latest <= session.record().last_authentic) return;
  lifecycle_.note(now, session, {.trigger = Trigger::kHeard, .time = latest});
}

void Liveness::note_control(Millis now, Session& session) {
  if (!session.has_transport() || session.record().last_authentic >= now) return;
  lifecycle_.note(now, session, {.trigger = Trigger::kHeard, .time = now});
}

void Liveness::on_heartbeat(Millis now, Session& session, const wire::Heartbeat& message) {
  if (!session.has_transport()) return;  // late, from the path that died
  note_told_version(session, message.binding_version);
  const bool knows = message.binding_version == session.binding_version().value;
  if (knows && !session.initiates()) bindings_.drop_void_spares(*session.current);
  auto ack = control_message<wire::HeartbeatAck>(wire::ControlType::kHeartbeatAck);
  ack.echo_us = message.clock_us;
  ack.clock_us = context_.environment.clock_us(now);
  ack.binding_version = session.binding_version().value;
  channel_.send(session, ack);
}

std::optional<uint32_t> Liveness::on_heartbeat_ack(Millis now, Session& session,
                                                   const wire::HeartbeatAck& message) {
  note_told_version(session, message.binding_version);
  const uint64_t clock = context_.environment.clock_us(now);
  if (message.echo_us > clock || clock - message.echo_us > kLongestRttUs) {
    ++context_.counters.control_stale;
    return std::nullopt;
  }
  return static_cast<uint32_t>(clock - message.echo_us);
}

}  // namespace jvpn::protocol
