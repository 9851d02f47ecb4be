// New keys for a living session, inside its control messages. The initiator alone asks:
//   initiator: REKEY_INITIATION under the current keys, anew until answered
//   responder: receives under the next keys, then REKEY_RESPONSE under the current ones
//   initiator: receives under the next keys, sends under them; HEARTBEAT until answered
//   responder: sends under them once a control message came under them
// At every moment each side can open what the other may be sending. The binding stays; so does
// state_version.
#include <algorithm>

#include "control/engine/engine_impl.h"

namespace jvpn::engine {

namespace {

/// Keys and binding don't change at the same time: a jump goes first.
bool may_rekey(const Session& session) {
  return session.record.has_transport && session.jump == nullptr;
}

}  // namespace

void SessionEngine::Impl::serve_rekey(Millis now, Session& session) {
  if (!session.confirmed || !may_rekey(session)) return;
  const bool due = now >= session.rekey_at;
  if (due || (!session.rekey && key_nearly_used(session))) ask_rekey(now, session);
}

Millis SessionEngine::Impl::rekey_due(const Session& session) const {
  const bool may = session.initiator && session.confirmed && may_rekey(session);
  return may ? session.rekey_at : kNever;
}

/// Packets of either direction under a GCM key; looked at whenever the session is served. One busy
/// flow uses one lane, so half of what a single lane may carry is the latest moment.
bool SessionEngine::Impl::key_nearly_used(const Session& session) {
  if (session.suite == Suite::kChaCha20Poly1305) return false;
  const Activity activity = host.activity(session.peer);
  const uint64_t before = std::min(session.rx_packets_before_key, activity.rx_packets);
  const uint64_t received = activity.rx_packets - before;
  const auto latest = [&](uint16_t lanes) {
    return std::min(config.rekey_after_packets, kGcmKeyPackets / std::max<uint16_t>(lanes, 1) / 2);
  };
  return activity.tx_generation_packets >= latest(config.lanes) ||
         received >= latest(session.current->peer_lanes);
}

void SessionEngine::Impl::ask_rekey(Millis now, Session& session) {
  drop_rekey(session);
  session.rekey_at = now + kRetry;
  const std::optional<ReceiverIndex> index = allocate_index(session.peer);
  if (!index) return;
  const SecretKey ephemeral = random_secret();
  wire::RekeyInitiation message;
  auto noise = write_rekey(call_to(session.peer, session.suite, *index, ephemeral), message);
  if (!noise) return indices.release(*index);
  session.rekey = std::make_unique<RekeyAttempt>(RekeyAttempt{std::move(*noise), *index});
  send_control(session, *session.current, message);
}

void SessionEngine::Impl::drop_rekey(Session& session) {
  if (!session.rekey) return;
  indices.release(session.rekey->local);
  session.rekey.reset();
}

void SessionEngine::Impl::on_rekey_initiation(Millis now, Session& session,
                                              const wire::RekeyInitiation& message) {
  if (session.initiator) return violation(now, session);
  if (!session.record.has_transport) return;  // late, from the path that died
  PeerState& peer = peer_of(session);
  const SecretKey ephemeral = random_secret();
  std::optional<Heard> heard = read_rekey(self, ephemeral, session.suite, message);
  if (!heard || heard->noise.remote_static() != configured(session.peer).public_key) {
    return violation(now, session);
  }
  if (heard->timestamp <= peer.latest_received) {
    ++counters.control_stale;  // overtaken by a later one
    return;
  }
  // The initiator never used the keys of a call that it repeats.
  retire(session.next);
  const std::optional<ReceiverIndex> index = allocate_index(session.peer);
  if (!index) {
    ++counters.handshakes_throttled;
    return;
  }
  peer.latest_received = heard->timestamp;
  uint16_t last_number = 0;
  std::vector<SpareBinding> spares =
      issue_spares(session.peer, heard->lanes, last_number, spares_wanted(session));
  wire::RekeyResponse response;
  const bool written = write_rekey_response(*heard, psk_of(session.peer), *index, config.lanes, now,
                                            list_spares(spares, 0), response);
  const std::optional<NoiseKeys> keys = heard->noise.split();
  if (!written || !keys) {
    for (const SpareBinding& spare : spares) indices.release(spare.local);
    return indices.release(*index);
  }
  session.next = make_generation(now, *keys, false, *index, heard->sender, heard->lanes);
  session.next->spares = std::move(spares);
  session.next->last_number = last_number;
  install_rx(session, *session.next);
  send_control(session, *session.current, response);
}

void SessionEngine::Impl::on_rekey_response(Millis now, Session& session,
                                            const wire::RekeyResponse& message) {
  if (!session.initiator) return violation(now, session);
  const bool waited_for = session.rekey && session.rekey->local.value == message.receiver;
  if (!waited_for || !may_rekey(session)) {
    ++counters.control_stale;  // answers a call that was repeated since
    return;
  }
  RekeyAttempt& attempt = *session.rekey;
  const auto payload =
      read_rekey_response(attempt.noise, psk_of(session.peer), session.suite, message);
  const std::optional<NoiseKeys> keys = attempt.noise.split();
  if (!payload || !keys) return violation(now, session);
  auto fresh_keys = make_generation(now, *keys, true, attempt.local, ReceiverIndex{message.sender},
                                    payload->lanes);
  session.rekey.reset();  // its index lives on with the keys
  learn_spares(*fresh_keys, payload->spares);
  session.clock_ahead = payload->clock_ms - now.value;
  install_rx(session, *fresh_keys);
  session.confirmed = false;
  adopt(now, session, std::move(fresh_keys), kNever);
  send_heartbeat(now, session);
}

/// Sends under `fresh_keys` from here on; the replaced ones still open until `previous_until`.
void SessionEngine::Impl::adopt(Millis now, Session& session,
                                std::unique_ptr<KeyGeneration> fresh_keys, Millis previous_until) {
  retire(session.previous);
  fresh_keys->number = session.current->number + 1;
  session.previous = std::move(session.current);
  session.previous->retire_at = previous_until;
  retire_spares(*session.previous);  // jumps go under the newer keys
  session.current = std::move(fresh_keys);
  session.quality.in = {};
  session.probe_at = now;  // candidates are validated anew, under the new keys
  session.record.keys_expire = session.current->created + Millis{kKeyRefuseAfterMs};
  session.rekey_at = now + config.rekey_after;
  ++session.rekeys;
  session.rx_packets_before_key = host.activity(session.peer).rx_packets;
  if (session.record.has_transport) install_tx(session);
  Event event = event_of(now, EventKind::kKeyEvent, session);
  event.reason = Reason::kHandshakeOk;
  event.detail = Detail::kRekeyed;
  host.emit(event);
}

/// Initiator: the responder sends under the current keys now, so what came before may go.
void SessionEngine::Impl::keys_confirmed(Millis now, Session& session) {
  session.confirmed = true;
  if (session.previous) session.previous->retire_at = now + linger(session);
  if (session.rekeys != 0) return;
  PeerState& peer = peer_of(session);
  stop_dial(peer);
  const Millis until = now + policy_of(session).switching.drain;
  for (DrainingIndex& draining : peer.draining) draining.until = std::min(draining.until, until);
}

Millis SessionEngine::Impl::linger(const Session& session) const {
  return std::max(policy_of(session).switching.drain, kPreviousKeyLinger);
}

}  // namespace jvpn::engine
