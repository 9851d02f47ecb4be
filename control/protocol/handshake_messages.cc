#include "control/protocol/handshake_messages.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "common/assert.h"
#include "common/limits.h"
#include "control/session/control_message.h"

namespace jvpn::protocol {
namespace {

NoiseCipher cipher_of(Suite suite) {
  return suite == Suite::kChaCha20Poly1305 ? NoiseCipher::kChaChaPoly : NoiseCipher::kAesGcm;
}

template <typename T>
std::span<const uint8_t> bytes_of(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}
template <typename T>
std::span<uint8_t> bytes_of(T& value) {
  return {reinterpret_cast<uint8_t*>(&value), sizeof value};
}

// The message of that type when its size and reserved bytes are right.
template <typename Message>
std::optional<Message> parse(std::span<const uint8_t> datagram, wire::MessageType type) {
  if (datagram.size() != sizeof(Message)) return std::nullopt;
  Message message;
  __builtin_memcpy(&message, datagram.data(), sizeof message);
  const uint8_t reserved = message.reserved[0] | message.reserved[1] | message.reserved[2];
  if (message.type != type || reserved != 0) return std::nullopt;
  return message;
}

bool lanes_valid(uint16_t lanes) {
  return lanes >= 1 && lanes <= kMaxLanes;
}

// What every payload of a handshake or rekey must say.
template <typename Payload>
bool payload_valid(const Payload& payload, Suite suite) {
  return payload.version == wire::kVersion && payload.suite == static_cast<uint8_t>(suite) &&
         lanes_valid(payload.lanes);
}

/// The clear bytes before the Noise message.
template <typename Message>
std::span<const uint8_t> head_of(const Message& message) {
  return bytes_of(message).first(offsetof(Message, noise));
}

using Prologue = std::vector<uint8_t>;

Prologue joined(std::initializer_list<std::span<const uint8_t>> parts) {
  Prologue all;
  for (const auto part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

std::span<const uint8_t> text(std::string_view label) {
  return {reinterpret_cast<const uint8_t*>(label.data()), label.size()};
}

Prologue prologue_of(const wire::Initiation& message) {
  return joined({text(wire::kPrologue), head_of(message)});
}

Prologue prologue_of(const wire::RekeyInitiation& message, const RekeyBasis& basis) {
  return joined({text(wire::kRekeyPrologue), basis.session.bytes, bytes_of(basis.generation),
                 head_of(message)});
}

template <typename Payload>
Payload request_payload(const Call& call) {
  Payload payload{};
  payload.version = wire::kVersion;
  payload.suite = static_cast<uint8_t>(call.suite);
  payload.lanes = call.lanes;
  return payload;
}

template <typename Payload, typename Message>
std::optional<NoiseHandshake> write_request(const Call& call, const Prologue& prologue,
                                            const Payload& payload, Message& out) {
  NoiseHandshake noise =
      NoiseHandshake::initiator(cipher_of(call.suite), prologue, call.self.secret, call.responder,
                                &call.ephemeral, &call.self.public_key, call.self.memory);
  if (!noise.write_message1(bytes_of(payload), out.noise)) return std::nullopt;
  return noise;
}

template <typename Payload, typename Message>
std::optional<RequestState> read_request(const Identity& self, const SecretKey& ephemeral,
                                         Suite suite, const Prologue& prologue,
                                         const Message& message, Payload& payload) {
  NoiseHandshake noise = NoiseHandshake::responder(cipher_of(suite), prologue, self.secret,
                                                   &ephemeral, &self.public_key, self.memory);
  if (!noise.read_message1(message.noise, bytes_of(payload))) return std::nullopt;
  if (!payload_valid(payload, suite) || message.sender == 0) return std::nullopt;
  return RequestState{std::move(noise), suite, ReceiverIndex{message.sender}, payload.lanes};
}

}  // namespace

std::optional<Suite> suite_of(uint8_t number) {
  if (number < static_cast<uint8_t>(Suite::kAes128Gcm)) return std::nullopt;
  if (number > static_cast<uint8_t>(Suite::kChaCha20Poly1305)) return std::nullopt;
  return static_cast<Suite>(number);
}

wire::Timestamp next_timestamp(const wire::Timestamp& clock, const wire::Timestamp& latest) {
  if (clock > latest) return clock;
  // Big-endian seconds and nanoseconds; a nanosecond field that overflows is no matter, the order
  // of the bytes is all that counts.
  wire::Timestamp next = latest;
  for (auto byte = next.rbegin(); byte != next.rend(); ++byte) {
    if (++*byte != 0) break;
  }
  return next;
}

wire::InitiationPayload initiation_payload(const Call& call, const Proof& proof,
                                           const wire::ResumeClaim* claim) {
  auto payload = request_payload<wire::InitiationPayload>(call);
  payload.timestamp = proof.timestamp;
  payload.freshness = proof.freshness;
  if (claim == nullptr) return payload;
  const wire::Field field{wire::kResumeField, sizeof *claim};
  __builtin_memcpy(payload.fields, &field, sizeof field);
  __builtin_memcpy(payload.fields + sizeof field, claim, sizeof *claim);
  return payload;
}

std::optional<NoiseHandshake> seal_initiation(const Call& call,
                                              const wire::InitiationPayload& payload,
                                              wire::Initiation& out, wire::MessageType type) {
  out = {};
  out.type = type;
  out.sender = call.sender.value;
  out.suite = static_cast<uint8_t>(call.suite);
  return write_request(call, prologue_of(out), payload, out);
}

std::optional<NoiseHandshake> write_initiation(const Call& call, const Proof& proof,
                                               wire::Initiation& out,
                                               const wire::ResumeClaim* claim) {
  return seal_initiation(call, initiation_payload(call, proof, claim), out);
}

std::optional<NoiseHandshake> write_inquiry(const Call& call, wire::Initiation& out) {
  return seal_initiation(call, initiation_payload(call, {}), out, wire::MessageType::kInquiry);
}

std::optional<wire::Initiation> parse_initiation(std::span<const uint8_t> datagram,
                                                 wire::MessageType type) {
  auto message = parse<wire::Initiation>(datagram, type);
  if (!message || !suite_of(message->suite)) return std::nullopt;
  const bool zero = std::ranges::all_of(message->reserved2, [](uint8_t byte) { return byte == 0; });
  if (!zero) return std::nullopt;
  return message;
}

std::optional<InitiationState> read_initiation(const Identity& self, const SecretKey& ephemeral,
                                               const wire::Initiation& message) {
  const std::optional<Suite> suite = suite_of(message.suite);
  if (!suite) return std::nullopt;
  wire::InitiationPayload payload;
  auto read = read_request(self, ephemeral, *suite, prologue_of(message), message, payload);
  if (!read) return std::nullopt;
  InitiationState state{
      *std::move(read), {payload.timestamp, payload.freshness}, check_fields(payload.fields)};
  if (state.fields == FieldsVerdict::kTaken)
    state.claim = find_field<wire::ResumeClaim>(payload.fields, wire::kResumeField);
  return state;
}

std::optional<wire::SealedReply> parse_sealed_reply(std::span<const uint8_t> datagram) {
  if (auto cookie = parse<wire::SealedReply>(datagram, wire::MessageType::kCookieReply))
    return cookie;
  return parse<wire::SealedReply>(datagram, wire::MessageType::kRetry);
}

std::optional<wire::Reset> parse_reset(std::span<const uint8_t> datagram) {
  return parse<wire::Reset>(datagram, wire::MessageType::kReset);
}

std::optional<wire::Readiness> parse_readiness(std::span<const uint8_t> datagram) {
  return parse<wire::Readiness>(datagram, wire::MessageType::kReadiness);
}

std::optional<Secret<kHashBytes>> readiness_key(const NoiseHandshake& inquiry,
                                                const PresharedKey& psk) {
  auto key = inquiry.secret_of_message1(text("JVP/1 readiness"));
  if (key) hmac_blake2s_into(key->span(), psk.span(), {}, key->span());
  return key;
}

std::optional<Secret<kHashBytes>> retry_key(const NoiseHandshake& initiation) {
  return initiation.secret_of_message1(text("JVP/1 retry"));
}

bool write_response(RequestState& initiation, const PresharedKey& psk, ReceiverIndex sender,
                    const wire::ResponsePayload& payload, wire::Response& out) {
  out = {};
  out.type = wire::MessageType::kResponse;
  out.sender = sender.value;
  out.receiver = initiation.sender.value;
  return initiation.noise.write_message2(psk, bytes_of(payload), out.noise, head_of(out));
}

std::optional<ResponseView> parse_response(std::span<const uint8_t> datagram) {
  if (datagram.size() < sizeof(wire::Response) || datagram.size() > sizeof(wire::Initiation))
    return std::nullopt;
  const auto message =
      parse<wire::Response>(datagram.first(sizeof(wire::Response)), wire::MessageType::kResponse);
  if (!message) return std::nullopt;
  constexpr size_t kHead = offsetof(wire::Response, noise);
  constexpr size_t kMacs = sizeof message->mac1 + sizeof message->mac2;
  return ResponseView{ReceiverIndex{message->sender}, ReceiverIndex{message->receiver},
                      datagram.first(kHead),
                      datagram.subspan(kHead, datagram.size() - kHead - kMacs)};
}

std::optional<Answer> read_response(NoiseHandshake& noise, const PresharedKey& psk, Suite suite,
                                    const ResponseView& message) {
  std::array<uint8_t, sizeof(wire::Initiation)> plain;
  if (!noise.read_message2(psk, message.noise, plain, message.head)) return std::nullopt;
  Answer answer;
  wire::ResponsePayload& payload = answer.payload;
  __builtin_memcpy(&payload, plain.data(), sizeof payload);
  const size_t bytes = message.noise.size() - kNoiseMessage2Overhead;
  answer.fields = check_fields(std::span(plain).subspan(sizeof payload, bytes - sizeof payload));
  if (!payload_valid(payload, suite) || message.sender == ReceiverIndex{}) return std::nullopt;
  if (payload.session_id == SessionId{}.bytes || payload.binding_version == 0) return std::nullopt;
  return answer;
}

PresharedKey RekeyBasis::mixed(const PresharedKey& psk) const {
  PresharedKey out;
  hmac_blake2s_into(chain.span(), text(wire::kRekeyPrologue), psk.span(), out.span());
  return out;
}

std::optional<NoiseHandshake> write_rekey(const Call& call, const RekeyBasis& basis,
                                          uint64_t number, wire::RekeyInitiation& out) {
  out = {};
  out.header = control_header(wire::ControlType::kRekeyInitiation, wire::kCritical);
  out.sender = call.sender.value;
  auto payload = request_payload<wire::RekeyPayload>(call);
  payload.number = number;
  return write_request(call, prologue_of(out, basis), payload, out);
}

std::optional<RekeyRequestState> read_rekey(const Identity& self, const SecretKey& ephemeral,
                                            Suite suite, const RekeyBasis& basis,
                                            const wire::RekeyInitiation& message) {
  wire::RekeyPayload payload;
  auto read = read_request(self, ephemeral, suite, prologue_of(message, basis), message, payload);
  if (!read) return std::nullopt;
  return RekeyRequestState{*std::move(read), payload.number};
}

bool write_rekey_response(RequestState& request, const PresharedKey& psk, ReceiverIndex sender,
                          uint16_t lanes, Millis clock, const IndexOffer& offer,
                          wire::RekeyResponse& out) {
  out = {};
  out.header = control_header(wire::ControlType::kRekeyResponse, wire::kCritical);
  out.sender = sender.value;
  out.receiver = request.sender.value;
  wire::RekeyResponsePayload payload{};
  payload.version = wire::kVersion;
  payload.suite = static_cast<uint8_t>(request.suite);
  payload.lanes = lanes;
  payload.clock_ms = clock.value;
  payload.reset_token = offer.reset_token;
  payload.spares = offer.spares;
  return request.noise.write_message2(psk, bytes_of(payload), out.noise, head_of(out));
}

std::optional<wire::RekeyResponsePayload> read_rekey_response(NoiseHandshake& noise,
                                                              const PresharedKey& psk, Suite suite,
                                                              const wire::RekeyResponse& message) {
  wire::RekeyResponsePayload payload;
  if (!noise.read_message2(psk, message.noise, bytes_of(payload), head_of(message)))
    return std::nullopt;
  if (!payload_valid(payload, suite) || message.sender == 0) return std::nullopt;
  return payload;
}

}  // namespace jvpn::protocol
