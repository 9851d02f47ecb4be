#include "control/protocol/rekeyer.h"

#include <algorithm>

#include "common/limits.h"
#include "control/protocol/handshake_parties.h"

namespace jvpn::protocol {
namespace {

constexpr Millis kPreviousKeyLinger{5'000};  // least time that replaced keys still open

/// Keys and binding don't change at the same time: a jump goes first.
bool may_rekey(const Session& session) {
  return session.has_transport() && !session.jumping();
}

/// A rekey under the session's current keys.
RekeyBasis basis_of(const Session& session) {
  return {session.id, session.current->number, session.current->chain};
}

}  // namespace

bool Rekeyer::serve(Millis now, Session& session) {
  if (!session.initiates() || !session.confirmed || !may_rekey(session)) return true;
  const RekeyState& rekey = session.initiator->rekey;
  if (now >= rekey.due || (!rekey.attempt && key_nearly_used(session))) ask(now, session);
  return true;
}

Millis Rekeyer::due(const Session& session) const {
  const bool may = session.initiates() && session.confirmed && may_rekey(session);
  return may ? session.initiator->rekey.due : kNever;
}

/// What either direction did under a GCM key; looked at whenever the session is served. One busy
/// flow uses one lane, so half of what a single lane may carry is the latest moment.
bool Rekeyer::key_nearly_used(const Session& session) {
  if (session.suite == Suite::kChaCha20Poly1305) return false;
  const Activity activity = context_.environment.activity(session.peer);
  const RekeyState& before = session.initiator->rekey;
  const auto since = [](uint64_t total, uint64_t earlier) {
    return total - std::min(total, earlier);
  };
  const auto nearly_used = [&](uint64_t packets, uint64_t bytes, uint16_t lanes) {
    return packets >= context_.config.rekey_after_packets ||
           gcm_blocks(packets, bytes) >= kGcmKeyBlocks / std::max<uint16_t>(lanes, 1) / 2;
  };
  return nearly_used(activity.tx_generation_packets, activity.tx_generation_bytes,
                     context_.config.lanes) ||
         nearly_used(since(activity.rx_packets, before.rx_packets_before_key),
                     since(activity.rx_bytes, before.rx_bytes_before_key),
                     session.current->peer_lanes);
}

void Rekeyer::ask(Millis now, Session& session) {
  RekeyState& rekey = session.initiator->rekey;
  if (rekey.attempt) {
    bindings_.release_index(rekey.attempt->local);
    rekey.attempt.reset();
  }
  rekey.due = now + Millis{kRetryMs};
  const std::optional<ReceiverIndex> index = bindings_.allocate_index(session.peer);
  if (!index) return;
  const SecretKey ephemeral = random_secret(context_.environment);
  wire::RekeyInitiation message;
  auto noise = write_rekey(call_to(context_, self_, session.peer, session.suite, *index, ephemeral),
                           basis_of(session), ++rekey.number, message);
  if (!noise) return bindings_.release_index(*index);
  rekey.attempt = std::make_unique<RekeyAttempt>(RekeyAttempt{std::move(*noise), *index});
  channel_.send(session, message);
}

void Rekeyer::on_rekey_initiation(Millis now, Session& session, const Arrival& at,
                                  const wire::RekeyInitiation& message) {
  if (session.initiates()) return lifecycle_.end_by_violation(now, session);
  if (!session.has_transport()) return;  // late, from the path that died
  if (&at.generation != session.current.get()) {
    ++context_.counters.control_stale;  // the keys that it asks to replace were replaced
    return;
  }
  const SecretKey ephemeral = random_secret(context_.environment);
  auto request = read_rekey(self_, ephemeral, session.suite, basis_of(session), message);
  const PublicKey& expected = context_.configured(session.peer).public_key;
  if (!request || request->noise.remote_static() != expected) {
    return lifecycle_.end_by_violation(now, session);
  }
  uint64_t& latest = session.responder->latest_rekey;
  if (request->number <= latest) {
    ++context_.counters.control_stale;  // overtaken by a later one
    return;
  }
  // The initiator never used the keys of a call that it repeats.
  bindings_.retire(session.next);
  const std::optional<ReceiverIndex> index = bindings_.allocate_index(session.peer, request->lanes);
  if (!index) return refuse(now, session);
  if (!bindings_.reserve_tx(session.peer)) {
    bindings_.release_index(*index);
    return refuse(now, session);
  }
  latest = request->number;
  if (!answer(now, session, *request, *index)) bindings_.release_index(*index);
}

/// The present keys go on, for as long as they may.
void Rekeyer::refuse(Millis now, const Session& session) {
  reporter_.emit_security(now, Reason::kHandshakeFail, Detail::kNoRoom, session.peer, session.id,
                          session.path);
}

/// Installs the next keys, then tells the initiator of them. False: no keys came of it.
bool Rekeyer::answer(Millis now, Session& session, RequestState& request, ReceiverIndex index) {
  IssuedSpares issued = bindings_.issue_spares(
      session.peer, request.lanes, bindings_.spares_wanted(context_.policy_of(session)));
  wire::RekeyResponse response;
  const PresharedKey psk = basis_of(session).mixed(context_.psk_of(session.peer));
  const bool written =
      write_rekey_response(request, psk, index, context_.config.lanes, now,
                           {bindings_.reset_token(index), issued.spares.offered()}, response);
  const std::optional<NoiseKeys> keys = request.noise.split();
  if (!written || !keys) {
    bindings_.release_spares(issued);
    return false;
  }
  session.next = make_generation(now, *keys, false, index, request.sender, request.lanes);
  session.next->spares = std::move(issued.spares);
  session.next->last_number = issued.last_number;
  bindings_.install_rx(session, *session.next);
  channel_.send(session, response);
  return true;
}

void Rekeyer::on_rekey_response(Millis now, Session& session, const wire::RekeyResponse& message) {
  if (!session.initiates()) return lifecycle_.end_by_violation(now, session);
  RekeyState& rekey = session.initiator->rekey;
  const bool waited_for = rekey.attempt && rekey.attempt->local.value == message.receiver;
  if (!waited_for || !may_rekey(session)) {
    ++context_.counters.control_stale;  // answers a call that was repeated since
    return;
  }
  const PresharedKey psk = basis_of(session).mixed(context_.psk_of(session.peer));
  const auto payload = read_rekey_response(rekey.attempt->noise, psk, session.suite, message);
  const std::optional<NoiseKeys> keys = rekey.attempt->noise.split();
  if (!payload || !keys) return lifecycle_.end_by_violation(now, session);
  const bool room = bindings_.reserve_rx(session.peer, rekey.attempt->local, payload->lanes) &&
                    bindings_.reserve_tx(session.peer);
  if (!room) {
    bindings_.release_index(rekey.attempt->local);
    rekey.attempt.reset();
    return refuse(now, session);
  }
  auto fresh = make_generation(now, *keys, true, rekey.attempt->local,
                               ReceiverIndex{message.sender}, payload->lanes);
  rekey.attempt.reset();  // its index lives on with the keys
  fresh->reset_token = Secret<16>(payload->reset_token);
  fresh->learn_spares(payload->spares);
  session.initiator->jumping.clock_ahead = payload->clock_ms - now.value;
  bindings_.install_rx(session, *fresh);
  session.confirmed = false;
  adopt(now, session, std::move(fresh), kNever);
  liveness_.send_heartbeat(now, session);
}

/// Sends under `fresh` from here on; the replaced keys still open until `previous_until`, on their
/// spares, too: what was sent there before may come by slower paths.
void Rekeyer::adopt(Millis now, Session& session, std::unique_ptr<KeyGeneration> fresh,
                    Millis previous_until) {
  bindings_.retire(session.previous);
  fresh->number = session.current->number + 1;
  session.previous = std::move(session.current);
  session.previous->retire_at = previous_until;
  session.current = std::move(fresh);
  ++session.rekeys;
  const Millis expire = session.current->created + Millis{kKeyRefuseAfterMs};
  lifecycle_.note(now, session, {.trigger = Trigger::kKeysRenewed, .time = expire});
  if (session.initiates()) {
    RekeyState& rekey = session.initiator->rekey;
    rekey.due = draw_rekey(context_, now);
    const Activity activity = context_.environment.activity(session.peer);
    rekey.rx_packets_before_key = activity.rx_packets;
    rekey.rx_bytes_before_key = activity.rx_bytes;
  }
  lifecycle_.announce_new_keys(now, session);
  if (session.has_transport()) bindings_.install_tx(session);
  reporter_.emit_rekeyed(now, session);
}

void Rekeyer::confirm(Millis now, Session& session, const KeyGeneration& generation) {
  if (&generation == session.next.get()) {
    if (!bindings_.reserve_tx(session.peer))
      return refuse(now, session);  // the next message asks again
    adopt(now, session, std::move(session.next), now + linger(session));
  } else if (&generation == session.current.get() && !session.confirmed) {
    keys_confirmed(now, session);
  }
}

/// Initiator: the responder sends under the current keys now, so what came before may go.
void Rekeyer::keys_confirmed(Millis now, Session& session) {
  session.confirmed = true;
  if (session.previous) session.previous->retire_at = now + linger(session);
  if (session.rekeys != 0) return;
  PeerState& peer = context_.table.peer_of(session);
  dialer_.stop(peer);
  Bindings::shorten_draining(now, context_.policy_of(session).switching.drain, peer);
}

Millis Rekeyer::linger(const Session& session) const {
  return std::max(context_.policy_of(session).switching.drain, kPreviousKeyLinger);
}

}  // namespace jvpn::protocol
