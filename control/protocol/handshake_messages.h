// Handshake and rekey messages: their bytes around the Noise messages, and nothing of what follows
// from them. MACs are apart (common/handshake_mac.h). Every parser is safe on any input.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "common/noise.h"
#include "common/types.h"
#include "common/wire.h"
#include "control/session/message_fields.h"
#include "control/session/vocabulary.h"

namespace jvpn::protocol {

/// This end's long-lived key pair.
struct Identity {
  SecretKey secret;
  PublicKey public_key{};
  StaticMemory memory{};
};

/// The suite of a wire number; nullopt for any other number.
std::optional<Suite> suite_of(uint8_t number);

/// The smallest timestamp after `latest` that isn't before `clock`: strictly rising whatever the
/// clock does.
wire::Timestamp next_timestamp(const wire::Timestamp& clock, const wire::Timestamp& latest);

/// An initiator's half of a handshake or rekey: who it is, whom it calls, and this attempt's fresh
/// parts.
struct Call {
  const Identity& self;
  const PublicKey& responder;
  Suite suite{};
  ReceiverIndex sender;
  uint16_t lanes = 1;
  const SecretKey& ephemeral;
};

/// What shows that an initiation is not an old one.
struct Proof {
  wire::Timestamp timestamp{};
  wire::Freshness freshness{};  ///< zero: no retry came
};

/// A responder's half after reading an initiation, in a handshake or a rekey.
struct RequestState {
  NoiseHandshake noise;
  Suite suite{};
  ReceiverIndex sender;
  uint16_t lanes = 1;
};
struct InitiationState : RequestState {
  Proof proof;
  FieldsVerdict fields{};
  std::optional<wire::ResumeClaim> claim{};  ///< of a session to go on with
};

/// What a responder answers with.
struct Answer {
  wire::ResponsePayload payload;
  FieldsVerdict fields{};
};

/// A response's parts in the datagram, which outlives it.
struct ResponseView {
  ReceiverIndex sender;
  ReceiverIndex receiver;
  std::span<const uint8_t> head;   ///< clear bytes before the Noise message
  std::span<const uint8_t> noise;  ///< the Noise message
};
struct RekeyRequestState : RequestState {
  uint64_t number = 0;
};

/// Writes an initiation but for its MACs. nullopt: the responder's key is weak. `claim`: none when
/// it is null.
std::optional<NoiseHandshake> write_initiation(const Call& call, const Proof& proof,
                                               wire::Initiation& out,
                                               const wire::ResumeClaim* claim = nullptr);
/// The same in two steps: what it says, and the message that says so, whatever it is.
wire::InitiationPayload initiation_payload(const Call& call, const Proof& proof,
                                           const wire::ResumeClaim* claim = nullptr);
std::optional<NoiseHandshake> seal_initiation(
    const Call& call, const wire::InitiationPayload& payload, wire::Initiation& out,
    wire::MessageType type = wire::MessageType::kInitiation);
/// An inquiry: an initiation of another type, which is good for nothing else.
std::optional<NoiseHandshake> write_inquiry(const Call& call, wire::Initiation& out);
/// The message when its size, reserved bytes and suite number are right; no public-key work yet.
std::optional<wire::Initiation> parse_initiation(
    std::span<const uint8_t> datagram, wire::MessageType type = wire::MessageType::kInitiation);
/// Opens a parsed initiation or inquiry. nullopt: not authentic, or payload and clear fields
/// disagree. Whose it is: `noise.remote_static()`.
std::optional<InitiationState> read_initiation(const Identity& self, const SecretKey& ephemeral,
                                               const wire::Initiation& message);

/// The cookie reply or retry when its size and reserved bytes are right.
std::optional<wire::SealedReply> parse_sealed_reply(std::span<const uint8_t> datagram);
/// The reset when its size and reserved bytes are right.
std::optional<wire::Reset> parse_reset(std::span<const uint8_t> datagram);
/// The answer to an inquiry when its size and reserved bytes are right.
std::optional<wire::Readiness> parse_readiness(std::span<const uint8_t> datagram);
/// What seals retries to an initiation, for its two ends. nullopt: it is not read, or answered.
std::optional<Secret<kHashBytes>> retry_key(const NoiseHandshake& initiation);
/// What seals the answer to an inquiry, for its two ends.
std::optional<Secret<kHashBytes>> readiness_key(const NoiseHandshake& inquiry,
                                                const PresharedKey& psk);

/// Writes a response but for its MACs; then `initiation.noise` has keys. False: not in order.
bool write_response(RequestState& initiation, const PresharedKey& psk, ReceiverIndex sender,
                    const wire::ResponsePayload& payload, wire::Response& out);
std::optional<ResponseView> parse_response(std::span<const uint8_t> datagram);
/// Opens a parsed response to `noise`, which offered `suite`. nullopt: not authentic, or not an
/// answer to what was asked; `noise` can then still take the true answer if the former.
std::optional<Answer> read_response(NoiseHandshake& noise, const PresharedKey& psk, Suite suite,
                                    const ResponseView& message);

/// What a rekey continues. It is part of the rekey's transcript, so that the messages are good in
/// this session and after these keys alone.
struct RekeyBasis {
  const SessionId& session;
  uint64_t generation = 0;  ///< number of the keys that the rekey goes under
  const Secret<32>& chain;  ///< of those keys

  /// Takes the preshared key's place: the new keys depend on the old ones, too.
  PresharedKey mixed(const PresharedKey& psk) const;
};

/// What a responder tells of the indices that it gives out.
struct IndexOffer {
  wire::ResetToken reset_token{};  ///< of the message's sender
  wire::SpareIndices spares{};
};

/// The same two steps inside control messages. `psk`: RekeyBasis::mixed().
std::optional<NoiseHandshake> write_rekey(const Call& call, const RekeyBasis& basis,
                                          uint64_t number, wire::RekeyInitiation& out);
std::optional<RekeyRequestState> read_rekey(const Identity& self, const SecretKey& ephemeral,
                                            Suite suite, const RekeyBasis& basis,
                                            const wire::RekeyInitiation& message);
bool write_rekey_response(RequestState& request, const PresharedKey& psk, ReceiverIndex sender,
                          uint16_t lanes, Millis clock, const IndexOffer& offer,
                          wire::RekeyResponse& out);
std::optional<wire::RekeyResponsePayload> read_rekey_response(NoiseHandshake& noise,
                                                              const PresharedKey& psk, Suite suite,
                                                              const wire::RekeyResponse& message);

}  // namespace jvpn::protocol
