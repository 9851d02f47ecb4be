#include "control/jump/reattach_responder.h"

#include <algorithm>
#include <utility>

#include "common/assert.h"
#include "common/secret.h"

namespace jvpn::jump {
namespace {

constexpr Millis kDoubtEvery{1'000};
constexpr Millis kLeastAnswerWait{20};
constexpr uint64_t kLeastSpreadUs = 5'000;    // the clock's grain, and what ends take now and then
constexpr Millis kUnmeasuredAnswerWait{100};  // while no round trip was measured

/// The request's path is the bound one: what differs is the source that it is seen from.
bool is_rebind(const Session& session, const Path& from, wire::ReattachCause cause) {
  return cause == wire::ReattachCause::kRebind && from.interface == session.path.interface &&
         from.local == session.path.local;
}

/// By when a source that is there has answered, as RFC 6298 counts it.
Millis patience_of(const Session& session) {
  const RttMeter& rtt = session.quality.path.rtt;
  if (!rtt.rtt_us()) return kUnmeasuredAnswerWait;
  const uint64_t spread_us = 4 * uint64_t{rtt.jitter_us().value_or(*rtt.rtt_us() / 2)};
  const uint64_t answer_us = *rtt.rtt_us() + std::max(spread_us, kLeastSpreadUs);
  return std::max(kLeastAnswerWait, Millis{answer_us / 1'000 + 1});
}

}  // namespace

// ---- Requests.

void ReattachResponder::on_request(Millis now, Session& session, const Arrival& at,
                                   const wire::ReattachRequest& message,
                                   std::span<const uint8_t> fields) {
  if (session.initiates()) return lifecycle_.end_by_violation(now, session);
  ++context_.counters.reattach_requests;
  if (&at.generation != session.current.get()) {
    ++context_.counters.control_stale;  // keys changed since; it'll come again under the new ones
    return;
  }
  ReattachMemory& memory = reattach_memory(now, context_, session);
  if (repeats_committed(session, at, message)) {
    if (!ClosedLanes::answers_soon(now, session)) send_ack(now, session, message.nonce);
    return;
  }

  // An outage may end with all that was sent meanwhile, in a bunch or in another order: neither is
  // abuse, and the first of them are answered.
  const bool overtaken = message.nonce < memory.nonces.highest();
  const ReplayVerdict nonce =
      message.nonce == 0 ? ReplayVerdict::kDuplicate : memory.nonces.accept(message.nonce);
  if (overtaken && nonce == ReplayVerdict::kFresh) {
    ++context_.counters.control_stale;
    return;
  }
  const bool paced = memory.pace.take(Millis{message.clock_ms});
  std::optional<HoldWord> hold = hold_word(fields);
  if (!hold) return lifecycle_.end_by_violation(now, session);
  const Finding finding = check(now, session, at, message, nonce);
  if (finding.reason == Reason::kRateLimited && paced) {
    ++context_.counters.reattach_bunched;
    return;
  }
  if (!finding.ok()) {
    lifecycle_.note_attempt(now, session);
    return refuse(now, session, at, message, finding);
  }
  const bool retries = session.state() == State::kDegraded &&
                       !has_living_transport(session.record(), context_.policy_of(session), now);
  if (retries && !lifecycle_.transition(now, session, {Trigger::kSwitchRequested})) return;
  lifecycle_.note_attempt(now, session);
  if (!PathValidator::is_warm(now, session, at))
    return challenge(now, session, at, message, *std::move(hold));
  const SpareBinding* const spare = at.generation.spares.at_index(at.index);
  JVPN_ASSERT(spare != nullptr, "the checks found the spare");
  memory.outstanding = OutstandingChallenge{.from = at.from,
                                            .number = spare->number,
                                            .receiver = ReceiverIndex{message.receiver},
                                            .first_nonce = message.nonce,
                                            .latest_nonce = message.nonce,
                                            .retires = message.retire_active != 0,
                                            .until = kNever,
                                            .cause = message.cause,
                                            .hold = *std::move(hold)};
  begin_commit(now, session);
}

/// The acknowledgement was lost: the binding is the one asked for, nothing more is to be done.
bool ReattachResponder::repeats_committed(const Session& session, const Arrival& at,
                                          const wire::ReattachRequest& message) {
  const BindingVersion replaced = session.responder->reattach->replaced;
  const bool ours = message.binding_version == replaced.value ||
                    message.binding_version == session.binding_version().value;
  return at.index == at.generation.local && replaced != BindingVersion{} && ours &&
         message.receiver == at.generation.remote.value && session.has_transport();
}

/// All checks but the last two, which the response and the commit make. The tag and the counter
/// were judged before: nothing else gets here.
Finding ReattachResponder::check(Millis now, Session& session, const Arrival& at,
                                 const wire::ReattachRequest& message, ReplayVerdict nonce) {
  const SessionId named{message.session_id};
  if (named != session.id) {
    const bool ended = context_.table.remembers(named);
    if (ended) return {Reason::kSessionExpired, Detail::kNone, "expired"};
    return {Reason::kSessionNotFound, Detail::kNone, "exists"};
  }
  ReattachMemory& memory = *session.responder->reattach;
  const Policy& policy = context_.policy_of(session);
  Finding finding = judge_freshness(message, nonce, policy, now);
  if (!finding.ok()) return finding;
  if (!memory.rate.take(now)) return {Reason::kRateLimited, Detail::kNone, "rate", 1'000};
  finding = judge_version(BindingVersion{message.binding_version}, session.record());
  if (!finding.ok()) return finding;
  if (!context_.store.may_commit(session)) {
    return {Reason::kOwnershipConflict, Detail::kNone, "ownership"};
  }
  const bool rebind = is_rebind(session, at.from, message.cause);
  finding = judge_policy({message.retire_active != 0, rebind}, session.record(), policy, now);
  if (finding.ok()) finding = check_candidate(at, message);
  return finding.ok() ? check_room(session) : finding;
}

/// Sets memory aside for the commit, which nothing can stop any more once the store has agreed.
Finding ReattachResponder::check_room(const Session& session) {
  if (bindings_.reserve_tx(session.peer)) return {};
  return {Reason::kPolicyDeny, Detail::kNoRoom, "room", 1'000};
}

Finding ReattachResponder::check_candidate(const Arrival& at,
                                           const wire::ReattachRequest& message) const {
  const SpareBinding* const spare = at.generation.spares.at_index(at.index);
  if (spare == nullptr || spare->status != SpareStatus::kOffered) {
    // Void since a commit whose acknowledgement was missed: another spare will do.
    return {Reason::kFreshnessInvalid, Detail::kStaleVersion, "candidate"};
  }
  if (message.lanes != at.generation.peer_lanes || message.receiver == 0) {
    return {Reason::kPolicyDeny, Detail::kCandidateRefused, "candidate"};
  }
  return {};
}

Mac ReattachResponder::token(const Session& session, const Arrival& at, uint64_t nonce) {
  return token_of(context_.mac, secret_,
                  {session.id, at.from.remote, nonce, session.binding_version(), at.index});
}

/// One challenge is outstanding for a session; a repeated request is part of it, another takes its
/// place.
void ReattachResponder::challenge(Millis now, Session& session, const Arrival& at,
                                  const wire::ReattachRequest& message, HoldWord hold) {
  const uint16_t number = at.generation.spares.at_index(at.index)->number;
  std::optional<OutstandingChallenge>& outstanding = session.responder->reattach->outstanding;
  const ReceiverIndex receiver{message.receiver};
  const bool same = outstanding && outstanding->from == at.from && outstanding->number == number &&
                    outstanding->receiver == receiver;
  if (!same) {
    outstanding = OutstandingChallenge{
        .from = at.from, .number = number, .receiver = receiver, .first_nonce = message.nonce};
  }
  outstanding->latest_nonce = message.nonce;
  outstanding->until = now + context_.policy_of(session).security.reattach_proof_max_age;
  outstanding->retires = message.retire_active != 0;
  outstanding->cause = message.cause;
  outstanding->hold = std::move(hold);
  auto answer = control_message<wire::ReattachChallenge>(wire::ControlType::kReattachChallenge);
  answer.nonce = message.nonce;
  std::ranges::copy(token(session, at, message.nonce), answer.token);
  channel_.send_along(session, at.generation, {at.index, receiver, at.from}, answer);
}

void ReattachResponder::refuse(Millis now, Session& session, const Arrival& at,
                               const wire::ReattachRequest& message, const Finding& finding) {
  reporter_.emit_refused_request(now, session, finding, at.from);
  send_reject(now, session, at, message.nonce, ReceiverIndex{message.receiver}, finding);
  if (finding.reason != Reason::kPolicyDeny) return;
  lifecycle_.note_gate(session, finding.detail, true);
  if (finding.detail == Detail::kSwitchRate) {
    reporter_.emit_switch_denied(now, session, finding.detail, at.from);
    if (session.state() == State::kDegraded) return;
    lifecycle_.transition(now, session, {Trigger::kSwitchRateExceeded, finding.detail});
  } else if (session.state() == State::kRecovering) {
    lifecycle_.transition(now, session, {Trigger::kRequestDenied, finding.detail});
  }
}

void ReattachResponder::send_reject(Millis now, const Session& session, const Arrival& at,
                                    uint64_t nonce, ReceiverIndex receiver,
                                    const Finding& finding) {
  if (receiver == ReceiverIndex{}) return;
  auto answer = control_message<wire::ReattachReject>(wire::ControlType::kReattachReject);
  answer.nonce = nonce;
  answer.reason = static_cast<uint16_t>(finding.reason);
  answer.detail = static_cast<uint16_t>(finding.detail);
  answer.retry_after_ms = finding.retry_after_ms;
  answer.binding_version = session.binding_version().value;
  answer.clock_ms = now.value;
  answer.spares = at.generation.spares.offered();
  channel_.send_along(session, at.generation, {at.index, receiver, at.from}, answer);
}

// ---- Responses and the commit.

void ReattachResponder::on_response(Millis now, Session& session, const Arrival& at,
                                    const wire::ReattachResponse& message) {
  if (session.initiates()) return lifecycle_.end_by_violation(now, session);
  const SpareBinding* const spare = at.generation.spares.at_index(at.index);
  ReattachMemory* const memory = session.responder->reattach.get();
  const bool asked = memory != nullptr && memory->outstanding && spare != nullptr;
  if (!asked) {
    ++context_.counters.control_stale;  // committed since, or another request took its place
    return;
  }
  const OutstandingChallenge request = *memory->outstanding;
  const bool current = spare->number == request.number && message.nonce >= request.first_nonce &&
                       message.nonce <= request.latest_nonce && now < request.until;
  if (!current) {
    ++context_.counters.control_stale;
    return;
  }
  const Mac expected = token(session, at, message.nonce);
  if (at.from != request.from || !equal_constant_time(expected, message.token)) {
    return reporter_.emit_refused_request(
        now, session, {Reason::kAuthFail, Detail::kNone, "path_validation"}, at.from);
  }
  // Time has passed since the request: what policy allowed then it may not allow now.
  const bool rebind = is_rebind(session, request.from, request.cause);
  Finding finding =
      judge_policy({request.retires, rebind}, session.record(), context_.policy_of(session), now);
  if (finding.ok()) finding = check_room(session);
  if (!finding.ok()) {
    memory->outstanding.reset();
    lifecycle_.note_gate(session, finding.detail, true);
    reporter_.emit_refused_request(now, session, finding, at.from);
    return send_reject(now, session, at, message.nonce, request.receiver, finding);
  }
  begin_commit(now, session);
}

/// Asks the store. It may answer at once, later, or not before the session has ended.
void ReattachResponder::begin_commit(Millis now, Session& session) {
  session.responder->commit_pending =
      context_.store.commit(now, session, version_after_commit(session.record()));
}

std::vector<WaitingMessage> ReattachResponder::end_commit(Millis now, const OwnershipReply& reply) {
  Session* const session = context_.table.peer(reply.peer).session.get();
  const bool ours = session != nullptr && !session->initiates() && session->id == reply.session &&
                    session->responder->commit_pending == reply.ticket;
  if (!ours) return {};
  session->responder->commit_pending = 0;
  std::vector<WaitingMessage> waiting = std::move(session->responder->waiting);
  session->responder->waiting.clear();
  std::optional<OutstandingChallenge>& outstanding = session->responder->reattach->outstanding;
  JVPN_ASSERT(outstanding, "a commit is of a request");
  OutstandingChallenge request = *std::exchange(outstanding, std::nullopt);
  const bool still_ours = context_.store.reconcile(*session, reply);
  if (reply.answer == OwnershipAnswer::kCommitted) {
    commit(now, *session, request);
    return waiting;
  }
  refuse_commit(now, *session, request, reply.answer);
  if (still_ours) return waiting;
  lifecycle_.forget(now, *session, reply.found ? reply.found->epoch : 0);
  return {};
}

void ReattachResponder::refuse_commit(Millis now, Session& session,
                                      const OutstandingChallenge& request, OwnershipAnswer answer) {
  const bool silent = answer == OwnershipAnswer::kUnavailable;
  const Finding finding{Reason::kOwnershipConflict,
                        silent ? Detail::kStoreUnavailable : Detail::kVersionConflict, "commit"};
  reporter_.emit_refused_request(now, session, finding, request.from);
  const SpareBinding* const spare = session.current->spares.numbered(request.number);
  if (spare == nullptr) return;
  send_reject(now, session, {request.from, *session.current, spare->local}, request.latest_nonce,
              request.receiver, finding);
}

void ReattachResponder::commit(Millis now, Session& session, OutstandingChallenge& request) {
  const Path old_path = session.path;
  const BindingVersion replaced = session.binding_version();
  SessionEvent event{Trigger::kReattachCommitted};
  event.planned = request.retires;
  event.rebind = is_rebind(session, request.from, request.cause);
  if (!lifecycle_.transition(now, session, event)) return;
  if (session.binding_version() == replaced) return;  // the state machine refused it
  SpareBinding* const spare = session.current->spares.numbered(request.number);
  JVPN_ASSERT(spare != nullptr, "a spare stays while its request is pending");
  spare->remote = request.receiver;
  session.binding.cause = request.cause;
  settle_own_hold(context_, session, request.hold);
  lifecycle_.rebind(now, session, request.number, request.from);
  bindings_.top_up_spares(session, *session.current);
  session.responder->reattach->replaced = replaced;
  session.responder->reattach->committed_nonce = request.latest_nonce;
  ++context_.counters.reattach_commits;
  reporter_.emit_accepted(now, session, request.from);
  lifecycle_.report_switch(now, session, old_path);
  if (!closed_.close(now, session, request.hold.held)) send_ack(now, session, request.latest_nonce);
}

void ReattachResponder::on_lanes_closed(Millis now, Session& session, const LaneReport& report) {
  if (!closed_.take(session, report) || !session.has_transport()) return;
  send_ack(now, session, session.responder->reattach->committed_nonce);
}

void ReattachResponder::send_ack(Millis now, const Session& session, uint64_t nonce) {
  auto ack = control_message<wire::ReattachAck>(wire::ControlType::kReattachAck);
  ack.nonce = nonce;
  ack.binding_version = session.binding_version().value;
  ack.clock_ms = now.value;
  ack.sender = session.current->local.value;
  ack.spares = session.current->spares.offered();
  KeyGeneration& keys = *session.current;
  channel_.send_along(session, keys, {keys.local, keys.remote, session.path}, ack,
                      ClosedLanes::fields(session));
}

// ---- What the initiator can't see.

void ReattachResponder::send_transport_dead(Millis now, const Session& session) {
  auto message = control_message<wire::TransportDead>(wire::ControlType::kTransportDead);
  message.binding_version = session.binding_version().value;
  send_to_validated(now, session, message,
                    [&](const Path& seen) { return seen.interface != session.path.interface; });
}

void ReattachResponder::send_silent(Millis now, const Session& session) {
  channel_.send_hint(session, session.path, wire::Hint::kSilent);
  auto message = control_message<wire::PolicyHint>(wire::ControlType::kPolicyHint);
  message.binding_version = session.binding_version().value;
  message.hint = wire::Hint::kSilent;
  send_to_validated(now, session, message, [&](const Path& seen) { return seen != session.path; });
}

template <typename Message, typename Usable>
void ReattachResponder::send_to_validated(Millis now, const Session& session,
                                          const Message& message, Usable usable) {
  if (!session.responder->reattach) return;
  for (const ValidatedPath& seen : session.responder->reattach->validated) {
    const bool known = now < seen.until && usable(seen.from) &&
                       session.current->spares.at_index(seen.index) != nullptr;
    if (!known) continue;
    channel_.send_along(session, *session.current, {seen.index, seen.receiver, seen.from}, message);
  }
}

void ReattachResponder::on_other_source(Millis now, Session& session, const Path& from) {
  const bool attached = context_.table.peer_of(session).session.get() == &session;
  if (session.initiates() || !session.has_transport() || !attached) return;
  std::optional<SourceDoubt>& doubt = session.responder->doubt;
  const bool elsewhere =
      from.remote != session.path.remote || from.interface != session.path.interface;
  if (!elsewhere) return;
  const Millis allowed =
      switch_rate_allows(session.record(), context_.policy_of(session), SwitchKind::kRebind);
  if (doubt || now < std::max(session.responder->next_doubt, allowed)) return;
  doubt = SourceDoubt{from, now + patience_of(session)};
  session.responder->next_doubt = now + kDoubtEvery;
  liveness_.send_heartbeat(now, session);
}

void ReattachResponder::on_bound_message(Millis now, Session& session, const Path& from,
                                         size_t bytes) {
  if (session.initiates()) return;
  if (from.remote == session.path.remote && from.interface == session.path.interface) {
    session.responder->doubt.reset();
  } else if (bytes >= sizeof(wire::PolicyHint)) {  // the answer must not be larger than the packet
    on_other_source(now, session, from);
  }
}

Millis ReattachResponder::due(const Session& session) const {
  const bool doubts = !session.initiates() && session.has_transport() && session.responder->doubt;
  return doubts ? session.responder->doubt->until : kNever;
}

bool ReattachResponder::serve(Millis now, Session& session) {
  if (now < due(session)) return true;
  channel_.send_hint(session, session.responder->doubt->from, wire::Hint::kRebind);
  session.responder->doubt.reset();
  return true;
}

void ReattachResponder::on_rebound(Millis, Session& session, const Path&) {
  if (session.initiates()) return;
  session.responder->doubt.reset();
  session.responder->next_doubt = Millis{};  // rebinds have a budget of their own
}

}  // namespace jvpn::jump
