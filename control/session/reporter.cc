#include "control/session/reporter.h"

#include <algorithm>

namespace jvpn::session {
namespace {

/// A bound of the policy, not an event, brought it about.
bool is_limit(Reason reason) {
  return reason == Reason::kRecoveryBoundsExceeded || reason == Reason::kEnterDegradedMode ||
         reason == Reason::kTtlSessionExpired || reason == Reason::kTtlTransportLossExpired ||
         reason == Reason::kKeyLifetimeExceeded;
}

/// The security event that goes with the outcome of a request.
Reason security_reason(Reason outcome) {
  switch (outcome) {
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

Reporter::Reporter(Context& context)
    : context_(context), budgets_(context.config.policy.observability.security_events_per_s) {}

void Reporter::policy_changed(Millis now) {
  budgets_.set_rate(now, context_.config.policy.observability.security_events_per_s);
}

Event Reporter::event_of(Millis now, EventKind kind, PeerId peer, const SessionId& kept) const {
  Event event;
  event.at = now;
  event.kind = kind;
  event.session = kept;
  event.peer = peer;
  event.end = SessionEnd::kResponder;
  event.policy_version = context_.config.policy.version;
  return event;
}

Event Reporter::event_of(Millis now, EventKind kind, const Session& session) const {
  Event event;
  event.kind = kind;
  event.at = now;
  event.session = session.id;
  event.peer = session.peer;
  event.end = session.initiates() ? SessionEnd::kInitiator : SessionEnd::kResponder;
  event.policy_version = context_.config.policy.version;
  event.state_version = session.record().version;
  event.to_path = session.path;
  return event;
}

void Reporter::emit_config(Millis now, Reason reason) {
  Event event;
  event.kind = EventKind::kConfigEvent;
  event.at = now;
  event.policy_version = context_.config.policy.version;
  event.reason = reason;
  context_.effects.emit(event);
}

void Reporter::emit_refused_trigger(Millis now, const Session& session,
                                    const SessionEvent& refused) {
  ++context_.counters.transitions_refused;
  Event event = event_of(now, EventKind::kAuditEvent, session);
  event.reason = Reason::kAuditTransitionRefused;
  if (!within_budget(now, event)) return;
  event.detail = refused.detail;
  event.check = to_string(refused.trigger);
  event.result = to_string(session.state());
  context_.effects.emit(event);
}

void Reporter::emit_rows(Millis now, const Session& session, const SessionRecord& before,
                         const SessionEvent& event, const Step& taken) {
  const Policy& policy = context_.policy_of(session);
  Fired fired;
  for (const AppliedRow& row : taken.rows()) {
    Event change = event_of(now, EventKind::kStateChange, session);
    change.reason = row.reason;
    change.detail = row.detail;
    change.from = row.from;
    change.to = row.to;
    change.state_version = row.version;
    change.fired = fired = fired_by(before, row, event, policy, now);
    if (row.to == State::kTerminated) {
      change.lifetime_ms = age_of(before, now).value;
      change.switches = session.binding.switches;
    }
    context_.effects.emit(change);
  }
  if (is_limit(taken.reason) || taken.detail == Detail::kSwitchRate) {
    Event audit = event_of(now, EventKind::kAuditEvent, session);
    audit.reason = Reason::kAuditPolicyLimitTriggered;
    audit.check = to_string(taken.reason);
    audit.fired = fired;
    context_.effects.emit(audit);
  }
  const auto left = std::ranges::find(taken.rows(), State::kRecovering, &AppliedRow::from);
  if (left != taken.rows().end()) emit_timeline(now, session, before);
}

void Reporter::emit_timeline(Millis now, const Session& session, const SessionRecord& before) {
  const RecoveryLog& log = session.recovery;
  Event audit = event_of(now, EventKind::kAuditEvent, session);
  audit.reason = Reason::kAuditRecoveryTimeline;
  audit.detail = log.gate;
  const bool planned = before.state != State::kRecovering;  // in and out in one step
  const Millis began = planned ? (log.attempts == 0 ? now : log.began) : before.entered;
  audit.duration_ms = (now - began).value;
  const Policy& policy = context_.policy_of(session);
  audit.attempts = std::max<uint64_t>(log.attempts, recovery_attempts(before, policy, now));
  audit.denied = log.denied;
  context_.effects.emit(audit);
}

void Reporter::emit_security(Millis now, Reason reason, Detail detail, PeerId peer,
                             const SessionId& id, const Path& from) {
  Event event;
  event.kind = EventKind::kSecurityEvent;
  event.at = now;
  event.session = id;
  event.peer = peer;
  event.policy_version = context_.config.policy.version;
  event.reason = reason;
  event.detail = detail;
  event.to_path = from;
  // Who owns a session is told whenever it is in doubt.
  if (reason == Reason::kSecOwnershipAnomaly || within_budget(now, event))
    context_.effects.emit(event);
}

/// Notes how many like it were left out before. False: this one is, too.
bool Reporter::within_budget(Millis now, Event& event) {
  const std::optional<uint64_t> suppressed = budgets_.take(now, event.kind, event.reason);
  if (!suppressed) return false;
  if (*suppressed != 0) event.suppressed = suppressed;
  return true;
}

void Reporter::emit_ownership(Millis now, const Session& session, Reason reason, Detail detail,
                              std::pair<uint64_t, uint64_t> epochs) {
  Event event = event_of(now, EventKind::kOwnershipChange, session);
  event.reason = reason;
  event.detail = detail;
  event.from_epoch = epochs.first;
  event.to_epoch = epochs.second;
  context_.effects.emit(event);
}

void Reporter::emit_refused_claim(Millis now, PeerId peer, const SessionId& claimed,
                                  const Finding& finding, const Path& from) {
  ++context_.counters.resumes_refused;
  Event event = event_of(now, EventKind::kReattach, peer, claimed);
  event.reason = finding.reason;
  event.detail = finding.detail;
  event.to_path = from;
  event.result = "reject";
  event.check = finding.check;
  const bool not_known =
      finding.reason == Reason::kSessionNotFound || finding.reason == Reason::kSessionExpired;
  const bool silent = finding.detail == Detail::kStoreUnavailable;  // nobody else owns it for that
  const Reason security = not_known || silent ? Reason::kNone : security_reason(finding.reason);
  if (security != Reason::kNone) emit_security(now, security, finding.detail, peer, claimed, from);
  if (!within_budget(now, event)) return;
  context_.effects.emit(event);
  if (!finding.fired) return;
  event.kind = EventKind::kAuditEvent;
  event.reason = Reason::kAuditPolicyLimitTriggered;
  event.result = nullptr;
  event.fired = finding.fired;
  event.suppressed.reset();
  context_.effects.emit(event);
}

void Reporter::emit_ended(Millis now, PeerId peer, const SessionId& id, StateVersion version,
                          Reason reason, Millis lived) {
  Event event = event_of(now, EventKind::kStateChange, peer, id);
  event.reason = reason;
  event.detail = Detail::kResumed;
  event.from = State::kRecovering;
  event.to = State::kTerminated;
  event.state_version = version;
  event.lifetime_ms = lived.value;
  context_.counters.totals.count_end(reason);
  event.switches = 0;
  context_.effects.emit(event);
  for (const Reason owed : {Reason::kAuditPolicyLimitTriggered, Reason::kAuditRecoveryTimeline}) {
    if (owed == Reason::kAuditPolicyLimitTriggered && reason == Reason::kPolicyTermination)
      continue;
    event.kind = EventKind::kAuditEvent;
    event.reason = owed;
    event.detail = Detail::kNone;
    event.check = owed == Reason::kAuditPolicyLimitTriggered ? to_string(reason) : nullptr;
    event.lifetime_ms = event.switches = std::nullopt;
    context_.effects.emit(event);
  }
}

void Reporter::emit_rekeyed(Millis now, const Session& session) {
  Event event = event_of(now, EventKind::kKeyEvent, session);
  event.reason = Reason::kKeysRenewed;
  event.detail = Detail::kRekeyed;
  context_.effects.emit(event);
}

void Reporter::emit_keys_lost(Millis now, const Session& session) {
  Event event = event_of(now, EventKind::kKeyEvent, session);
  event.reason = Reason::kKeysLost;
  context_.effects.emit(event);
}

void Reporter::emit_accepted(Millis now, const Session& session, const Path& from) {
  context_.effects.emit(reattach_event(now, session, {}, from, "accept"));
}

void Reporter::emit_rejected(Millis now, const Session& session, const Finding& finding,
                             const Path& from) {
  context_.effects.emit(reattach_event(now, session, finding, from, "reject"));
}

Event Reporter::reattach_event(Millis now, const Session& session, const Finding& finding,
                               const Path& from, const char* result) const {
  Event event = event_of(now, EventKind::kReattach, session);
  event.reason = finding.reason;
  event.detail = finding.detail;
  event.to_path = from;
  event.result = result;
  event.check = finding.check;
  return event;
}

void Reporter::emit_refused_request(Millis now, const Session& session, const Finding& finding,
                                    const Path& from) {
  ++context_.counters.reattach_refused;
  const Reason security = security_reason(finding.reason);
  if (security != Reason::kNone) {
    emit_security(now, security, finding.detail, session.peer, session.id, from);
  }
  // Those before the rate check come as often as the peer likes.
  const bool bounded =
      finding.reason == Reason::kPolicyDeny || finding.reason == Reason::kOwnershipConflict;
  Event event = reattach_event(now, session, finding, from, "reject");
  if (!bounded && !within_budget(now, event)) return;
  context_.effects.emit(event);
  if (finding.fired) emit_limit(now, session, finding);
}

void Reporter::emit_limit(Millis now, const Session& session, const Finding& finding) {
  Event audit = event_of(now, EventKind::kAuditEvent, session);
  audit.reason = Reason::kAuditPolicyLimitTriggered;
  audit.detail = finding.detail;
  audit.check = finding.check;
  audit.fired = finding.fired;
  context_.effects.emit(audit);
}

void Reporter::emit_unanswered(Millis now, const Session& session, const Path& to) {
  const Finding silence{Reason::kReattachTimeout, Detail::kNone};
  context_.effects.emit(reattach_event(now, session, silence, to, "timeout"));
}

void Reporter::emit_switch_denied(Millis now, const Session& session, Detail detail,
                                  const Path& to) {
  Event denied = event_of(now, EventKind::kTransportSwitch, session);
  denied.reason = Reason::kTransportSwitchDenied;
  denied.detail = detail;
  denied.from_path = session.path;
  denied.to_path = to;
  context_.effects.emit(denied);
}

void Reporter::emit_switch(Millis now, const Session& session,
                           const std::optional<Path>& old_path) {
  Event event = event_of(now, EventKind::kTransportSwitch, session);
  event.reason = Reason::kTransportSwitchOk;
  event.from_path = old_path;
  event.cause = to_string(session.binding.cause);
  context_.counters.totals.count_jump(session.binding.cause);
  if (session.recovery.attempts != 0) event.latency_ms = (now - session.recovery.began).value;
  context_.effects.emit(event);
}

void Reporter::emit_invariants(Millis now, const Session& session, const InvariantFindings& found) {
  emit_invariant(now, session, Reason::kAuditInvariantOkSingleActive, "single_active",
                 found.single_active);
  emit_invariant(now, session, Reason::kAuditInvariantOkNoReset, "no_reset", found.no_reset);
}

void Reporter::emit_invariant(Millis now, const Session& session, Reason holds, const char* check,
                              Detail broken) {
  Event audit = event_of(now, EventKind::kAuditEvent, session);
  const bool ok = broken == Detail::kNone;
  audit.reason = ok ? holds : Reason::kAuditInvariantViolated;
  audit.detail = broken;
  audit.check = check;
  audit.result = ok ? "ok" : "violated";
  context_.effects.emit(audit);
}

const char* to_string(wire::ReattachCause cause) {
  switch (cause) {
    case wire::ReattachCause::kDead:
      return "dead";
    case wire::ReattachCause::kPlanned:
      return "planned";
    case wire::ReattachCause::kQuality:
      return "quality";
    case wire::ReattachCause::kFailback:
      return "failback";
    case wire::ReattachCause::kRebind:
      return "rebind";
    case wire::ReattachCause::kResume:
      return "resume";
  }
  return "unknown";
}

}  // namespace jvpn::session
