#include "control/protocol/dialer.h"

#include <algorithm>
#include <utility>

#include "common/assert.h"
#include "common/limits.h"
#include "control/protocol/handshake_parties.h"

namespace jvpn::protocol {
namespace {

constexpr uint32_t kLongWaitEvery = 4;  // rounds; lets an answer come over a very slow path, too
constexpr uint32_t kLongWait = 3;       // times kRetryMs
constexpr uint32_t kJitterMs = kRetryMs / 4;
constexpr Millis kPatient{15'000};        // called in vain for so long: half as often from then on,
constexpr Millis kVeryPatient{60'000};    // and again, up to
constexpr uint32_t kMostRetryMs = 4'000;  // so that whoever comes back has all within 5 s
constexpr ptrdiff_t kMostAttempts = 3;    // out at once
constexpr Millis kUnanswered{250};        // requests for a jump, until the handshake goes beside
constexpr uint32_t kMostPauseMs = 4'000;  // whoever is left alone is attached again within 5 s
constexpr Millis kUndisputed{60'000};     // a session that lasts so long begins the count anew
constexpr uint32_t kMostResetPauseMs = 64'000;  // between dials that resets cause; 1 s at first

/// What has been down for long is called by many when it comes back: the longer, the more they
/// spread.
uint32_t pace_ms(Millis called) {
  if (called < kPatient) return kRetryMs;
  return called < kVeryPatient ? 2 * kRetryMs : kMostRetryMs;
}

}  // namespace

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
  Dial& call = *peer.dial;
  call.latest = context_.gateway_of(id, path);
  Attempt* attempt = call.at(call.latest);
  if (attempt == nullptr) attempt = &call.attempts.emplace_back(Attempt{call.latest, path});
  attempt->path = path;
  attempt->cookie.reset();
  attempt->cookie_is_new = false;
  return call;
}

void Dialer::gateways_changed(PeerId id) {
  const std::unique_ptr<Dial>& call = context_.table.peer(id).dial;
  if (!call) return;
  const Path latest = call->at(call->latest)->path;
  stop_attempts(*call);
  call->attempts.clear();
  wish(id, latest);
}

void Dialer::stop_attempt(Attempt& attempt) {
  attempt.noise.reset();
  bindings_.release_index(attempt.local);
  attempt.local = ReceiverIndex{};
}

void Dialer::stop_attempts(Dial& call) {
  for (Attempt& each : call.attempts) stop_attempt(each);
  if (call.inquiry) bindings_.release_index(call.inquiry->local);
  call.inquiry.reset();
}

void Dialer::stop(PeerState& peer) {
  if (!peer.dial) return;
  stop_attempts(*peer.dial);
  peer.dial->active = peer.dial->beside = peer.dial->fresh = peer.dial->leaving = false;
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

void Dialer::on_leave(Millis now, Session& session, const wire::PolicyHint& message) {
  if (!session.initiates()) return lifecycle_.end_by_violation(now, session);
  PeerState& peer = context_.table.peer_of(session);
  Dial* const call = peer.dial.get();
  const bool stale = message.binding_version != session.binding_version().value;
  if (stale || call == nullptr || now < call->next_leave) {
    ++context_.counters.control_stale;
    return;
  }
  const GatewayNumber here = context_.gateway_of(session.peer, session.path);
  const bool may = !call->active && !context_.denies_new_sessions && may_claim(peer) &&
                   context_.has_several_gateways(session.peer) && gateway_after(peer, here, here);
  if (!may) return;
  call->start(now);
  call->leaving = true;
  call->next_leave = now + kLeavesApart;
  serve_dial(now, session.peer);
}

/// One gateway after the other, but for the one that has the session. None has taken it in time:
/// the next request begins anew.
void Dialer::serve_leaving(Millis now, PeerId id) {
  PeerState& peer = context_.table.peer(id);
  Attempt* const other =
      now < peer.dial->started + kTrusted ? choice_.other_of_round(now, id) : nullptr;
  if (other == nullptr) return stop(peer);
  ++peer.dial->rounds;
  plan_round(now, peer);
  choice_.take_turn(peer, *other);
  send_initiation(now, id, *other);
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
  return active && !waits_for_peer(id) ? call->next_round : kNever;
}

void Dialer::serve_dial(Millis now, PeerId id) {
  if (now < dial_due(id)) return;
  PeerState& peer = context_.table.peer(id);
  if (awaits_confirmation(now, peer)) {
    plan_round(now, peer);
    return liveness_.send_heartbeat(now, *peer.pending);
  }
  if (leaves(peer)) return serve_leaving(now, id);
  Attempt& first = choice_.first_of_round(id);
  if (choice_.take_turn(peer, first)) ++peer.dial->rounds;
  ++peer.dial->unanswered;
  plan_round(now, peer);
  send_initiation(now, id, first);
  Attempt* const other = choice_.other_of_round(now, id);
  if (other == nullptr) return;
  choice_.take_turn(peer, *other);
  send_initiation(now, id, *other);
  Attempt* const doubtful = choice_.doubtful_of_round(now, id);
  if (doubtful == nullptr) return;
  choice_.take_turn(peer, *doubtful);
  send_initiation(now, id, *doubtful);
}

void Dialer::plan_round(Millis now, PeerState& peer) {
  Dial& call = *peer.dial;
  const bool resumes = leaves(peer) || (peer.session && peer.session->must_jump());
  const uint32_t pace = resumes ? kRetryMs : pace_ms(now - std::min(now, call.started));
  const bool is_long = call.rounds % kLongWaitEvery == 0;
  uint32_t wait = is_long ? std::max(pace, std::min(kLongWait * pace, kMostRetryMs)) : pace;
  if (resumes && !is_long) wait = kResumeRetryMs;
  if (awaits_confirmation(now, peer)) wait = kResumeRetryMs;
  const uint32_t jitter = std::max(kJitterMs, pace / 4);
  call.next_round = now + Millis{wait + random_u32(context_.environment) % jitter};
}

/// One of several gateways has granted a claim. It may hold the confirmation back for as long as
/// its store may take; another initiation would make it begin anew, and another gateway's answer
/// would take the place of this one.
bool Dialer::awaits_confirmation(Millis now, const PeerState& peer) const {
  const Session* const pending = peer.pending.get();
  if (pending == nullptr || !pending->initiates() || (peer.dial && peer.dial->fresh)) return false;
  if (!context_.has_several_gateways(pending->peer)) return false;
  const Millis patience = pending->initiator->policy.switching.recovery_attempt;
  return now < pending->record().born + std::min(patience, Millis{kHandshakeTimeoutMs});
}

/// So that attempts don't take the indices of what drains.
void Dialer::give_up_oldest(Dial& call) {
  const auto out = [](const Attempt& each) { return each.noise.has_value(); };
  if (std::ranges::count_if(call.attempts, out) < kMostAttempts) return;
  stop_attempt(*std::ranges::min_element(
      call.attempts, {}, [&](const Attempt& each) { return out(each) ? each.sent : kNever; }));
}

void Dialer::send_initiation(Millis now, PeerId id, Attempt& attempt) {
  Dial& call = *context_.table.peer(id).dial;
  stop_attempt(attempt);
  give_up_oldest(call);
  const std::optional<ReceiverIndex> index = bindings_.allocate_index(id);
  if (!index) return;
  attempt.local = *index;
  attempt.sent = now;
  if (now >= attempt.cookie_until) attempt.cookie.reset();
  choice_.use_standby(now, context_.table.peer(id), attempt);
  const SecretKey ephemeral = random_secret(context_.environment);
  wire::Initiation message;
  const std::optional<wire::ResumeClaim> claim = next_claim(id);
  attempt.claimed = claim ? SessionId{claim->session_id} : SessionId{};
  attempt.noise = write_initiation(
      call_to(context_, self_, id, context_.config.suites.front(), *index, ephemeral),
      {draw_timestamp(context_, id), attempt.freshness}, message, claim ? &*claim : nullptr);
  if (!attempt.noise) return stop_attempt(attempt);
  attempt.carried_cookie = attempt.cookie && !attempt.early_cookie;
  const std::span<uint8_t> bytes{reinterpret_cast<uint8_t*>(&message), sizeof message};
  write_macs(context_.mac, call.macs.mac1, attempt.cookie ? &*attempt.cookie : nullptr, bytes);
  std::ranges::copy(message.mac1, attempt.mac1.begin());
  context_.effects.await_answer(attempt.local);
  context_.effects.send(attempt.path, bytes);
}

std::optional<wire::ResumeClaim> Dialer::next_claim(PeerId id) {
  if (!may_claim(context_.table.peer(id))) return std::nullopt;
  Session* const session = context_.table.peer(id).session.get();
  JumpState& jumping = session->initiator->jumping;
  return wire::ResumeClaim{session->id.bytes, session->binding_version().value, ++jumping.nonce};
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
  // What a reset, the gateway or the host began isn't about this session's transport.
  const bool other = ours && (peer.dial->beside || peer.dial->fresh || peer.dial->leaving);
  if (ours && !other) stop(peer);
}

bool Dialer::serve(Millis now, Session& session) {
  if (now < due(session)) return true;
  Dial& call = *context_.table.peer_of(session).dial;
  call.latest =
      choice_.attempt_at(session.peer, context_.gateway_of(session.peer, session.path)).gateway;
  call.start(now);
  return true;
}

}  // namespace jvpn::protocol
