// Every byte of JVP/1 on the wire (docs/PROTOCOL.md draws them): control messages here, all else in
// common/wire_handshake.h. All integers little-endian.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/wire_handshake.h"

namespace jvpn::wire {

#pragma pack(push, 1)

enum class ControlType : uint8_t {
  kHeartbeat = 1,
  kHeartbeatAck = 2,
  kQualityReport = 3,
  kIdle = 4,
  kTransportDead = 5,
  kPathProbe = 6,
  kPathChallenge = 7,
  kPathResponse = 8,
  kReattachRequest = 9,
  kReattachChallenge = 10,
  kReattachResponse = 11,
  kReattachAck = 12,
  kReattachReject = 13,
  kNewIndices = 14,
  kRekeyInitiation = 15,
  kRekeyResponse = 16,
  kPolicyHint = 17,
  kTerminate = 18,
  kMtuProbe = 19,
  kMtuAck = 20,
};

/// First bytes of every control plaintext.
struct ControlHeader {
  uint8_t version;
  ControlType type;
  uint8_t flags;  ///< kCritical: a receiver that doesn't know the type ends the session
  uint8_t reserved;
  uint32_t reserved2;
};
inline constexpr uint8_t kCritical = 1;

struct Heartbeat {
  ControlHeader header;
  uint64_t clock_us;         ///< sender's CLOCK_BOOTTIME, echoed by the answer
  uint64_t binding_version;  ///< as the sender knows it
};

struct HeartbeatAck {
  ControlHeader header;
  uint64_t echo_us;   ///< clock_us of the heartbeat answered
  uint64_t clock_us;  ///< answerer's CLOCK_BOOTTIME
  uint64_t binding_version;
};

/// How the sender's direction does, seen from the receiver's end of it.
struct QualityReport {
  ControlHeader header;
  uint64_t binding_version;  ///< of the binding it speaks of
  uint32_t loss_ppm;         ///< lost of the latest window's packets, in millionths
  uint32_t reserved;
};

/// Initiator: how often it will give a sign of life from now on. Responder: how often is enough;
/// until this answer comes, nothing changes.
struct Idle {
  ControlHeader header;
  uint64_t binding_version;
  uint32_t interval_ms;  ///< 0: awake
  uint32_t reserved;
};

/// The bound transport is gone; travels over another path, under that path's index, in either
/// direction.
struct TransportDead {
  ControlHeader header;
  uint64_t binding_version;  ///< of the binding that died; any other is stale
};

/// Indices that one end receives on, each for one path that isn't in use yet; 0: none. They belong
/// to the key generation under which the message comes. The lanes of number n begin at n × lanes.
struct SpareIndices {
  uint32_t index[kSpareIndices];
  uint16_t number[kSpareIndices];
  ResetToken token[kSpareIndices];  ///< of the responder's; the initiator gives none
};

/// Responder: all its unused spares. Initiator: asks for them, and gives those listed back.
struct NewIndices {
  ControlHeader header;
  SpareIndices spares;
};

/// Validates and measures a standby path, under its spare index. Zero bytes up to the tunnel's MTU
/// follow each of the three, so that a path that can't carry its packets doesn't pass.
struct PathProbe {
  ControlHeader header;
  uint64_t nonce;
  uint64_t clock_us;  ///< echoed
  uint32_t receiver;  ///< initiator's index for this path
  uint16_t lanes;
  uint16_t reserved;
  uint8_t padding[16];  ///< no answer to an unproven address is longer
};

struct PathChallenge {
  ControlHeader header;
  uint64_t nonce;    ///< the probe's
  uint64_t echo_us;  ///< the probe's
  uint8_t token[16];
};

struct PathResponse {
  ControlHeader header;
  uint64_t nonce;
  uint8_t token[16];
  uint32_t receiver;  ///< the probe's
  uint32_t reserved;
};

enum class ReattachCause : uint8_t {
  kDead = 1,
  kPlanned = 2,
  kQuality = 3,
  kFailback = 4,  ///< to a preferred path that has been stable for long enough
  kRebind = 5,    ///< same path, but a NAT on it has changed
  kResume = 6,    ///< by a fresh handshake; no request has it
};

/// From the candidate path, under that path's spare index.
struct ReattachRequest {
  ControlHeader header;
  std::array<uint8_t, 16> session_id;
  uint64_t nonce;            ///< strictly rising in a session, each repetition's too
  uint64_t clock_ms;         ///< responder's clock, as the initiator knows it
  uint64_t binding_version;  ///< of the binding to be replaced
  uint32_t receiver;         ///< index that the initiator will receive on, on this path
  uint16_t lanes;            ///< as announced in the handshake
  uint8_t retire_active;     ///< 1: the initiator gives the old binding up at the commit
  ReattachCause cause;
  uint8_t padding[80];  ///< no answer to an unproven address is longer
};

/// Field of ReattachRequest: indices of the responder's under which the initiator holds packets,
/// u32 each, kHeldIndices at most. The commit closes them.
inline constexpr uint16_t kHeldField = 1;
/// Field of ReattachRequest and ReattachAck: what came under indices of the sender's that are
/// closed, each a ReportedIndex and its lanes (common/lane_report.h).
inline constexpr uint16_t kReceivedField = 2;

struct ReportedIndex {
  uint32_t index;
  uint8_t lanes;  ///< that follow; on others nothing was received
  uint8_t flags;
  uint16_t reserved;
};
/// Flag: there was no room for the other lanes. What came on them isn't told.
inline constexpr uint8_t kLanesLeftOut = 1;

struct ReportedLane {
  uint16_t lane;
  uint8_t words;  ///< of holes that follow, u64 each: bit i of all is the sequence next − 1 − i
  uint8_t reserved;
  uint64_t next;  ///< above the highest sequence received
};

/// To the observed source of the request.
struct ReattachChallenge {
  ControlHeader header;
  uint64_t nonce;  ///< the request's
  uint8_t token[16];
};

/// From the same address as the request.
struct ReattachResponse {
  ControlHeader header;
  uint64_t nonce;
  uint8_t token[16];
};

struct ReattachAck {
  ControlHeader header;
  uint64_t nonce;
  uint64_t binding_version;  ///< the new one
  uint64_t clock_ms;
  uint32_t sender;  ///< responder's index of the new binding: the one the request came on
  uint32_t reserved;
  SpareIndices spares;
};
static_assert(sizeof(ReattachAck) <= sizeof(ReattachRequest));

/// To a requester that has shown the session's key; nobody else is told anything.
struct ReattachReject {
  ControlHeader header;
  uint64_t nonce;
  uint16_t reason;  ///< as in Terminate
  uint16_t detail;
  uint32_t retry_after_ms;   ///< 0: whenever the reason allows
  uint64_t binding_version;  ///< the current one
  uint64_t clock_ms;
  SpareIndices spares;  ///< an acknowledgement that was missed may have voided the others
};
static_assert(sizeof(ReattachReject) <= sizeof(ReattachRequest));

enum class Hint : uint8_t {
  kRebind = 1,   ///< your packets come from another address than your binding's
  kQuality = 2,  ///< this path is bad in our direction
  kDrain = 3,    ///< this path goes away soon
  kLeave = 4,    ///< this gateway goes away soon: go on at another one of its cluster
  kSilent = 5,  ///< nothing comes on your binding's path, and probes of it go unanswered: see to it
};

/// The responder can't dial: it asks for a jump, or to be left.
struct PolicyHint {
  ControlHeader header;
  uint64_t binding_version;
  Hint hint;
  uint8_t reserved[3];
};

struct RekeyPayload {
  uint8_t version;
  uint8_t suite;
  uint16_t lanes;
  uint32_t reserved;
  uint64_t number;  ///< of the call, strictly rising in a session
};

struct RekeyInitiation {
  ControlHeader header;
  uint32_t sender;  ///< index for the new generation on the current binding
  uint8_t noise[kNoiseMessage1Overhead + sizeof(RekeyPayload)];
};

struct RekeyResponsePayload {
  uint8_t version;
  uint8_t suite;
  uint16_t lanes;
  uint32_t reserved;
  uint64_t clock_ms;
  ResetToken reset_token;  ///< of the message's sender
  SpareIndices spares;     ///< of the new generation
};

struct RekeyResponse {
  ControlHeader header;
  uint32_t sender;
  uint32_t receiver;  ///< sender of the initiation answered
  uint8_t noise[kNoiseMessage2Overhead + sizeof(RekeyResponsePayload)];
};

/// Is answered when the path carries it (RFC 8899). Zero bytes follow, up to the size probed.
struct MtuProbe {
  ControlHeader header;
  uint64_t nonce;
  uint32_t receiver;  ///< initiator's index on the path
  uint16_t path_mtu;  ///< largest inner packet that the session's paths take; 0: not known yet
  uint16_t reserved;
};

/// As long as the probe.
struct MtuAck {
  ControlHeader header;
  uint64_t nonce;  ///< the probe's
};

struct Terminate {
  ControlHeader header;
  uint16_t reason;  ///< wire number of the sender's Reason (common/reason.h order is stable)
  uint16_t detail;
  uint32_t reserved;
};

static_assert(sizeof(Reset) <= kTransportOverhead + sizeof(ControlHeader),
              "a reset is no longer than what it answers");

#pragma pack(pop)

/// Of messages that aren't padded.
inline constexpr size_t kMaxControlPlaintext = 512;
/// Of those that are, probes: a jumbo frame's worth.
inline constexpr size_t kMaxPaddedPlaintext = 9'216;

}  // namespace jvpn::wire
