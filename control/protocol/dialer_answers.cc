// What comes of attempts: responses, cookie replies and retries. Part of Dialer.
#include <algorithm>
#include <utility>

#include "common/assert.h"
#include "common/limits.h"
#include "control/protocol/dialer.h"
#include "control/protocol/handshake_parties.h"
#include "control/protocol/policy_snapshot.h"

namespace jvpn::protocol {
namespace {

/// A handshake has succeeded. Whoever knew a token has to know that of another index now.
void forget_resets(Dial& call, Millis next_at_the_latest) {
  call.resets = 0;
  call.next_reset = std::min(call.next_reset, next_at_the_latest);
}

}  // namespace

/// What isn't authentic is a handshake that failed; what isn't well-formed is noise.
void Dialer::refuse(Millis now, const Path& from, Detail detail, PeerId id) {
  const bool failed = detail == Detail::kAuthentication;
  const Reason reason = failed ? Reason::kHandshakeFail : Reason::kSecAbuseControlPlane;
  refuse_handshake(context_, reporter_, now, from, reason, detail, id);
}

/// The attempt that an answer is meant for; nullptr: late, or made up, nobody waits for it.
Attempt* Dialer::attempt_with(ReceiverIndex index, std::optional<PeerId>& id) {
  id = context_.table.indices().owner(index);
  Dial* const call = id ? context_.table.peer(*id).dial.get() : nullptr;
  if (call != nullptr) {
    const auto found = std::ranges::find(call->attempts, index, &Attempt::local);
    if (found != call->attempts.end() && found->noise) return &*found;
  }
  ++context_.counters.handshakes_refused;
  return nullptr;
}

std::optional<PeerId> Dialer::on_response(Millis now, const Path& from,
                                          std::span<const uint8_t> datagram,
                                          std::optional<MacVerdict> known) {
  const std::optional<ResponseView> message = parse_response(datagram);
  if (!message) {
    refuse(now, from, Detail::kNone);
    return std::nullopt;
  }
  std::optional<PeerId> id;
  Attempt* const attempt = attempt_with(message->receiver, id);
  if (attempt == nullptr) return std::nullopt;
  if (awaits_confirmation(now, context_.table.peer(*id))) {
    ++context_.counters.handshakes_refused;  // another gateway was first
    return std::nullopt;
  }
  if (cookies_.check(from, datagram, known) == MacVerdict::kBad) {
    refuse(now, from, Detail::kAuthentication, *id);
    return std::nullopt;
  }
  const auto answer = read_response(*attempt->noise, context_.psk_of(*id),
                                    context_.config.suites.front(), *message);
  if (!answer) {
    ++context_.table.peer(*id).dial->unopened;
    refuse(now, from, Detail::kAuthentication, *id);
    return std::nullopt;
  }
  if (answer->fields != FieldsVerdict::kTaken) {
    refuse(now, from, Detail::kUnknownField, *id);
    return std::nullopt;
  }
  // Its events would be another session's.
  const bool resumes = goes_on(*id, *attempt, answer->payload);
  if (!resumes && context_.table.used(SessionId{answer->payload.session_id})) {
    stop_attempt(*attempt);
    refuse(now, from, Detail::kSessionIdUsed, *id);
    return std::nullopt;
  }
  if (!resumes && comes_too_early(now, *id, *attempt)) {
    attempt->declined = true;
    stop_attempt(*attempt);
    ++context_.counters.handshakes_refused;
    return std::nullopt;
  }
  const std::optional<NoiseKeys> keys = attempt->noise->split();
  if (!keys) return std::nullopt;
  const bool room =
      bindings_.reserve_rx(*id, attempt->local, answer->payload.lanes) && bindings_.reserve_tx(*id);
  if (!room) {
    stop_attempt(*attempt);  // the next one may find some
    refuse_handshake(context_, reporter_, now, from, Reason::kHandshakeFail, Detail::kNoRoom, *id);
    return id;
  }
  if (resumes)
    begin_resuming(now, *id, *attempt, *keys, message->sender, answer->payload);
  else
    attach(now, *id, *attempt, *keys, message->sender, answer->payload);
  return id;
}

/// The answer grants the claim of that attempt. Versions rise.
bool Dialer::goes_on(PeerId id, const Attempt& attempt, const wire::ResponsePayload& answer) const {
  const Session* const session = context_.table.peer(id).session.get();
  const SessionId told{answer.session_id};
  return session != nullptr && session->initiates() && told == attempt.claimed &&
         told == session->id && BindingVersion{answer.binding_version} > session->binding_version();
}

/// Another gateway than the one that has the session doesn't go on with it. As long as that one may
/// answer yet, its word is what counts.
bool Dialer::comes_too_early(Millis now, PeerId id, const Attempt& attempt) const {
  const PeerState& peer = context_.table.peer(id);
  if (!may_claim(peer) || attempt.claimed != peer.session->id) return false;
  if (leaves(peer)) return true;  // the session is well
  return attempt.gateway != context_.gateway_of(id, peer.session->path) &&
         now < peer.dial->started + kTrusted;
}

/// The keys are tried: nothing has changed until the responder shows that it goes on, too.
void Dialer::begin_resuming(Millis now, PeerId id, Attempt& attempt, const NoiseKeys& keys,
                            ReceiverIndex remote, const wire::ResponsePayload& payload) {
  PeerState& peer = context_.table.peer(id);
  lifecycle_.fail_pending(now, peer, Detail::kSuperseded);
  peer.pending = new_session(now, id, attempt, keys, remote, payload);
  Session& pending = *peer.pending;
  pending.initiator->jumping.told_version = BindingVersion{payload.binding_version};
  pending.initiator->answer = std::make_unique<wire::ResponsePayload>(payload);
  attempt.local = ReceiverIndex{};  // the handshake's from here on
  attempt.noise.reset();
  attempt.freshness = {};
  bindings_.install_rx(pending, *pending.current);
  liveness_.send_heartbeat(now, pending);
  if (awaits_confirmation(now, peer)) plan_round(now, peer);  // it may be lost
}

bool Dialer::confirm_resumed(Millis now, PeerState& peer) {
  Session& pending = *peer.pending;
  const bool same = peer.session && peer.session->id == pending.id;
  if (!same || !bindings_.reserve_tx(pending.peer)) {
    lifecycle_.fail_pending(now, peer, Detail::kNoRoom);
    return false;
  }
  const BindingVersion told = pending.initiator->jumping.told_version;
  const std::unique_ptr<wire::ResponsePayload> answer = std::move(pending.initiator->answer);
  const Path old_path = peer.session->path;
  const bool handed_over = leaves(peer);  // what its gateway sent before that is still on its way
  if (peer.dial) {
    stop(peer);
    Dial& call = *peer.dial;
    call.latest = context_.gateway_of(pending.peer, pending.path);
    if (call.at(call.latest) == nullptr)  // a reload has forgotten it
      wish(pending.peer, pending.path);
    call.unanswered = call.unopened = call.cookies = call.retries = 0;
    forget_resets(call, now + Millis{kLeastPauseMs});
  }
  Session& session = lifecycle_.carry_over(now, peer, std::move(peer.pending), handed_over);
  if (handed_over)
    bindings_.shorten_draining(now, context_.policy_of(session).switching.drain, peer);
  session.confirmed = true;
  ++context_.counters.resumes;
  if (!lifecycle_.commit_resumed(now, session, told, old_path)) return false;
  context_.effects.configure(session.peer, *answer);
  return true;
}

std::unique_ptr<Session> Dialer::new_session(Millis now, PeerId id, const Attempt& attempt,
                                             const NoiseKeys& keys, ReceiverIndex remote,
                                             const wire::ResponsePayload& payload) const {
  auto session = std::make_unique<Session>(id, attempt.path, context_.config.suites.front(),
                                           new_record(now, now + Millis{kKeyRefuseAfterMs}),
                                           context_.counters.totals);
  session->id.bytes = payload.session_id;
  session->peer_mtu = payload.mtu;
  session->current = make_generation(now, keys, true, attempt.local, remote, payload.lanes);
  session->initiator = std::make_unique<InitiatorSide>();
  InitiatorSide& side = *session->initiator;
  side.told_policy = payload.policy;
  side.policy = tightened(context_.config.policy, payload.policy);
  side.responder_holds = (payload.flags & wire::kResponderHolds) != 0;
  side.idle.data_at = now;
  side.rekey.due = draw_rekey(context_, now);
  side.jumping.clock_ahead = payload.clock_ms - now.value;
  wire::SpareIndices spares{};
  for (uint16_t i = 0; i < wire::kSpareIndices; ++i) {
    spares.index[i] = payload.spare_indices[i];
    spares.number[i] = static_cast<uint16_t>(i + 1);
    spares.token[i] = payload.spare_tokens[i];
  }
  session->current->reset_token = Secret<16>(payload.reset_token);
  session->current->learn_spares(spares);
  return session;
}

/// The responder is authentic and fresh: the new session takes over from whatever was there.
void Dialer::attach(Millis now, PeerId id, Attempt& attempt, const NoiseKeys& keys,
                    ReceiverIndex remote, const wire::ResponsePayload& payload) {
  PeerState& peer = context_.table.peer(id);
  std::unique_ptr<Session> fresh = new_session(now, id, attempt, keys, remote, payload);
  attempt.local = ReceiverIndex{};  // the session's from here on
  attempt.freshness = {};
  Dial& call = *peer.dial;
  call.latest = attempt.gateway;
  call.unanswered = call.unopened = call.cookies = call.retries = 0;
  forget_resets(call, now + Millis{kLeastPauseMs});
  stop(peer);
  lifecycle_.fail_pending(now, peer, Detail::kSuperseded);
  lifecycle_.supersede(now, peer, NotifyPeer::kNo);
  JVPN_ASSERT(!peer.session, "a peer key has one session");
  for (Candidate& each : peer.candidates) each.standby = {};  // of the session before
  peer.session = std::move(fresh);
  Session& session = *peer.session;
  context_.table.begin(session.id, true);
  const BindingVersion told{payload.binding_version};
  if (!lifecycle_.transition(now, session, {Trigger::kKeyConfirmed, Detail::kNone, told})) return;
  session.initiator->jumping.told_version = told;
  bindings_.install_rx(session, *session.current);
  bindings_.install_tx(session);
  context_.effects.configure(id, payload);
  liveness_.send_heartbeat(now, session);
}

/// A cookie reply or a retry to the latest attempt at a gateway.
void Dialer::on_sealed_reply(Millis now, const Path& from, std::span<const uint8_t> datagram) {
  const std::optional<wire::SealedReply> reply = parse_sealed_reply(datagram);
  if (!reply) return refuse(now, from, Detail::kNone);
  std::optional<PeerId> id;
  Attempt* const attempt = attempt_with(ReceiverIndex{reply->receiver}, id);
  if (attempt == nullptr) return;
  Dial& call = *context_.table.peer(*id).dial;
  const bool is_retry = reply->type == wire::MessageType::kRetry;
  const auto key = is_retry ? retry_key(*attempt->noise) : std::optional(call.macs.cookie_label);
  const auto value = key ? open_reply(context_.aead, *key, attempt->mac1, *reply) : std::nullopt;
  if (!value) return refuse(now, from, Detail::kAuthentication, *id);
  ++(is_retry ? call.retries : call.cookies);
  if (is_retry) return take_freshness(now, *id, *attempt, *value);
  // A busy gateway wants proof of our address: the next initiation to it carries it, by the same
  // path.
  attempt->cookie = *value;
  attempt->cookie_is_new = !attempt->carried_cookie;  // one that didn't help is no reason to stay
  attempt->cookie_until = now + Millis{kCookieSecretMs};
}

/// Our timestamps are old to the responder: our clock ran backwards, or it started later than this
/// initiation was made. What it gave is carried at once; should that not help either, or another
/// retry come, by the attempts to come.
void Dialer::take_freshness(Millis now, PeerId id, Attempt& attempt,
                            const wire::Freshness& freshness) {
  if (std::exchange(attempt.freshness, freshness) == freshness) return;
  if (!std::exchange(attempt.retried, true)) send_initiation(now, id, attempt);
}

}  // namespace jvpn::protocol
