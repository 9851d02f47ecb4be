#include "control/jump/jumper.h"

#include <algorithm>

namespace jvpn::jump {
namespace {

constexpr Millis kLeastRepeat{100};
constexpr uint64_t kPatience = 4;  // repetitions for each candidate in the first round

/// Two round trips: the longest exchange takes so many.
Millis repeat_after(const Candidate* candidate) {
  const uint64_t rtt_us = candidate == nullptr ? 0 : candidate->rtt.rtt_us().value_or(0);
  return std::max(kLeastRepeat, Millis{(2 * rtt_us + 999) / 1'000});
}

}  // namespace

std::optional<Path> Jumper::better_path(Millis now, const Session& session) const {
  return candidates_.better_than(now, session, quality_.merits_of_bound(now, session));
}

// ---- What the program around the engine tells.

void Jumper::set_candidates(Millis now, PeerId id, std::span<const Path> paths) {
  const bool news = candidates_.replace(id, paths);
  Session* const session = context_.table.peer(id).session.get();
  if (session == nullptr || !session->initiates()) return;
  JumpState& jumping = session->initiator->jumping;
  const bool gone = jumping.jump && candidates_.at(*session, jumping.jump->path) == nullptr;
  if (session->must_jump() && (news || gone)) jumping.jump.reset();
  if (news) {
    jumping.pause = now;
    prober_.probe_at_once(now, *session);
  }
  if (serve(now, *session)) prober_.serve(now, *session);
}

void Jumper::path_lost(Millis now, PeerId id, const Path& path) {
  candidates_.remove(id, path);
  Session* const session = context_.table.peer(id).session.get();
  if (session == nullptr || !session->initiates()) return;
  JumpState& jumping = session->initiator->jumping;
  if (jumping.jump && jumping.jump->path == path) {
    jumping.jump.reset();
    if (session->binding.ahead) bindings_.withdraw_tx(*session);
  }
  if (jumping.wish && jumping.wish->path == path) jumping.wish.reset();
  const bool bound = session->has_transport() && session->path == path;
  if (!bound || lose_transport(now, *session)) serve(now, *session);
}

void Jumper::wish(Millis now, Session& session, const JumpWish& wish) {
  session.initiator->jumping.wish = wish;
  serve(now, session);
}

/// The bound path is gone. In RECOVERING at our own wish no row applies: sending stops, and the
/// jump under way counts as one from a dead path. False: the session ended.
bool Jumper::lose_transport(Millis now, Session& session, const SessionEvent& death) {
  const bool recovering = session.state() == State::kRecovering;
  if (!lifecycle_.transition(now, session, death)) return false;
  if (!recovering) return true;
  bindings_.withdraw_tx(session);
  if (session.initiates()) session.initiator->jumping.jump.reset();
  return true;
}

// ---- When and where to.

/// Tells the state machine whether there is anywhere better to go.
void Jumper::note_candidates(Millis now, Session& session) {
  const bool asked = session.state() == State::kVolatile;
  const bool can_switch =
      asked && !session.current->spares.empty() && better_path(now, session).has_value();
  if (can_switch == session.record().can_switch) return;
  lifecycle_.note(now, session, {.trigger = Trigger::kCandidates, .can_switch = can_switch});
}

Millis Jumper::policy_allows(const Session& session) const {
  const SessionRecord& record = session.record();
  const Policy& policy = context_.policy_of(session);
  const JumpState& jumping = session.initiator->jumping;
  const SwitchKind kind = session.next_switch();
  Millis start = std::max(jumping.pause, switch_rate_allows(record, policy, kind));
  if (record.state == State::kDegraded)
    start = std::max(start, record.entered + policy.switching.switch_cooldown);
  return kind == SwitchKind::kWished ? std::max(start, cooldown_ends(record, policy)) : start;
}

/// From when on a jump may begin; kNever when none is wanted.
Millis Jumper::may_start(const Session& session) const {
  const SessionRecord& record = session.record();
  if (!session.must_jump() && (!session.wants_jump() || !record.has_transport)) return kNever;
  return policy_allows(session);
}

Millis Jumper::due(const Session& session) const {
  if (!session.initiates()) return kNever;
  const Jump* const jump = session.initiator->jumping.jump.get();
  return jump != nullptr ? std::min(jump->next_send, jump->gives_up) : may_start(session);
}

bool Jumper::serve(Millis now, Session& session) {
  if (!session.initiates()) return true;
  note_candidates(now, session);
  JumpState& jumping = session.initiator->jumping;
  const bool silent = session.state() == State::kRecovering && session.binding.tx_installed &&
                      !has_living_transport(session.record(), context_.policy_of(session), now);
  if (silent) lose_transport(now, session);
  const bool missed = jumping.told_version > session.binding_version() &&
                      session.binding.tx_installed && !jumping.wish;
  if (missed) {  // a commit of ours whose acknowledgement never came: ask where the session is
    jumping.wish = JumpWish{session.path, wire::ReattachCause::kRebind};
  }
  if (!session.must_jump() && !jumping.wish) {
    jumping.jump.reset();
    return true;
  }
  if (jumping.jump && now >= jumping.jump->gives_up) {
    give_up(now, session);
    if (!session.must_jump()) {
      jumping.wish.reset();
      return true;
    }
  }
  if (!jumping.jump) {
    if (now < may_start(session)) return hold_back(now, session);
    start(now, session);
  }
  return now < jumping.jump->next_send || send_request(now, session);
}

Finding Jumper::switch_allowed(Millis now, const Session& session) const {
  return judge_switch(session.record(), session.next_switch(), context_.policy_of(session), now);
}

/// A jump has to wait. A wish may, and that is told once; a session that recovers and has used up
/// its switches goes where the policy says. False: it ended.
bool Jumper::hold_back(Millis now, Session& session) {
  const Finding bound = switch_allowed(now, session);
  if (bound.ok()) return true;
  lifecycle_.note_gate(session, bound.detail, false);
  std::optional<JumpWish>& wish = session.initiator->jumping.wish;
  if (session.state() == State::kRecovering && bound.detail == Detail::kSwitchRate) {
    const Path to = candidates_.next_target(now, session);
    reporter_.emit_switch_denied(now, session, bound.detail, to);
    return lifecycle_.transition(now, session, {Trigger::kSwitchRateExceeded, bound.detail});
  }
  if (wish && !wish->held_back) {
    wish->held_back = true;
    reporter_.emit_limit(now, session, bound);
  }
  return true;
}

void Jumper::deny(Millis now, const Session& session, const Path& to) {
  const Finding bound = switch_allowed(now, session);
  if (bound.ok()) return;
  reporter_.emit_switch_denied(now, session, bound.detail, to);
  reporter_.emit_limit(now, session, bound);
}

/// Nobody answered over this candidate.
void Jumper::give_up(Millis now, Session& session) {
  JumpState& jumping = session.initiator->jumping;
  const Path path = std::exchange(jumping.jump, nullptr)->path;
  reporter_.emit_unanswered(now, session, path);
  if (session.binding.ahead) bindings_.withdraw_tx(session);
  if (!session.must_jump()) return;
  if (Candidate* const candidate = candidates_.at(session, path)) Candidates::note_loss(*candidate);
}

/// Begins a jump: to the path that was wished for, or else to the best.
void Jumper::start(Millis now, Session& session) {
  JumpState& jumping = session.initiator->jumping;
  const bool dead = !session.binding.tx_installed;
  auto jump = std::make_unique<Jump>();
  jump->path = candidates_.next_target(now, session);
  if (!dead) jump->path = better_path(now, session).value_or(jump->path);
  if (jumping.wish) jump->path = jumping.wish->path;
  jump->cause = dead ? wire::ReattachCause::kDead : wire::ReattachCause::kQuality;
  if (jumping.wish && !dead) jump->cause = jumping.wish->cause;
  if (dead) jumping.wish.reset();  // tried first, then it is a candidate like any
  Candidate* const candidate = candidates_.at(session, jump->path);
  const bool counts = candidate != nullptr && session.must_jump();
  const unsigned round = counts ? std::min(candidate->tried++, 1U) : 0;
  const Millis patience{(kPatience * repeat_after(candidate).value) << round};
  const Millis longest = context_.policy_of(session).switching.recovery_attempt;
  jump->next_send = now;
  jump->gives_up = now + std::min(patience, longest);
  jumping.jump = std::move(jump);
}

// ---- Requests.

/// False: the session ended.
bool Jumper::send_request(Millis now, Session& session) {
  JumpState& jumping = session.initiator->jumping;
  const SpareBinding* const spare = bindings_.assign_spare(session, jumping.jump->path);
  if (spare == nullptr) {
    jumping.jump.reset();
    jumping.pause = now + kLeastRepeat;
    return true;
  }
  const bool retries = session.state() == State::kDegraded && !session.has_transport();
  if (retries && !lifecycle_.transition(now, session, {Trigger::kSwitchRequested})) return false;
  KeyGeneration& generation = *session.current;
  Jump& jump = *jumping.jump;
  const bool first = jump.first_nonce == 0;
  const wire::ReattachRequest request = make_request(now, session, *spare);
  const Route route{spare->local, spare->remote, jump.path};
  if (jump.cause == wire::ReattachCause::kDead) {
    auto dead = control_message<wire::TransportDead>(wire::ControlType::kTransportDead);
    dead.binding_version = request.binding_version;
    channel_.send_along(session, generation, route, dead);
  }
  jump.next_send = now + repeat_after(candidates_.at(session, jump.path));
  std::vector<uint8_t> fields = held_fields(context_, session);
  closer_.append_report(session, *spare, fields);
  channel_.send_along(session, generation, route, request, fields);
  if (first) send_data_ahead(now, session, *spare);
  return true;
}

wire::ReattachRequest Jumper::make_request(Millis now, Session& session,
                                           const SpareBinding& spare) {
  JumpState& jumping = session.initiator->jumping;
  auto request = control_message<wire::ReattachRequest>(wire::ControlType::kReattachRequest);
  request.session_id = session.id.bytes;
  request.nonce = ++jumping.nonce;
  request.clock_ms = now.value + jumping.clock_ahead;
  request.binding_version = std::max(jumping.told_version, session.binding_version()).value;
  request.receiver = spare.local.value;
  request.lanes = context_.config.lanes;
  request.retire_active = 1;
  request.cause = jumping.jump->cause;
  if (jumping.jump->first_nonce == 0) jumping.jump->first_nonce = request.nonce;
  lifecycle_.note_attempt(now, session);
  return request;
}

/// With no transport left, data follows the request to a warm path at once: the responder takes it
/// on the spare's index as it is, and the request will be committed unchallenged. Not ahead of what
/// is held: that goes first, once the responder has told what it lacks.
void Jumper::send_data_ahead(Millis now, Session& session, const SpareBinding& spare) {
  if (session.binding.tx_installed || holds_packets(context_, session)) return;
  bindings_.withdraw_tx(session);
  const Candidate* const candidate = candidates_.at(session, *spare.path);
  if (candidate == nullptr || !candidates_.is_warm(now, session, *candidate)) return;
  if (!bindings_.reserve_tx(session.peer)) return;
  bindings_.install_tx_ahead(session, spare);
}

// ---- Answers.

void Jumper::on_transport_dead(Millis now, Session& session, const wire::TransportDead& message) {
  const bool current = message.binding_version == session.binding_version().value;
  if (!current || !session.has_transport()) {
    ++context_.counters.control_stale;
    return;
  }
  if (lose_transport(now, session)) serve(now, session);
}

void Jumper::on_challenge(Millis now, Session& session, const Arrival& at,
                          const wire::ReattachChallenge& message) {
  if (!session.initiates()) return lifecycle_.end_by_violation(now, session);
  const SpareBinding* const spare = assigned_spare(session, at);
  // Any path that was asked will do: the answer may be slower than our patience.
  const bool asked = spare != nullptr && session.jumping() &&
                     message.nonce <= session.initiator->jumping.nonce &&
                     !LaneCloser::is_closed(session, spare->local);
  if (!asked) {
    ++context_.counters.control_stale;
    return;
  }
  auto answer = control_message<wire::ReattachResponse>(wire::ControlType::kReattachResponse);
  answer.nonce = message.nonce;
  std::ranges::copy(message.token, answer.token);
  channel_.send_along(session, at.generation, {spare->local, spare->remote, *spare->path}, answer);
}

void Jumper::on_ack(Millis now, Session& session, const Arrival& at,
                    const wire::ReattachAck& message, std::span<const uint8_t> fields) {
  if (!session.initiates()) return lifecycle_.end_by_violation(now, session);
  JumpState& jumping = session.initiator->jumping;
  const SpareBinding* const spare = assigned_spare(session, at);
  const BindingVersion version{message.binding_version};
  if (spare == nullptr || message.nonce > jumping.nonce || version <= session.binding_version()) {
    ++context_.counters.control_stale;  // acknowledged before
    return;
  }
  if (message.sender != spare->remote.value) return lifecycle_.end_by_violation(now, session);
  if (LaneCloser::is_closed(session, spare->local)) {
    ++context_.counters.control_stale;  // too late: a later request has told what came there
    return;
  }
  if (!bindings_.reserve_tx(session.peer)) return;  // the repeated request is acknowledged again
  const Path old_path = session.path;
  const Path path = *spare->path;
  const uint16_t number = spare->number;
  if (jumping.jump) session.binding.cause = jumping.jump->cause;
  const bool rebind = jumping.jump && jumping.jump->cause == wire::ReattachCause::kRebind;
  jumping.jump.reset();
  jumping.wish.reset();
  jumping.told_version = std::max(jumping.told_version, version);
  jumping.clock_ahead = message.clock_ms - now.value;
  SessionEvent event{Trigger::kReattachCommitted, Detail::kNone, version};
  event.planned = true;
  event.rebind = rebind && path == old_path;
  if (!lifecycle_.transition(now, session, event)) return;
  if (session.binding_version() != version) return;  // the state machine refused it
  if (!settle_hold(context_, session, fields)) return lifecycle_.end_by_violation(now, session);
  LaneCloser::forget(session);
  lifecycle_.rebind(now, session, number, path);
  session.current->learn_spares(message.spares);
  reporter_.emit_accepted(now, session, path);
  lifecycle_.report_switch(now, session, old_path);
  liveness_.send_heartbeat(now, session);
}

void Jumper::on_reject(Millis now, Session& session, const Arrival& at,
                       const wire::ReattachReject& message) {
  if (!session.initiates()) return lifecycle_.end_by_violation(now, session);
  JumpState& jumping = session.initiator->jumping;
  SpareBinding* const spare = assigned_spare(session, at);
  const bool asked =
      spare != nullptr && jumping.jump && message.nonce >= jumping.jump->first_nonce &&
      message.nonce >= jumping.jump->nonce_after_reject && message.nonce <= jumping.nonce;
  if (!asked) {  // or it answers a request sent before the latest reject
    ++context_.counters.control_stale;
    return;
  }
  const Reason reason = reason_from_number(message.reason).value_or(Reason::kNone);
  const auto detail = static_cast<Detail>(message.detail);
  const Path to = *spare->path;
  reporter_.emit_rejected(now, session, {reason, detail}, to);
  if (session.binding.ahead) bindings_.withdraw_tx(session);
  learn_from_reject(now, session, message, *spare);
  if (reason != Reason::kPolicyDeny) return;
  lifecycle_.note_gate(session, detail, true);
  reporter_.emit_switch_denied(now, session, detail, to);
  if (jumping.wish) {  // not now: whoever wanted it may ask again
    jumping.wish.reset();
    jumping.jump.reset();
  }
  if (session.state() == State::kRecovering) {
    lifecycle_.transition(now, session, {Trigger::kRequestDenied, detail});
  }
}

/// The present version and clock, whether the spare is void, and when to ask again.
void Jumper::learn_from_reject(Millis now, Session& session, const wire::ReattachReject& message,
                               SpareBinding& spare) {
  JumpState& jumping = session.initiator->jumping;
  Jump& jump = *jumping.jump;
  const Reason reason = reason_from_number(message.reason).value_or(Reason::kNone);
  const auto detail = static_cast<Detail>(message.detail);
  const BindingVersion told{message.binding_version};
  const bool news = told != jumping.told_version || detail == Detail::kStaleTime;
  jumping.told_version = std::max(told, session.binding_version());
  jumping.clock_ahead = message.clock_ms - now.value;
  if (reason == Reason::kFreshnessInvalid && news) {
    jump.next_send = now;
    jump.nonce_after_reject = jumping.nonce + 1;
  }
  if (detail == Detail::kStaleVersion && !news) {  // then it is the spare that is void
    spare.status = SpareStatus::kReturned;
    jump.next_send = now;
  }
  session.current->learn_spares(message.spares);
  if (message.retry_after_ms != 0) {
    jump.next_send = std::max(jump.next_send, now + Millis{message.retry_after_ms});
    jump.gives_up = std::max(jump.gives_up, jump.next_send + kLeastRepeat);
  }
}

}  // namespace jvpn::jump
