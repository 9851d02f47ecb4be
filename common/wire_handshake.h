// What JVP/1 sends before there are keys, and the header of what comes after: common/wire.h goes on
// from here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/aead.h"
#include "common/noise.h"

namespace jvpn::wire {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "wire structs are read in place");

inline constexpr uint16_t kDefaultPort = 51'900;
inline constexpr std::string_view kPrologue = "JVP/1";             ///< of a handshake
inline constexpr std::string_view kRekeyPrologue = "JVP/1 rekey";  ///< of a rekey
inline constexpr uint8_t kVersion = 1;

enum class MessageType : uint8_t {
  kInitiation = 1,
  kResponse = 2,
  kCookieReply = 3,
  kData = 4,
  kControl = 5,
  kRetry = 6,
  kReset = 7,
  kInquiry = 8,
  kReadiness = 9,
};

inline constexpr unsigned kLaneShift = 48;  ///< counter = lane (16) ‖ sequence (48)
inline constexpr uint64_t kSequenceMask = (uint64_t{1} << kLaneShift) - 1;

constexpr uint64_t make_counter(LaneId lane, uint64_t sequence) {
  return (uint64_t{lane.value} << kLaneShift) | sequence;
}
constexpr LaneId lane_of(uint64_t counter) {
  return LaneId{static_cast<uint16_t>(counter >> kLaneShift)};
}
constexpr uint64_t sequence_of(uint64_t counter) {
  return counter & kSequenceMask;
}

#pragma pack(push, 1)

/// First 4 bytes of every message.
struct Preamble {
  MessageType type;
  uint8_t reserved[3];  ///< zero, or the message is dropped
};

/// Data and control: header, ciphertext, 16-byte tag. Receiver and counter enter the AEAD as its
/// nonce, XORed with the key's IV.
struct TransportHeader {
  MessageType type;
  uint8_t reserved[3];
  uint32_t receiver;
  uint64_t counter;
};
inline constexpr size_t kTransportOverhead = sizeof(TransportHeader) + kAeadTagBytes;
static_assert(offsetof(TransportHeader, receiver) + kAeadNonceBytes == sizeof(TransportHeader));

/// Head of a field behind a message's fixed part; its value follows. Type 0 without a value ends
/// the list: the rest is padding.
struct Field {
  uint16_t type;
  uint16_t bytes;
};
/// Bit of a field's type: who doesn't know the type must refuse the message.
inline constexpr uint16_t kCriticalField = 0x8000;

/// TAI64N (external TAI64 label of D. J. Bernstein), big-endian as there; compared as bytes.
using Timestamp = std::array<uint8_t, 12>;

/// Proves that an initiation was made after a retry.
using Freshness = std::array<uint8_t, 16>;

/// Shows who lost a session that the index was the responder's own: the responder told it when it
/// gave the index out.
using ResetToken = std::array<uint8_t, 16>;

/// Encrypted part of an initiation, fixed size. The room for fields makes the initiation at least
/// as long as any answer to it.
struct InitiationPayload {
  uint8_t version;
  uint8_t suite;   ///< repeats the clear field, under the handshake's protection
  uint16_t lanes;  ///< lanes the initiator will send on, numbered from 0
  uint32_t reserved;
  Timestamp timestamp;  ///< strictly rising per peer, unless the clock ran backwards
  Freshness freshness;  ///< of the latest retry; zero: none came
  uint8_t fields[220];
};

/// Field of an initiation, not critical: the initiator has a session and would go on with it under
/// the keys of this handshake. Who can't do that answers with a new session.
inline constexpr uint16_t kResumeField = 1;
struct ResumeClaim {
  std::array<uint8_t, 16> session_id;
  uint64_t binding_version;  ///< as the initiator knows it
  uint64_t nonce;            ///< above those of all requests and claims before
};

/// Or an inquiry, which asks whether the gateway would take the session, and makes nothing.
struct Initiation {
  MessageType type;
  uint8_t reserved[3];
  uint32_t sender;  ///< index that the initiator will receive on
  uint8_t suite;    ///< chooses the Noise cipher: AESGCM for both AES suites, else ChaChaPoly
  uint8_t reserved2[7];
  uint8_t noise[kNoiseMessage1Overhead + sizeof(InitiationPayload)];
  uint8_t mac1[16];
  uint8_t mac2[16];
};

