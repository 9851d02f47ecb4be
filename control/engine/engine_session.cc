// What follows from a step of the state machine: events, installs and withdrawals, tombstones.
#include <algorithm>

#include "control/engine/engine_impl.h"

namespace jvpn::engine {
namespace {

/// A bound of the policy, not an event, brought it about.
bool is_limit(Reason reason) {
  return reason == Reason::kRecoveryBoundsExceeded || reason == Reason::kEnterDegradedMode ||
         reason == Reason::kTtlSessionExpired || reason == Reason::kTtlTransportLossExpired ||
         reason == Reason::kKeyLifetimeExceeded;
}

}  // namespace

/// The one place where a session's record changes. False: the session ended and is gone.
bool SessionEngine::Impl::drive(Millis now, Session& session, const SessionEvent& event,
                                Farewell farewell) {
  const SessionRecord before = session.record;
  const Step taken = step(before, event, policy_of(session), now);
  session.record = taken.record;
  if (!taken.applied) {
    if (taken.refused) tell_refused(now, session, event);
    return true;
  }
  session.last_reason = taken.reason;
  tell_rows(now, session, before, taken);
  if (taken.record.state == State::kTerminated) {
    close(now, session, taken.detail, farewell);
    return false;
  }
  if (!taken.record.has_transport) withdraw_tx(session);
  if (taken.record.state == State::kRecovering) {
    for (Candidate& candidate : peer_of(session).candidates) candidate.tried = 0;
  }
  session.quality_at = now;
  return true;
}

/// No row takes the trigger: nothing has changed, and somebody may want to know why.
void SessionEngine::Impl::tell_refused(Millis now, const Session& session,
                                       const SessionEvent& refused) {
  ++counters.transitions_refused;
  if (!security_events.take(now)) return;
  Event event = event_of(now, EventKind::kAuditEvent, session);
  event.reason = Reason::kAuditTransitionRefused;
  event.detail = refused.detail;
  event.check = session::to_string(refused.trigger);
  event.result = session::to_string(session.record.state);
  host.emit(event);
}

/// STATE_CHANGE for each row, then what a limit that fired and an ended recovery owe.
void SessionEngine::Impl::tell_rows(Millis now, const Session& session, const SessionRecord& before,
                                    const Step& taken) {
  for (const AppliedRow& row : taken.rows()) {
    Event change = event_of(now, EventKind::kStateChange, session);
    change.reason = row.reason;
    change.detail = row.detail;
    change.from = row.from;
    change.to = row.to;
    change.state_version = row.version;
    host.emit(change);
  }
  Event audit = event_of(now, EventKind::kAuditEvent, session);
  if (is_limit(taken.reason) || taken.detail == Detail::kSwitchRate) {
    audit.reason = Reason::kAuditPolicyLimitTriggered;
    audit.check = jvpn::to_string(taken.reason);
    host.emit(audit);
  }
  const auto left = std::ranges::find(taken.rows(), State::kRecovering, &AppliedRow::from);
  if (left == taken.rows().end()) return;
  audit.reason = Reason::kAuditRecoveryTimeline;
  audit.check = nullptr;
  const bool planned = before.state != State::kRecovering;  // in and out in one step
  audit.duration_ms = planned ? 0 : (now - before.entered).value;
  audit.attempts = recovery_attempts(before, policy_of(session), now);
  host.emit(audit);
}

void SessionEngine::Impl::supersede(Millis now, PeerState& peer, Farewell farewell) {
  if (!peer.session) return;
  drive(now, *peer.session, {Trigger::kTerminate, Detail::kSuperseded}, farewell);
}

/// Takes a TERMINATED session away. In-flight packets of a superseded one are still delivered.
void SessionEngine::Impl::close(Millis now, Session& session, Detail detail, Farewell farewell) {
  PeerState& peer = peer_of(session);
  const bool attached = peer.session.get() == &session;
  const std::unique_ptr<Session> ended = std::move(attached ? peer.session : peer.pending);
  const bool superseded = detail == Detail::kSuperseded;
  if (attached && farewell == Farewell::kSend) send_farewell(*ended, detail);
  if (!superseded) withdraw_tx(*ended);
  if (attached && !ended->initiator) ownership().forget(ended->id);
  release_keys(now, peer, *ended, attached && superseded);
  if (!attached) return;
  tombstones.push_back({ended->id, ended->peer, ended->last_reason, detail, now});
  if (tombstones.size() > kTombstones) tombstones.pop_front();
  if (superseded || !peer.dial || peer.dial->active) return;
  // Whoever wanted the session still does. Only what time has ended may begin anew at once.
  const bool by_time = detail == Detail::kNone;
  start_dial(now, peer, by_time ? Millis{0} : kRetry);
}

/// Ends whatever there is with a peer, by this end's will: it isn't dialled again.
void SessionEngine::Impl::end_peer(Millis now, PeerId id, Detail detail) {
  PeerState& peer = peers[id.value];
  stop_dial(peer);
  peer.dial.reset();
  if (peer.pending) drive(now, *peer.pending, {Trigger::kTerminate, detail});
  if (peer.session) drive(now, *peer.session, {Trigger::kTerminate, detail});
  rearm(id);
}

void SessionEngine::Impl::send_farewell(Session& session, Detail detail) {
  if (session.current == nullptr || !session.tx_installed) return;
  wire::Terminate message{};
  message.header = control_header(wire::ControlType::kTerminate, wire::kCritical);
  message.reason = static_cast<uint16_t>(session.last_reason);
  message.detail = static_cast<uint16_t>(detail);
  send_control(session, *session.current, message);
}

/// Retires every index of a session, or lets them drain: at our end of a dialled session until the
/// responder has moved to the new one, at the latest until it must have.
void SessionEngine::Impl::release_keys(Millis now, PeerState& peer, Session& session, bool drain) {
  drop_rekey(session);
  const Millis drain_for = policy_of(session).switching.drain;
  const Millis until = now + (session.initiator ? kHandshakeTimeout + drain_for : drain_for);
  for (auto* generation : {&session.next, &session.current, &session.previous}) {
    if (*generation == nullptr) continue;
    retire_spares(**generation);
    if (drain) {
      peer.draining.push_back({(*generation)->local, until});
    } else {
      retire_index((*generation)->local);
    }
    generation->reset();
  }
}

std::unique_ptr<KeyGeneration> SessionEngine::Impl::make_generation(
    Millis now, const NoiseKeys& keys, bool initiator, ReceiverIndex local, ReceiverIndex remote,
    uint16_t peer_lanes) const {
  auto generation = std::make_unique<KeyGeneration>();
  generation->keys = derive_session_keys(keys, initiator);
  generation->local = local;
  generation->remote = remote;
  generation->peer_lanes = peer_lanes;
  generation->created = now;
  return generation;
}

/// The active binding's index and those of the spares that have one.
void SessionEngine::Impl::install_rx(const Session& session, const KeyGeneration& generation) {
  install_rx(session.peer, session.suite, generation, generation.local, generation.binding);
  if (!session.initiator) host.bind_rx(generation.local, session.path.remote);
  for (const SpareBinding& spare : generation.spares) {
    if (spare.local == ReceiverIndex{}) continue;
    install_rx(session.peer, session.suite, generation, spare.local, spare.number);
  }
}

void SessionEngine::Impl::install_rx(PeerId peer, Suite suite, const KeyGeneration& generation,
                                     ReceiverIndex index, uint16_t number) {
  RxInstall install;
  install.index = index;
  install.peer = peer;
  install.suite = suite;
  install.traffic_key = generation.keys.receive.traffic.bytes();
  install.control_key = generation.keys.receive.control.bytes();
  install.first_lane = LaneId{static_cast<uint16_t>(number * generation.peer_lanes)};
  install.lanes = generation.peer_lanes;
  host.install_rx(install);
  wipe(install.traffic_key.data(), install.traffic_key.size());
  wipe(install.control_key.data(), install.control_key.size());
}

/// Sends on the active binding of the current keys from here on.
void SessionEngine::Impl::install_tx(Session& session) {
  const KeyGeneration& generation = *session.current;
  send_on(session, generation.remote, generation.binding, session.path);
  session.tx_installed = true;
  session.ahead.reset();
}

/// Data goes by a binding of the current keys. The lanes are its own: unless data went ahead of its
/// commit, they start afresh, within what is left of the key's quota.
void SessionEngine::Impl::send_on(const Session& session, ReceiverIndex remote, uint16_t number,
                                  const Path& path) {
  const KeyGeneration& generation = *session.current;
  TxInstall install;
  install.peer = session.peer;
  install.binding_version = session.record.binding_version;
  install.key_generation = generation.number;
  install.peer_index = remote;
  install.suite = session.suite;
  install.traffic_key = generation.keys.send.traffic.bytes();
  install.first_lane = LaneId{static_cast<uint16_t>(number * config.lanes)};
  install.lanes = config.lanes;
  const uint64_t used = number == 0 ? 0 : host.activity(session.peer).tx_generation_packets;
  install.packets_per_lane = session.suite == Suite::kChaCha20Poly1305
                                 ? wire::kSequenceMask
                                 : (kGcmKeyPackets - std::min(used, kGcmKeyPackets)) / config.lanes;
  install.inner_mtu = session.peer_mtu;
  install.path = path;
  host.install_tx(install);
  wipe(install.traffic_key.data(), install.traffic_key.size());
}

/// Nothing is sent to the peer any more; what wants to go is dropped by name.
void SessionEngine::Impl::withdraw_tx(Session& session) {
  if (!session.tx_installed && !session.ahead) return;
  session.tx_installed = false;
  session.ahead.reset();
  host.withdraw_tx(session.peer);
}

void SessionEngine::Impl::retire(std::unique_ptr<KeyGeneration>& generation) {
  if (generation == nullptr) return;
  retire_spares(*generation);
  retire_index(generation->local);
  generation.reset();
}

void SessionEngine::Impl::retire_index(ReceiverIndex index) {
  host.retire_rx(index);
  indices.release(index);
}

Event SessionEngine::Impl::event_of(Millis now, EventKind kind, const Session& session) const {
  Event event;
  event.kind = kind;
  event.at = now;
  event.session = session.id;
  event.peer = session.peer;
  event.end = session.initiator ? SessionEnd::kInitiator : SessionEnd::kResponder;
  event.policy_version = config.policy.version;
  event.state_version = session.record.version;
  event.to_path = session.path;
  return event;
}

/// Sampled: an attacker decides how often it could be said.
void SessionEngine::Impl::emit_security(Millis now, Reason reason, Detail detail, PeerId peer,
                                        const SessionId& id, const Path& from) {
  if (!security_events.take(now)) return;
  Event event;
  event.kind = EventKind::kSecurityEvent;
  event.at = now;
  event.session = id;
  event.peer = peer;
  event.policy_version = config.policy.version;
  event.reason = reason;
  event.detail = detail;
  event.to_path = from;
  host.emit(event);
}

}  // namespace jvpn::engine
