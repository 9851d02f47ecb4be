#include "control/protocol/dialer.h"

#include <algorithm>
#include <utility>

#include "common/assert.h"
#include "common/limits.h"
#include "control/protocol/handshake_parties.h"
#include "control/protocol/policy_snapshot.h"

namespace jvpn::protocol {
namespace {

constexpr uint32_t kLongWaitEvery = 4;  // attempts; lets an answer come over a very slow path, too
constexpr uint32_t kLongWait = 3;       // times kRetryMs
constexpr uint32_t kJitterMs = kRetryMs / 4;
constexpr uint32_t kResumeRetryMs = 500;   // with a session that waits: its traffic does, too
constexpr Millis kUnanswered{250};         // requests for a jump, until the handshake goes beside
constexpr uint32_t kLeastPauseMs = 1'000;  // after a takeover; each doubles it
constexpr uint32_t kMostPauseMs = 4'000;   // whoever is left alone is attached again within 5 s
constexpr Millis kUndisputed{60'000};      // a session that lasts so long begins the count anew
constexpr uint32_t kMostResetPauseMs = 64'000;  // between dials that resets cause; 1 s at first

/// A handshake has succeeded. Whoever knew a token has to know that of another index now.
void forget_resets(Millis now, Dial& call) {
  call.resets = 0;
  call.next_reset = std::min(call.next_reset, now + Millis{kLeastPauseMs});
}

}  // namespace

/// What isn't authentic is a handshake that failed; what isn't well-formed is noise.
void Dialer::refuse(Millis now, const Path& from, Detail detail, PeerId id) {
  const bool failed = detail == Detail::kAuthentication;
  const Reason reason = failed ? Reason::kHandshakeFail : Reason::kSecAbuseControlPlane;
  refuse_handshake(context_, reporter_, now, from, reason, detail, id);
}

void Dialer::dial(Millis now, PeerId id, const Path& path) {
  Dial& call = wish(id, path);
  call.fresh = true;
  call.start(now);
  serve_dial(now, id);
}

void Dialer::dial_when_ended(PeerId id, const Path& path) {
  JVPN_ASSERT(context_.table.peer(id).session, "the end of a session starts the call");
  wish(id, path);
}

/// The peer is to be called by that path; nothing is sent yet.
Dial& Dialer::wish(PeerId id, const Path& path) {
  PeerState& peer = context_.table.peer(id);
  if (!peer.dial) {
    peer.dial = std::make_unique<Dial>();
    peer.dial->macs = ResponderMacKeys::derive(context_.mac, context_.configured(id).public_key);
  }
  peer.dial->path = path;
  peer.dial->cookie.reset();
  peer.dial->cookie_is_new = false;
  return *peer.dial;
}

void Dialer::stop_attempt(Dial& call) {
  call.noise.reset();
  bindings_.release_index(call.local);
  call.local = ReceiverIndex{};
}

void Dialer::stop(PeerState& peer) {
  if (!peer.dial) return;
  stop_attempt(*peer.dial);
  peer.dial->active = peer.dial->beside = peer.dial->fresh = false;
}

void Dialer::forget(PeerState& peer) {
  stop(peer);
  peer.dial.reset();
}

void Dialer::taken_over(Millis now, const Session& session) {
  Dial* const call = context_.table.peer_of(session).dial.get();
  if (call == nullptr) return;
  if (now >= session.record().born + kUndisputed) call->takeovers = 0;
  const uint32_t most = std::min(kLeastPauseMs << std::min(call->takeovers, 8U), kMostPauseMs);
  ++call->takeovers;
  call->not_before = now + Millis{most - random_u32(context_.environment) % (most / 4)};
}

bool Dialer::dial_beside(Millis now, const Session& session, const Path& path) {
  Dial* const call = context_.table.peer_of(session).dial.get();
  const bool may = call != nullptr && !call->active && !context_.denies_new_sessions;
  if (!may || now < call->next_reset) return false;
  if (now >= call->next_reset + kUndisputed) call->resets = 0;
  const uint32_t pause = std::min(kLeastPauseMs << std::min(call->resets, 8U), kMostResetPauseMs);
  ++call->resets;
  call->next_reset = now + Millis{pause};
  wish(session.peer, path).start(now);
  call->beside = true;
  serve_dial(now, session.peer);
  return true;
}

void Dialer::note_alive(const Session& session) {
  PeerState& peer = context_.table.peer_of(session);
  if (peer.dial && peer.dial->beside) stop(peer);
}

bool Dialer::waits_for_peer(PeerId id) const {
  const PeerState& peer = context_.table.peer(id);
  return peer.dial && peer.pending && !peer.pending->initiates() &&
         context_.configured(id).public_key < self_.public_key;
}

Millis Dialer::dial_due(PeerId id) const {
  const std::unique_ptr<Dial>& call = context_.table.peer(id).dial;
  const bool active = call && call->active && !context_.denies_new_sessions;
  return active && !waits_for_peer(id) ? call->next_attempt : kNever;
}

void Dialer::serve_dial(Millis now, PeerId id) {
  if (now < dial_due(id)) return;
  Dial& call = *context_.table.peer(id).dial;
  const std::vector<Candidate>& candidates = context_.table.peer(id).candidates;
  if (!std::exchange(call.cookie_is_new, false)) {    // else it is shown where it is good
    if (call.attempts != 0 && !candidates.empty()) {  // the path first dialled may be the dead one
      const Path& next = candidates[(call.attempts - 1) % candidates.size()].path;
      if (next != call.path) call.cookie.reset();
      call.path = next;
    }
    ++call.attempts;
  }
  call.retried = false;
  ++call.unanswered;
  const std::unique_ptr<Session>& session = context_.table.peer(id).session;
  uint32_t wait = call.attempts % kLongWaitEvery == 0 ? kLongWait * kRetryMs : kRetryMs;
  if (session && session->must_jump()) wait = wait == kRetryMs ? kResumeRetryMs : wait;
  call.next_attempt = now + Millis{wait + random_u32(context_.environment) % kJitterMs};
  send_initiation(now, id);
}

void Dialer::send_initiation(Millis now, PeerId id) {
  Dial& call = *context_.table.peer(id).dial;
  stop_attempt(call);
  const std::optional<ReceiverIndex> index = bindings_.allocate_index(id);
  if (!index) return;
  call.local = *index;
  const SecretKey ephemeral = random_secret(context_.environment);
  wire::Initiation message;
  const std::optional<wire::ResumeClaim> claim = next_claim(id);
  call.claimed = claim ? SessionId{claim->session_id} : SessionId{};
  call.noise = write_initiation(
      call_to(context_, self_, id, context_.config.suites.front(), *index, ephemeral),
      {draw_timestamp(context_, id), call.freshness}, message, claim ? &*claim : nullptr);
  if (!call.noise) return stop_attempt(call);
  if (now >= call.cookie_until) call.cookie.reset();
  call.carried_cookie = call.cookie.has_value();
  const std::span<uint8_t> bytes{reinterpret_cast<uint8_t*>(&message), sizeof message};
  write_macs(context_.mac, call.macs.mac1, call.cookie ? &*call.cookie : nullptr, bytes);
  std::ranges::copy(message.mac1, call.mac1.begin());
  context_.effects.await_answer(call.local);
  context_.effects.send(call.path, bytes);
}

/// The session that a handshake would go on with: one that the responder is known to have had.
std::optional<wire::ResumeClaim> Dialer::next_claim(PeerId id) {
  Session* const session = context_.table.peer(id).session.get();
  if (session == nullptr || !session->initiates() || context_.table.peer(id).dial->fresh)
    return std::nullopt;
  const bool known = session->confirmed || session->rekeys != 0 || session->binding.switches != 0;
  if (!known) return std::nullopt;
  JumpState& jumping = session->initiator->jumping;
  return wire::ResumeClaim{session->id.bytes, session->binding_version().value, ++jumping.nonce};
}

/// The attempt that an answer is meant for; nullptr: late, or made up, nobody waits for it.
Dial* Dialer::call_with(ReceiverIndex index, std::optional<PeerId>& id) {
  id = context_.table.indices().owner(index);
  Dial* const call = id ? context_.table.peer(*id).dial.get() : nullptr;
  if (call != nullptr && call->noise && call->local == index) return call;
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
  Dial* const call = call_with(message->receiver, id);
  if (call == nullptr) return std::nullopt;
  if (cookies_.check(from, datagram, known) == MacVerdict::kBad) {
    refuse(now, from, Detail::kAuthentication, *id);
    return std::nullopt;
  }
  const auto answer =
      read_response(*call->noise, context_.psk_of(*id), context_.config.suites.front(), *message);
  if (!answer) {
    ++call->unopened;
    refuse(now, from, Detail::kAuthentication, *id);
    return std::nullopt;
  }
  if (answer->fields != FieldsVerdict::kTaken) {
    refuse(now, from, Detail::kUnknownField, *id);
    return std::nullopt;
  }
  // Its events would be another session's.
  const bool resumes = goes_on(*id, *call, answer->payload);
  if (!resumes && context_.table.used(SessionId{answer->payload.session_id})) {
    stop_attempt(*call);
    refuse(now, from, Detail::kSessionIdUsed, *id);
    return std::nullopt;
  }
  const std::optional<NoiseKeys> keys = call->noise->split();
  if (!keys) return std::nullopt;
  const bool room =
      bindings_.reserve_rx(*id, call->local, answer->payload.lanes) && bindings_.reserve_tx(*id);
  if (!room) {
    stop_attempt(*call);  // the next one may find some
    refuse_handshake(context_, reporter_, now, from, Reason::kHandshakeFail, Detail::kNoRoom, *id);
    return id;
  }
  if (resumes)
    begin_resuming(now, *id, *keys, message->sender, answer->payload);
  else
    attach(now, *id, *keys, message->sender, answer->payload);
  return id;
}

/// The answer grants the claim of that attempt. Versions rise.
bool Dialer::goes_on(PeerId id, const Dial& call, const wire::ResponsePayload& answer) const {
  const Session* const session = context_.table.peer(id).session.get();
  const SessionId told{answer.session_id};
  return session != nullptr && session->initiates() && told == call.claimed &&
         told == session->id && BindingVersion{answer.binding_version} > session->binding_version();
}

/// The keys are tried: nothing has changed until the responder shows that it goes on, too.
void Dialer::begin_resuming(Millis now, PeerId id, const NoiseKeys& keys, ReceiverIndex remote,
                            const wire::ResponsePayload& payload) {
  PeerState& peer = context_.table.peer(id);
  lifecycle_.fail_pending(now, peer, Detail::kSuperseded);
  peer.pending = new_session(now, id, keys, remote, payload);
  Session& pending = *peer.pending;
  pending.initiator->jumping.told_version = BindingVersion{payload.binding_version};
  pending.initiator->answer = std::make_unique<wire::ResponsePayload>(payload);
  Dial& call = *peer.dial;
  call.local = ReceiverIndex{};  // the handshake's from here on
  call.noise.reset();
  call.freshness = {};
  bindings_.install_rx(pending, *pending.current);
  liveness_.send_heartbeat(now, pending);
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
  if (peer.dial) {
    stop(peer);
    Dial& call = *peer.dial;
    call.unanswered = call.unopened = call.cookies = call.retries = 0;
    forget_resets(now, call);
  }
  Session& session = lifecycle_.carry_over(now, peer, std::move(peer.pending), false);
  session.confirmed = true;
  ++context_.counters.resumes;
  if (!lifecycle_.commit_resumed(now, session, told, old_path)) return false;
  context_.effects.configure(session.peer, *answer);
  return true;
}

std::unique_ptr<Session> Dialer::new_session(Millis now, PeerId id, const NoiseKeys& keys,
                                             ReceiverIndex remote,
                                             const wire::ResponsePayload& payload) const {
  const Dial& call = *context_.table.peer(id).dial;
  auto session = std::make_unique<Session>(id, call.path, context_.config.suites.front(),
                                           new_record(now, now + Millis{kKeyRefuseAfterMs}));
  session->id.bytes = payload.session_id;
  session->peer_mtu = payload.mtu;
  session->current = make_generation(now, keys, true, call.local, remote, payload.lanes);
  session->initiator = std::make_unique<InitiatorSide>();
  InitiatorSide& side = *session->initiator;
  side.told_policy = payload.policy;
  side.policy = tightened(context_.config.policy, payload.policy);
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
void Dialer::attach(Millis now, PeerId id, const NoiseKeys& keys, ReceiverIndex remote,
                    const wire::ResponsePayload& payload) {
  PeerState& peer = context_.table.peer(id);
  std::unique_ptr<Session> fresh = new_session(now, id, keys, remote, payload);
  Dial& call = *peer.dial;
  call.local = ReceiverIndex{};  // the session's from here on
  call.freshness = {};
  call.unanswered = call.unopened = call.cookies = call.retries = 0;
  forget_resets(now, call);
  stop(peer);
  lifecycle_.fail_pending(now, peer, Detail::kSuperseded);
  lifecycle_.supersede(now, peer, NotifyPeer::kNo);
  JVPN_ASSERT(!peer.session, "a peer key has one session");
  peer.session = std::move(fresh);
  Session& session = *peer.session;
  context_.table.begin(session.id);
  const BindingVersion told{payload.binding_version};
  if (!lifecycle_.transition(now, session, {Trigger::kKeyConfirmed, Detail::kNone, told})) return;
  session.initiator->jumping.told_version = told;
  bindings_.install_rx(session, *session.current);
  bindings_.install_tx(session);
  context_.effects.configure(id, payload);
  liveness_.send_heartbeat(now, session);
}

/// A cookie reply or a retry to the latest attempt.
void Dialer::on_sealed_reply(Millis now, const Path& from, std::span<const uint8_t> datagram) {
  const std::optional<wire::SealedReply> reply = parse_sealed_reply(datagram);
  if (!reply) return refuse(now, from, Detail::kNone);
  std::optional<PeerId> id;
  Dial* const call = call_with(ReceiverIndex{reply->receiver}, id);
  if (call == nullptr) return;
  const bool is_retry = reply->type == wire::MessageType::kRetry;
  const auto key = is_retry ? retry_key(*call->noise) : std::optional(call->macs.cookie_label);
  const auto value = key ? open_reply(context_.aead, *key, call->mac1, *reply) : std::nullopt;
  if (!value) return refuse(now, from, Detail::kAuthentication, *id);
  ++(is_retry ? call->retries : call->cookies);
  if (is_retry) return take_freshness(now, *id, *value);
  // A busy responder wants proof of our address: the next initiation carries it, by the same path.
  call->cookie = *value;
  call->cookie_is_new = !call->carried_cookie;  // one that didn't help is no reason to stay
  call->cookie_until = now + Millis{kCookieSecretMs};
}

/// Our timestamps are old to the responder: our clock ran backwards, or it started later than this
/// initiation was made. What it gave is carried at once; should that not help either, or another
/// retry come, by the attempts to come.
void Dialer::take_freshness(Millis now, PeerId id, const wire::Freshness& freshness) {
  Dial& call = *context_.table.peer(id).dial;
  if (std::exchange(call.freshness, freshness) == freshness) return;
  if (!std::exchange(call.retried, true)) send_initiation(now, id);
}

Millis Dialer::due(const Session& session) const {
  if (!session.initiates()) return kNever;
  const std::unique_ptr<Dial>& call = context_.table.peer_of(session).dial;
  if (!call || call->active) return kNever;
  if (session.must_jump()) return session.record().entered + kUnanswered;
  const bool unanswered = !session.confirmed && session.rekeys == 0;
  return unanswered ? session.record().entered + Millis{kHandshakeTimeoutMs} : kNever;
}

void Dialer::on_rows(Millis, Session& session) {
  if (!session.initiates() || session.must_jump() || !session.confirmed) return;
  PeerState& peer = context_.table.peer_of(session);
  const bool ours = peer.session.get() == &session && peer.dial && peer.dial->active;
  // What a reset or the host began isn't about this session's transport.
  if (ours && !peer.dial->beside && !peer.dial->fresh) stop(peer);
}

bool Dialer::serve(Millis now, Session& session) {
  if (now >= due(session)) context_.table.peer_of(session).dial->start(now);
  return true;
}

}  // namespace jvpn::protocol
