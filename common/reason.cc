#include "common/reason.h"

#include <algorithm>
#include <array>

namespace jvpn {
namespace {

constexpr std::array kReasonTexts = {
    ReasonText{Reason::kHandshakeOk, "HANDSHAKE_OK", "keys are confirmed, the session is up"},
    ReasonText{Reason::kHandshakeFail, "HANDSHAKE_FAIL",
               "no session came of the handshake: bad proof, policy, or no answer in time"},
    ReasonText{Reason::kVolatilitySignal, "VOLATILITY_SIGNAL",
               "loss, latency, jitter or heartbeats crossed the policy's threshold"},
    ReasonText{Reason::kQualityFloorViolation, "QUALITY_FLOOR_VIOLATION",
               "packets still arrive, but fewer than the policy's floor asks for"},
    ReasonText{Reason::kHealthRecovered, "HEALTH_RECOVERED",
               "the path stayed within bounds for the whole stability window"},
    ReasonText{Reason::kRecoveryStart, "RECOVERY_START",
               "the path is dead or too poor; looking for another one"},
    ReasonText{Reason::kTransportSwitchOk, "TRANSPORT_SWITCH_OK",
               "the session jumped: a new path carries it"},
    ReasonText{Reason::kTransportSwitchDenied, "TRANSPORT_SWITCH_DENIED",
               "a jump was asked for, and a limit of the policy forbade it"},
    ReasonText{Reason::kRecoveryRetry, "RECOVERY_RETRY",
               "out of degraded mode for another try at recovery"},
    ReasonText{Reason::kRecoveryBoundsExceeded, "RECOVERY_BOUNDS_EXCEEDED",
               "recovery took more time or attempts than the policy grants"},
    ReasonText{Reason::kEnterDegradedMode, "ENTER_DEGRADED_MODE",
               "unstable for too long or too often; jumps are held back now"},
    ReasonText{Reason::kExitDegradedMode, "EXIT_DEGRADED_MODE",
               "stable again, degraded mode is over"},
    ReasonText{Reason::kTtlSessionExpired, "TTL_SESSION_EXPIRED",
               "the session reached its longest life"},
    ReasonText{Reason::kTtlTransportLossExpired, "TTL_TRANSPORT_LOSS_EXPIRED",
               "no path carried the session for longer than the policy waits"},
    ReasonText{Reason::kPolicyTermination, "POLICY_TERMINATION",
               "ended on purpose; the detail says by whom"},
    ReasonText{Reason::kFatalProtocolError, "FATAL_PROTOCOL_ERROR",
               "an impossible message or record; going on would be unsafe"},
    ReasonText{Reason::kKeyLifetimeExceeded, "KEY_LIFETIME_EXCEEDED",
               "the keys wore out before new ones were agreed"},

    ReasonText{Reason::kReattachAccept, "REATTACH_ACCEPT", "the new path is bound"},
    ReasonText{Reason::kAuthFail, "AUTH_FAIL", "the asker couldn't prove that it holds the keys"},
    ReasonText{Reason::kFreshnessInvalid, "FRESHNESS_INVALID",
               "the request is too old, or speaks of another binding than the current one"},
    ReasonText{Reason::kReplayDetected, "REPLAY_DETECTED", "this very request was seen before"},
    ReasonText{Reason::kOwnershipConflict, "OWNERSHIP_CONFLICT",
               "it isn't certain that this node owns the session"},
    ReasonText{Reason::kSessionNotFound, "SESSION_NOT_FOUND", "no such session here"},
    ReasonText{Reason::kSessionExpired, "SESSION_EXPIRED", "the session has ended"},
    ReasonText{Reason::kPolicyDeny, "POLICY_DENY",
               "a genuine request that the policy doesn't allow now"},
    ReasonText{Reason::kRateLimited, "RATE_LIMITED", "too many requests for this session"},
    ReasonText{Reason::kReattachTimeout, "REATTACH_TIMEOUT", "nobody answered on the new path"},

    ReasonText{Reason::kSecReplayAttempt, "SEC_REPLAY_ATTEMPT", "someone repeats old messages"},
    ReasonText{Reason::kSecSessionFixationAttempt, "SEC_SESSION_FIXATION_ATTEMPT",
               "someone claims a session without holding its keys"},
    ReasonText{Reason::kSecOwnershipAnomaly, "SEC_OWNERSHIP_ANOMALY",
               "who owns the session isn't what this node expected"},
    ReasonText{Reason::kSecAbuseControlPlane, "SEC_ABUSE_CONTROL_PLANE",
               "a flood of handshakes, requests or broken messages"},

    ReasonText{Reason::kAuditInvariantOkSingleActive, "AUDIT_INVARIANT_OK_SINGLE_ACTIVE",
               "checked: never more than one active binding"},
    ReasonText{Reason::kAuditInvariantOkNoReset, "AUDIT_INVARIANT_OK_NO_RESET",
               "checked: still the same session"},
    ReasonText{Reason::kAuditPolicyLimitTriggered, "AUDIT_POLICY_LIMIT_TRIGGERED",
               "a limit of the policy took effect"},
    ReasonText{Reason::kAuditRecoveryTimeline, "AUDIT_RECOVERY_TIMELINE",
               "how long the recovery took, in which steps"},
    ReasonText{Reason::kAuditTransitionRefused, "AUDIT_TRANSITION_REFUSED",
               "something happened that the session's state has no row for"},
    ReasonText{Reason::kEventsLost, "EVENTS_LOST",
               "so many events are missing here: the log's reader or disk was too slow"},
    ReasonText{Reason::kAuditInvariantViolated, "AUDIT_INVARIANT_VIOLATED",
               "what carries packets isn't what the session says: it is ended"},

    ReasonText{Reason::kSessionParked, "SESSION_PARKED",
               "the gateway stops; the session waits in the store to be resumed"},
    ReasonText{Reason::kSessionResumed, "SESSION_RESUMED",
               "a session that another run of a gateway had left goes on here"},
    ReasonText{Reason::kOwnershipProven, "OWNERSHIP_PROVEN",
               "the store proves that the sessions here are this gateway's: they are carried"},

    ReasonText{Reason::kConfigLoaded, "CONFIG_LOADED", "a valid policy took effect"},
    ReasonText{Reason::kConfigRefused, "CONFIG_REFUSED",
               "the policy was invalid: the one before goes on, new sessions are denied"},
    ReasonText{Reason::kDrainBegun, "DRAIN_BEGUN",
               "no session begins here, and those there are asked to go to other gateways"},
    ReasonText{Reason::kDrainDone, "DRAIN_DONE", "no session is left: the gateway may be stopped"},
    ReasonText{Reason::kDrainEnded, "DRAIN_ENDED", "the gateway takes sessions again"},

    ReasonText{Reason::kKeysRenewed, "KEYS_RENEWED", "new keys took over, the path is the same"},
    ReasonText{
        Reason::kKeysLost, "KEYS_LOST",
        "the peer has lost the session's keys, as it does when it starts again; dialling it"},

    ReasonText{
        Reason::kHealthRaised, "HEALTH_RAISED",
        "something of the gateway is wrong or exhausted; `check` says what, as `jvpn health`"},
    ReasonText{Reason::kHealthCleared, "HEALTH_CLEARED", "and now it no longer is"},
};

constexpr std::array kDetailTexts = {
    DetailText{Detail::kSuperseded, "superseded"},
    DetailText{Detail::kOperator, "operator"},
    DetailText{Detail::kPeerTerminate, "peer_terminate"},
    DetailText{Detail::kPolicyHardStop, "policy_hard_stop"},
    DetailText{Detail::kShutdown, "shutdown"},
    DetailText{Detail::kTakenOver, "taken_over"},
    DetailText{Detail::kAuthentication, "authentication"},
    DetailText{Detail::kPolicyRefused, "policy_refused"},
    DetailText{Detail::kTimeout, "timeout"},
    DetailText{Detail::kUnknownKey, "unknown_key"},
    DetailText{Detail::kNotConfirmed, "not_confirmed"},
    DetailText{Detail::kNoRoom, "no_room"},
    DetailText{Detail::kThrottled, "throttled"},
    DetailText{Detail::kUnknownField, "unknown_field"},
    DetailText{Detail::kSessionIdUsed, "session_id_used"},
    DetailText{Detail::kResetRefused, "reset_refused"},
    DetailText{Detail::kDraining, "draining"},
    DetailText{Detail::kStaleVersion, "stale_version"},
    DetailText{Detail::kFutureVersion, "future_version"},
    DetailText{Detail::kStaleTime, "stale_time"},
    DetailText{Detail::kDualActive, "dual_active"},
    DetailText{Detail::kCooldown, "cooldown"},
    DetailText{Detail::kSwitchRate, "switch_rate"},
    DetailText{Detail::kRecoveryWindow, "recovery_window"},
    DetailText{Detail::kCandidateRefused, "candidate_refused"},
    DetailText{Detail::kCorruptRecord, "corrupt_record"},
    DetailText{Detail::kImpossibleMessage, "impossible_message"},
    DetailText{Detail::kRekeyed, "rekeyed"},
    DetailText{Detail::kVersionConflict, "version_conflict"},
    DetailText{Detail::kStoreUnavailable, "store_unavailable"},
    DetailText{Detail::kOwnershipLost, "ownership_lost"},
    DetailText{Detail::kRecordTampered, "record_tampered"},
    DetailText{Detail::kHandedOver, "handed_over"},
    DetailText{Detail::kLoss, "loss"},
    DetailText{Detail::kLatency, "latency"},
    DetailText{Detail::kJitter, "jitter"},
    DetailText{Detail::kUnanswered, "unanswered"},
    DetailText{Detail::kSecondBinding, "second_binding"},
    DetailText{Detail::kStaleRecord, "stale_record"},
    DetailText{Detail::kIdentityChanged, "identity_changed"},
    DetailText{Detail::kResumed, "resumed"},
};

const ReasonText* find(Reason reason) {
  const auto* const found = std::ranges::find(kReasonTexts, reason, &ReasonText::reason);
  return found == kReasonTexts.end() ? nullptr : found;
}

}  // namespace

std::span<const ReasonText> all_reasons() {
  return kReasonTexts;
}

std::span<const DetailText> all_details() {
  return kDetailTexts;
}

const char* to_string(Reason reason) {
  if (reason == Reason::kNone) return "NONE";
  const ReasonText* const text = find(reason);
  return text == nullptr ? "UNKNOWN" : text->code;
}

std::optional<Reason> parse_reason(std::string_view text) {
  for (const ReasonText& known : kReasonTexts) {
    if (text == known.code) return known.reason;
  }
  return std::nullopt;
}

std::optional<Reason> reason_from_number(uint16_t number) {
  const ReasonText* const text = find(static_cast<Reason>(number));
  if (text == nullptr) return std::nullopt;
  return text->reason;
}

ReasonKind kind_of(Reason reason) {
  if (reason < Reason::kReattachAccept) return ReasonKind::kStateTransition;
  if (reason < Reason::kSecReplayAttempt) return ReasonKind::kReattachOutcome;
  if (reason < Reason::kAuditInvariantOkSingleActive) return ReasonKind::kSecurity;
  if (reason < Reason::kConfigLoaded) return ReasonKind::kAudit;
  if (reason < Reason::kKeysRenewed) return ReasonKind::kConfig;
  if (reason < Reason::kHealthRaised) return ReasonKind::kKeys;
  return ReasonKind::kHealth;
}

const char* meaning(Reason reason) {
  const ReasonText* const text = find(reason);
  return text == nullptr ? "no meaning known to this version" : text->meaning;
}

const char* to_string(Detail detail) {
  if (detail == Detail::kNone) return "";
  const auto* const found = std::ranges::find(kDetailTexts, detail, &DetailText::detail);
  return found == kDetailTexts.end() ? "unknown" : found->text;
}

}  // namespace jvpn