/// An inner interface address given to the initiator; family 0 ends the list.
struct InnerAddress {
  uint8_t family;  ///< 4 or 6
  uint8_t prefix_length;
  uint8_t reserved[2];
  uint8_t address[16];
};
inline constexpr size_t kMaxInnerAddresses = 4;

/// The responder's policy as far as the initiator must follow it; spans in milliseconds.
struct PolicySnapshot {
  uint32_t version;
  uint32_t max_lifetime;
  uint32_t transport_loss_ttl;
  uint32_t idle_max;
  uint32_t heartbeat_interval;
  uint32_t heartbeat_volatile;
  uint32_t transport_dead;
  uint32_t stability_window;
  uint32_t max_switches_per_min;
  uint32_t switch_cooldown;
  uint32_t max_recovery_window;
  uint32_t max_recovery_attempts;
  uint32_t recovery_attempt;
  uint32_t drain;
  uint32_t max_candidate_count;
  uint32_t candidate_validation_ttl;
};

inline constexpr size_t kSpareIndices = 4;

/// Flag of a response: the responder holds what it sends. A request from a dead path tells it what
/// came.
inline constexpr uint16_t kResponderHolds = 1;

struct ResponsePayload {
  uint8_t version;
  uint8_t suite;
  uint16_t lanes;  ///< lanes the responder will send on, numbered from 0
  uint16_t mtu;    ///< largest inner packet that the responder sends and takes
  uint16_t flags;  ///< those that aren't known are ignored
  std::array<uint8_t, 16> session_id;
  uint64_t binding_version;
  uint64_t clock_ms;  ///< responder's CLOCK_BOOTTIME
  InnerAddress addresses[kMaxInnerAddresses];
  PolicySnapshot policy;
  uint32_t spare_indices[kSpareIndices];  ///< for paths to come, numbers 1 to 4; 0: none
  ResetToken reset_token;                 ///< of the response's sender
  ResetToken spare_tokens[kSpareIndices];
};

/// Fields may follow the payload's fixed part, inside the Noise message; no answer is longer than
/// an initiation.
struct Response {
  MessageType type;
  uint8_t reserved[3];
  uint32_t sender;    ///< index that the responder will receive on
  uint32_t receiver;  ///< the initiation's sender
  uint8_t noise[kNoiseMessage2Overhead + sizeof(ResponsePayload)];
  uint8_t mac1[16];
  uint8_t mac2[16];
};
static_assert(sizeof(Response) <= sizeof(Initiation), "no answer outgrows its question");

/// Cookie reply or retry: what the next initiation has to bring along, a cookie or a Freshness.
struct SealedReply {
  MessageType type;
  uint8_t reserved[3];
  uint32_t receiver;  ///< sender of the message answered
  uint8_t nonce[24];
  uint8_t value[16];  ///< ChaCha20-Poly1305 under BLAKE2s(key ‖ nonce), AAD = mac1 answered
  uint8_t tag[16];
};
static_assert(sizeof(SealedReply) <= sizeof(Initiation));

/// Whether a gateway takes sessions.
enum class Availability : uint8_t {
  kTakesSessions = 1,
  kDraining = 2,
  kStoreUnavailable = 3,  ///< it can't prove what it owns
};

/// What a readiness says, for the initiation that may follow.
struct ReadinessValue {
  Availability availability;
  uint8_t reserved;
  uint16_t ask_again_s;  ///< the next inquiry by this path, at the earliest
  uint32_t reserved2;
  std::array<uint8_t, 16> cookie;  ///< of the inquiry's source
  Freshness freshness;             ///< as a retry would bring it
};

/// Answers an inquiry.
struct Readiness {
  MessageType type;
  uint8_t reserved[3];
  uint32_t receiver;  ///< sender of the inquiry
  uint8_t nonce[24];
  uint8_t value[sizeof(ReadinessValue)];  ///< sealed as a SealedReply's
  uint8_t tag[16];
};
static_assert(sizeof(Readiness) <= sizeof(Initiation), "no answer outgrows its question");

/// Answers data or control that names an index which nobody has; never anything else, so no two
/// nodes go on answering each other.
struct Reset {
  MessageType type;
  uint8_t reserved[3];
  uint32_t receiver;   ///< as the message answered named it
  ResetToken token;    ///< of that index, had it been given out now,
  ResetToken earlier;  ///< or in the period before
};

#pragma pack(pop)

static_assert(sizeof(TransportHeader) == 16);
static_assert(sizeof(Preamble) == 4);

}  // namespace jvpn::wire
