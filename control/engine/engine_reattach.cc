// The responder's side of a jump. A request, from the candidate path and on its spare index:
//   1. checks in their order, first failure wins    2. challenge to the observed source
//   3. response from that same address    4. policy again, then a compare-and-set on
//   binding_version through Ownership    5. state machine    6. publish    7. acknowledgement
// Until 5 the old binding carries everything. Whatever fails leaves counters and events only.
#include <algorithm>

#include "common/secret.h"
#include "control/engine/engine_impl.h"

namespace jvpn::engine {
namespace {

constexpr Millis kRebindHintEvery{1'000};

// The security event that goes with an outcome.
Reason security_reason(const Finding& finding) {
  switch (finding.reason) {
    case Reason::kReplayDetected:
      return Reason::kSecReplayAttempt;
    case Reason::kSessionNotFound:
    case Reason::kSessionExpired:
    case Reason::kAuthFail:
      return Reason::kSecSessionFixationAttempt;
    case Reason::kOwnershipConflict:
      return Reason::kSecOwnershipAnomaly;
    case Reason::kRateLimited:
      return Reason::kSecAbuseControlPlane;
    default:
      return Reason::kNone;
  }
}

}  // namespace

/// The peer knows before we do that the bound path is gone.
void SessionEngine::Impl::on_transport_dead(Millis now, Session& session,
                                            const wire::TransportDead& message) {
  const bool current = message.binding_version == session.record.binding_version.value;
  if (!current || !session.record.has_transport) {
    ++counters.control_stale;
    return;
  }
  if (lose_bound(now, session) && session.initiator) serve_jump(now, session);
}

void SessionEngine::Impl::interface_lost(Millis now, uint16_t interface) {
  for (uint32_t i = 0; i < peers.size(); ++i) {
    Session* session = peers[i].session.get();
    const bool bound =
        session != nullptr && session->record.has_transport && session->path.interface == interface;
    if (!bound) continue;
    if (session->initiator) {
      const Path path = session->path;
      path_lost(now, PeerId{i}, path);
      continue;
    }
    tell_dead(now, *session);
    drive(now, *session, {Trigger::kTransportDead});
    rearm(PeerId{i});
  }
}

/// Responder: the initiator can't see that our end of its path is gone. It hears of it where it has
/// lately shown that it is.
void SessionEngine::Impl::tell_dead(Millis now, Session& session) {
  if (!session.reattach) return;
  for (const ValidatedPath& seen : session.reattach->validated) {
    const auto& spares = session.current->spares;
    const bool usable = now < seen.until && seen.from.interface != session.path.interface &&
                        std::ranges::find(spares, seen.index, &SpareBinding::local) != spares.end();
    if (!usable) continue;
    wire::TransportDead message{};
    message.header = control_header(wire::ControlType::kTransportDead);
    message.binding_version = session.record.binding_version.value;
    send_along(session, *session.current, {seen.index, seen.receiver, seen.from}, message);
  }
}

void SessionEngine::Impl::source_changed(Millis now, const Path& from, ReceiverIndex index) {
  const Keyed at = find(index);
  if (at.session == nullptr || at.spare != nullptr) return;
  if (at.generation == at.session->current.get()) hint_rebind(now, *at.session, from);
}

/// Responder: authentic packets under the active index come from elsewhere than its binding says: a
/// NAT has changed. Sending stays as it is; that source is asked to reattach.
void SessionEngine::Impl::hint_rebind(Millis now, Session& session, const Path& from) {
  const bool elsewhere =
      from.remote != session.path.remote || from.interface != session.path.interface;
  const bool may = !session.initiator && session.record.has_transport && elsewhere &&
                   peer_of(session).session.get() == &session;
  if (!may || now < session.rebind_hinted_at + kRebindHintEvery) return;
  session.rebind_hinted_at = now;
  send_hint(session, from, wire::Hint::kRebind);
}

void SessionEngine::Impl::on_reattach_request(Millis now, Session& session, const Arrival& at,
                                              const wire::ReattachRequest& message) {
  if (session.initiator) return violation(now, session);
  ++counters.reattach_requests;
  if (&at.generation != session.current.get()) {
    ++counters.control_stale;  // keys changed since; it'll come again under the new ones
    return;
  }
  memory_of(now, session);
  // The acknowledgement was lost: the binding is the one asked for, nothing more is to be done.
  const bool repeats =
      at.index == at.generation.local && session.reattach->replaced != BindingVersion{} &&
      (message.binding_version == session.reattach->replaced.value ||
       message.binding_version == session.record.binding_version.value) &&
      message.receiver == at.generation.remote.value && session.record.has_transport;
  if (repeats) return send_ack(now, session, message.nonce);

  const Finding finding = judge_request(now, session, at, message);
  if (!finding.ok()) return refuse_request(now, session, at, message, finding);
  const bool retries = session.record.state == State::kDegraded &&
                       !has_living_transport(session.record, policy_of(session), now);
  if (retries && !drive(now, session, {Trigger::kSwitchRequested})) return;
  if (!is_warm(now, session, at)) return challenge(now, session, at, message);
  const auto spare = std::ranges::find(at.generation.spares, at.index, &SpareBinding::local);
  session.reattach->outstanding = OutstandingChallenge{.from = at.from,
                                                       .number = spare->number,
                                                       .receiver = ReceiverIndex{message.receiver},
                                                       .first_nonce = message.nonce,
                                                       .latest_nonce = message.nonce,
                                                       .retires = message.retire_active != 0,
                                                       .until = kNever,
                                                       .cause = message.cause};
  begin_commit(now, session);
}

bool SessionEngine::Impl::remembers_ended(const SessionId& id) const {
  return std::ranges::find(tombstones, id, &Tombstone::id) != tombstones.end();
}

/// All checks but the last two, which the response and the commit make. The tag and the counter
/// were judged before: nothing else gets here.
Finding SessionEngine::Impl::judge_request(Millis now, Session& session, const Arrival& at,
                                           const wire::ReattachRequest& message) {
  const SessionId named{message.session_id};
  if (named != session.id) {
    if (remembers_ended(named)) return {Reason::kSessionExpired, Detail::kNone, "expired"};
    return {Reason::kSessionNotFound, Detail::kNone, "exists"};
  }
  ReattachMemory& memory = *session.reattach;
  const Policy& policy = policy_of(session);
  Finding finding = judge_freshness(message, memory.latest_nonce, policy, now);
  if (!finding.ok()) return finding;
  memory.latest_nonce = message.nonce;
  if (!memory.rate.take(now)) return {Reason::kRateLimited, Detail::kNone, "rate", 1'000};
  finding = judge_version(BindingVersion{message.binding_version}, session.record);
  if (!finding.ok()) return finding;
  if (!ownership().authoritative(session.id)) {
    return {Reason::kOwnershipConflict, Detail::kNone, "ownership"};
  }
  finding = judge_policy(message.retire_active != 0, session.record, policy, now);
  if (!finding.ok()) return finding;
  const auto spare = std::ranges::find(at.generation.spares, at.index, &SpareBinding::local);
  if (spare == at.generation.spares.end() || spare->number <= at.generation.binding) {
    // Void since a commit whose acknowledgement was missed: another spare will do.
    return {Reason::kFreshnessInvalid, Detail::kStaleVersion, "candidate"};
  }
  if (message.lanes != at.generation.peer_lanes || message.receiver == 0) {
    return {Reason::kPolicyDeny, Detail::kCandidateRefused, "candidate"};
  }
  return {};
}

/// One challenge is outstanding for a session; a repeated request is part of it, another takes its
/// place.
void SessionEngine::Impl::challenge(Millis now, Session& session, const Arrival& at,
                                    const wire::ReattachRequest& message) {
  const auto spare = std::ranges::find(at.generation.spares, at.index, &SpareBinding::local);
  std::optional<OutstandingChallenge>& outstanding = session.reattach->outstanding;
  const ReceiverIndex receiver{message.receiver};
  const bool same = outstanding && outstanding->from == at.from &&
                    outstanding->number == spare->number && outstanding->receiver == receiver;
  if (!same) {
    outstanding = OutstandingChallenge{.from = at.from,
                                       .number = spare->number,
                                       .receiver = receiver,
                                       .first_nonce = message.nonce};
  }
  outstanding->latest_nonce = message.nonce;
  outstanding->until = now + policy_of(session).security.reattach_proof_max_age;
  outstanding->retires = message.retire_active != 0;
  outstanding->cause = message.cause;
  wire::ReattachChallenge answer{};
  answer.header = control_header(wire::ControlType::kReattachChallenge);
  answer.nonce = message.nonce;
  const Mac token = token_of(
      mac, path_secret,
      {session.id, at.from.remote, message.nonce, session.record.binding_version, at.index});
  std::ranges::copy(token, answer.token);
  send_along(session, at.generation, {at.index, receiver, at.from}, answer);
}

void SessionEngine::Impl::refuse_request(Millis now, Session& session, const Arrival& at,
                                         const wire::ReattachRequest& message,
                                         const Finding& finding) {
  const PeerId id = session.peer;
  tell_refusal(now, session, finding, at.from);
  send_reject(now, session, at, message.nonce, ReceiverIndex{message.receiver}, finding);
  if (finding.reason != Reason::kPolicyDeny) return;
  if (finding.detail == Detail::kSwitchRate) {
    Event denied = event_of(now, EventKind::kTransportSwitch, session);
    denied.reason = Reason::kTransportSwitchDenied;
    denied.detail = finding.detail;
    denied.from_path = session.path;
    denied.to_path = at.from;
    host.emit(denied);
    if (session.record.state != State::kDegraded) {
      drive(now, session, {Trigger::kSwitchRateExceeded, finding.detail});
    }
  } else if (session.record.state == State::kRecovering) {
    drive(now, session, {Trigger::kRequestDenied, finding.detail});
  }
  rearm(id);
}

void SessionEngine::Impl::tell_refusal(Millis now, const Session& session, const Finding& finding,
                                       const Path& from) {
  ++counters.reattach_refused;
  const Reason security = security_reason(finding);
  if (security != Reason::kNone) {
    emit_security(now, security, finding.detail, session.peer, session.id, from);
  }
  // Those before the rate check come as often as the peer likes.
  const bool bounded =
      finding.reason == Reason::kPolicyDeny || finding.reason == Reason::kOwnershipConflict;
  if (!bounded && !security_events.take(now)) return;
  Event event = reattach_event(now, session, finding.reason, finding.detail, from);
  event.result = "reject";
  event.check = finding.check;
  host.emit(event);
  if (finding.detail != Detail::kCooldown && finding.detail != Detail::kSwitchRate) return;
  Event audit = event_of(now, EventKind::kAuditEvent, session);
  audit.reason = Reason::kAuditPolicyLimitTriggered;
  audit.detail = finding.detail;
  audit.check = finding.check;
  host.emit(audit);
}

Event SessionEngine::Impl::reattach_event(Millis now, const Session& session, Reason reason,
                                          Detail detail, const Path& from) const {
  Event event = event_of(now, EventKind::kReattach, session);
  event.reason = reason;
  event.detail = detail;
  event.to_path = from;
  return event;
}

void SessionEngine::Impl::send_reject(Millis now, Session& session, const Arrival& at,
                                      uint64_t nonce, ReceiverIndex receiver,
                                      const Finding& finding) {
  if (receiver == ReceiverIndex{}) return;
  wire::ReattachReject answer{};
  answer.header = control_header(wire::ControlType::kReattachReject);
  answer.nonce = nonce;
  answer.reason = static_cast<uint16_t>(finding.reason);
  answer.detail = static_cast<uint16_t>(finding.detail);
  answer.retry_after_ms = finding.retry_after_ms;
  answer.binding_version = session.record.binding_version.value;
  answer.clock_ms = now.value;
  answer.spares = list_spares(at.generation.spares, at.generation.binding);
  send_along(session, at.generation, {at.index, receiver, at.from}, answer);
}

void SessionEngine::Impl::on_reattach_response(Millis now, Session& session, const Arrival& at,
                                               const wire::ReattachResponse& message) {
  if (session.initiator) return violation(now, session);
  const auto spare = std::ranges::find(at.generation.spares, at.index, &SpareBinding::local);
  const bool asked = session.reattach && session.reattach->outstanding &&
                     &at.generation == session.current.get() && spare != at.generation.spares.end();
  if (!asked) {
    ++counters.control_stale;  // committed since, or another request took its place
    return;
  }
  const OutstandingChallenge request = *session.reattach->outstanding;
  const bool current = spare->number == request.number && message.nonce >= request.first_nonce &&
                       message.nonce <= request.latest_nonce && now < request.until;
  if (!current) {
    ++counters.control_stale;
    return;
  }
  const Mac token = token_of(
      mac, path_secret,
      {session.id, at.from.remote, message.nonce, session.record.binding_version, at.index});
  if (at.from != request.from || !equal_constant_time(token, message.token)) {
    return tell_refusal(now, session, {Reason::kAuthFail, Detail::kNone, "path_validation"},
                        at.from);
  }
  // Time has passed since the request: what policy allowed then it may not allow now.
  const Finding finding = judge_policy(request.retires, session.record, policy_of(session), now);
  if (!finding.ok()) {
    session.reattach->outstanding.reset();
    tell_refusal(now, session, finding, at.from);
    return send_reject(now, session, at, message.nonce, request.receiver, finding);
  }
  begin_commit(now, session);
}

/// Asks the store. It may answer from within, later, or not before the session has ended.
void SessionEngine::Impl::begin_commit(Millis now, Session& session) {
  const uint64_t ticket = ++commits_begun;
  const PeerId id = session.peer;
  session.commit_pending = ticket;
  ownership().commit(
      now, session.id, session.record.binding_version, version_after_commit(session.record),
      [this, id, ticket, watch = std::weak_ptr<int>(alive)](Millis then, OwnershipAnswer answer) {
        if (watch.expired()) return;
        end_commit(then, id, ticket, answer);
      });
}

void SessionEngine::Impl::end_commit(Millis now, PeerId id, uint64_t ticket,
                                     OwnershipAnswer answer) {
  Session* session = peers[id.value].session.get();
  if (session == nullptr || session->commit_pending != ticket) return;
  session->commit_pending = 0;
  std::vector<WaitingMessage> waiting = std::move(session->waiting);
  session->waiting.clear();
  const OutstandingChallenge request = *session->reattach->outstanding;
  session->reattach->outstanding.reset();
  if (answer == OwnershipAnswer::kCommitted) {
    apply_commit(now, *session, request);
  } else {
    const bool conflict = answer == OwnershipAnswer::kConflict;
    const Finding finding{Reason::kOwnershipConflict,
                          conflict ? Detail::kVersionConflict : Detail::kStoreUnavailable,
                          "commit"};
    tell_refusal(now, *session, finding, request.from);
    const auto& spares = session->current->spares;
    const auto spare = std::ranges::find(spares, request.number, &SpareBinding::number);
    if (spare != spares.end()) {
      send_reject(now, *session, {request.from, *session->current, spare->local},
                  request.latest_nonce, request.receiver, finding);
    }
    if (conflict && !ownership().authoritative(session->id)) return lose_session(now, *session);
  }
  for (const WaitingMessage& each : waiting) {
    on_control(now, each.from, each.index, each.counter, each.plaintext);
  }
  rearm(id);
}

/// Somebody else owns it: it is forgotten here without a transition, nothing more is sent, and only
/// the owner ends it.
void SessionEngine::Impl::lose_session(Millis now, Session& session) {
  const PeerId id = session.peer;
  PeerState& peer = peer_of(session);
  emit_security(now, Reason::kSecOwnershipAnomaly, Detail::kOwnershipLost, id, session.id,
                session.path);
  withdraw_tx(session);
  const std::unique_ptr<Session> lost = std::move(peer.session);
  release_keys(now, peer, *lost, false);
  rearm(id);
}

void SessionEngine::Impl::apply_commit(Millis now, Session& session,
                                       const OutstandingChallenge& request) {
  const Path old_path = session.path;
  const BindingVersion replaced = session.record.binding_version;
  SessionEvent event{Trigger::kReattachCommitted};
  event.planned = request.retires;
  if (!drive(now, session, event)) return;
  if (session.record.binding_version == replaced) return;  // the state machine had the last word
  KeyGeneration& generation = *session.current;
  std::ranges::find(generation.spares, request.number, &SpareBinding::number)->remote =
      request.receiver;
  session.cause = request.cause;
  rebind(now, session, request.number, request.from);
  top_up_spares(session, generation);
  session.reattach->replaced = replaced;
  session.reattach->committed_nonce = request.latest_nonce;
  ++counters.reattach_commits;
  Event accepted =
      reattach_event(now, session, Reason::kReattachAccept, Detail::kNone, request.from);
  accepted.result = "accept";
  host.emit(accepted);
  tell_switch(now, session, old_path);
  send_ack(now, session, request.latest_nonce);
}

void SessionEngine::Impl::send_ack(Millis now, Session& session, uint64_t nonce) {
  wire::ReattachAck ack{};
  ack.header = control_header(wire::ControlType::kReattachAck);
  ack.nonce = nonce;
  ack.binding_version = session.record.binding_version.value;
  ack.clock_ms = now.value;
  ack.sender = session.current->local.value;
  ack.spares = list_spares(session.current->spares, session.current->binding);
  send_control(session, *session.current, ack);
}

void SessionEngine::Impl::send_hint(Session& session, const Path& to, wire::Hint hint) {
  wire::PolicyHint message{};
  message.header = control_header(wire::ControlType::kPolicyHint);
  message.binding_version = session.record.binding_version.value;
  message.hint = hint;
  send_along(session, *session.current, {session.current->local, session.current->remote, to},
             message);
}

}  // namespace jvpn::engine
