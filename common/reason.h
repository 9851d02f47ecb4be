// Reason codes: why a session changed state, how a reattach ended, what a security or audit event
// says (docs/DESIGN.md, events). The numbers travel in TERMINATE and REATTACH_REJECT: never change
// or reuse one, add new ones at the end of their block.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace jvpn {

enum class Reason : uint16_t {
  kNone = 0,  ///< no reason: an empty record; never emitted, not in all_reasons

  // state transitions
  kHandshakeOk = 1,
  kHandshakeFail = 2,
  kVolatilitySignal = 3,
  kQualityFloorViolation = 4,
  kHealthRecovered = 5,
  kRecoveryStart = 6,
  kTransportSwitchOk = 7,
  kTransportSwitchDenied = 8,
  kRecoveryRetry = 9,
  kRecoveryBoundsExceeded = 10,
  kEnterDegradedMode = 11,
  kExitDegradedMode = 12,
  kTtlSessionExpired = 13,
  kTtlTransportLossExpired = 14,
  kPolicyTermination = 15,
  kFatalProtocolError = 16,
  kKeyLifetimeExceeded = 17,  ///< docs/DESIGN.md, handshake and keys

  // reattach outcomes
  kReattachAccept = 64,
  kAuthFail = 65,
  kFreshnessInvalid = 66,
  kReplayDetected = 67,
  kOwnershipConflict = 68,
  kSessionNotFound = 69,
  kSessionExpired = 70,
  kPolicyDeny = 71,
  kRateLimited = 72,
  kReattachTimeout = 73,  ///< added: the initiator's; nobody answered over that path

  // security events
  kSecReplayAttempt = 128,
  kSecSessionFixationAttempt = 129,
  kSecOwnershipAnomaly = 130,
  kSecAbuseControlPlane = 131,

  // audit events
  kAuditInvariantOkSingleActive = 192,
  kAuditInvariantOkNoReset = 193,
  kAuditPolicyLimitTriggered = 194,
  kAuditRecoveryTimeline = 195,
  kAuditTransitionRefused = 196,  ///< added: a trigger that no row of the state machine took
  kEventsLost = 197,              ///< added: a gap in this very log
  kAuditInvariantViolated = 198,  ///< added: an audit failed; `check` says which, `detail` how
  kSessionParked = 199,           ///< added: its gateway stops, the session waits in the store
  kSessionResumed = 200,          ///< added: this run goes on with it
  kOwnershipProven = 201,         ///< added: the store proves that what this run has is its own

  // configuration, added
  kConfigLoaded = 256,
  kConfigRefused = 257,
  kDrainBegun = 258,  ///< `jvpn drain`: no session begins, those there shall go elsewhere
  kDrainDone = 259,   ///< none is left
  kDrainEnded = 260,  ///< sessions are taken again

  // keys, added
  kKeysRenewed = 320,
  kKeysLost = 321,

  // a gateway's health, added
  kHealthRaised = 384,  ///< `check` names the flag
  kHealthCleared = 385,
};

struct ReasonText {
  Reason reason;
  const char* code;
  const char* meaning;  ///< one line for a person who reads `jvpn events` for the first time
};
/// Every reason, by number.
std::span<const ReasonText> all_reasons();

enum class ReasonKind : uint8_t {
  kStateTransition,
  kReattachOutcome,
  kSecurity,
  kAudit,
  kConfig,
  kKeys,
  kHealth
};

/// `HANDSHAKE_OK`; `NONE` for kNone, `UNKNOWN` for a number that is no reason.
const char* to_string(Reason reason);
/// The inverse, for all_reasons alone: nullopt for `NONE` and any other text.
std::optional<Reason> parse_reason(std::string_view text);
/// The reason of a number off the wire; nullopt when this version doesn't know it.
std::optional<Reason> reason_from_number(uint16_t number);

ReasonKind kind_of(Reason reason);
const char* meaning(Reason reason);

/// Narrows a reason that has several causes; written beside it as `detail`. Numbers are stable too.
enum class Detail : uint16_t {
  kNone = 0,

  // POLICY_TERMINATION
  kSuperseded = 1,      ///< a newer session of the same peer key took its place
  kOperator = 2,        ///< `jvpn terminate`
  kPeerTerminate = 3,   ///< the peer's authentic TERMINATE
  kPolicyHardStop = 4,  ///< the policy forbids the session from now on
  kShutdown = 5,        ///< this program ends
  kTakenOver = 6,       ///< the peer told that another holder of our key replaced us

  // HANDSHAKE_FAIL; kNotConfirmed, kSessionIdUsed, kResetRefused: SEC_ABUSE_CONTROL_PLANE
  kAuthentication = 16,
  kPolicyRefused = 17,
  kTimeout = 18,
  kUnknownKey = 19,    ///< no peer has the initiator's public key
  kNotConfirmed = 20,  ///< answered again and again: the preshared keys differ, or answers get lost
  kNoRoom = 21,        ///< no memory or no receiver index was left; of POLICY_DENY, too
  kThrottled = 22,     ///< more came than is admitted, or than control can take
  kUnknownField = 23,  ///< it has a critical field that this version doesn't know
  kSessionIdUsed = 24,  ///< the answer names a session that lives, or ended lately
  kResetRefused = 25,   ///< a reset without the token of the index that it names
  kDraining = 26,       ///< sessions shall go to other gateways

  // FRESHNESS_INVALID
  kStaleVersion = 32,   ///< binding_version lower than the current one
  kFutureVersion = 33,  ///< binding_version that was never told
  kStaleTime = 34,      ///< gateway time outside reattach_proof_max_age_ms

  // POLICY_DENY
  kDualActive = 48,  ///< a healthy binding exists and wasn't to be retired
  kCooldown = 49,
  kSwitchRate = 50,
  kRecoveryWindow = 51,
  kCandidateRefused = 52,

  // FATAL_PROTOCOL_ERROR
  kCorruptRecord = 64,
  kImpossibleMessage = 65,  ///< authentic, but contradicts the protocol

  // KEY_EVENT
  kRekeyed = 80,  ///< new keys took over; the binding is the same

  // OWNERSHIP_CONFLICT, SEC_OWNERSHIP_ANOMALY
  kVersionConflict = 96,   ///< the store holds another version than ours
  kStoreUnavailable = 97,  ///< it gave no answer to count on
  kOwnershipLost = 98,     ///< the session is somebody else's now
  kRecordTampered = 99,    ///< what the store has wasn't written by us
  kHandedOver = 100,  ///< another gateway of the cluster, to which its peer has come, asked for it

  // VOLATILITY_SIGNAL, QUALITY_FLOOR_VIOLATION
  kLoss = 112,
  kLatency = 113,
  kJitter = 114,

  // RECOVERY_START, RECOVERY_RETRY
  kUnanswered = 120,  ///< probes of the path went unanswered, while another path answered

  // AUDIT_INVARIANT_VIOLATED, and the FATAL_PROTOCOL_ERROR that follows
  kSecondBinding = 128,    ///< packets are taken under an index that the session doesn't have
  kStaleRecord = 129,      ///< what is published isn't the session's active binding
  kIdentityChanged = 130,  ///< the session isn't the one that was confirmed

  // TRANSPORT_SWITCH_OK, and the rows before it
  kResumed = 144,  ///< by a fresh handshake, which claimed the session
};

struct DetailText {
  Detail detail;
  const char* text;
};
/// Every detail, by number.
std::span<const DetailText> all_details();

/// `superseded`, `dual_active`, …; empty for kNone, `unknown` for a number that is no detail.
const char* to_string(Detail detail);

}  // namespace jvpn
