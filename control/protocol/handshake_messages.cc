#include "control/protocol/handshake_messages.h"

#include <algorithm>

#include "common/limits.h"
#include "control/session/control_message.h"

namespace jvpn::protocol {
namespace {

std::span<const uint8_t> prologue() {
  return {reinterpret_cast<const uint8_t*>(wire::kPrologue.data()), wire::kPrologue.size()};
}

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

template <typename Payload>
Payload request_payload(const Call& call) {
  Payload payload{};
  payload.version = wire::kVersion;
  payload.suite = static_cast<uint8_t>(call.suite);
  payload.lanes = call.lanes;
  payload.timestamp = call.timestamp;
  return payload;
}

template <typename Payload, typename Message>
std::optional<NoiseHandshake> write_request(const Call& call, Message& out) {
  NoiseHandshake noise =
      NoiseHandshake::initiator(cipher_of(call.suite), prologue(), call.self.secret, call.responder,
                                &call.ephemeral, &call.self.public_key, call.self.memory);
  out.sender = call.sender.value;
  const auto payload = request_payload<Payload>(call);
  if (!noise.write_message1(bytes_of(payload), out.noise)) return std::nullopt;
  return noise;
}

template <typename Payload, typename Message>
std::optional<InitiationState> read_request(const Identity& self, const SecretKey& ephemeral,
                                            Suite suite, const Message& message) {
  NoiseHandshake noise = NoiseHandshake::responder(cipher_of(suite), prologue(), self.secret,
                                                   &ephemeral, &self.public_key, self.memory);
  Payload payload;
  if (!noise.read_message1(message.noise, bytes_of(payload))) return std::nullopt;
  if (!payload_valid(payload, suite) || message.sender == 0) return std::nullopt;
  return InitiationState{std::move(noise), suite, ReceiverIndex{message.sender}, payload.lanes,
                         payload.timestamp};
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

std::optional<NoiseHandshake> write_initiation(const Call& call, wire::Initiation& out) {
  out = {};
  out.type = wire::MessageType::kInitiation;
  out.suite = static_cast<uint8_t>(call.suite);
  return write_request<wire::InitiationPayload>(call, out);
}

std::optional<wire::Initiation> parse_initiation(std::span<const uint8_t> datagram) {
  auto message = parse<wire::Initiation>(datagram, wire::MessageType::kInitiation);
  if (!message || !suite_of(message->suite)) return std::nullopt;
  const bool zero = std::ranges::all_of(message->reserved2, [](uint8_t byte) { return byte == 0; });
  if (!zero) return std::nullopt;
  return message;
}

std::optional<InitiationState> read_initiation(const Identity& self, const SecretKey& ephemeral,
                                               const wire::Initiation& message) {
  const std::optional<Suite> suite = suite_of(message.suite);
  if (!suite) return std::nullopt;
  return read_request<wire::InitiationPayload>(self, ephemeral, *suite, message);
}

bool write_response(InitiationState& initiation, const PresharedKey& psk, ReceiverIndex sender,
                    const wire::ResponsePayload& payload, wire::Response& out) {
  out = {};
  out.type = wire::MessageType::kResponse;
  out.sender = sender.value;
  out.receiver = initiation.sender.value;
  return initiation.noise.write_message2(psk, bytes_of(payload), out.noise);
}

std::optional<wire::Response> parse_response(std::span<const uint8_t> datagram) {
  return parse<wire::Response>(datagram, wire::MessageType::kResponse);
}

std::optional<wire::ResponsePayload> read_response(NoiseHandshake& noise, const PresharedKey& psk,
                                                   Suite suite, const wire::Response& message) {
  wire::ResponsePayload payload;
  if (!noise.read_message2(psk, message.noise, bytes_of(payload))) return std::nullopt;
  if (!payload_valid(payload, suite) || message.sender == 0) return std::nullopt;
  if (payload.session_id == SessionId{}.bytes || payload.binding_version == 0) return std::nullopt;
  return payload;
}

std::optional<NoiseHandshake> write_rekey(const Call& call, wire::RekeyInitiation& out) {
  out = {};
  out.header = control_header(wire::ControlType::kRekeyInitiation, wire::kCritical);
  return write_request<wire::RekeyPayload>(call, out);
}

std::optional<InitiationState> read_rekey(const Identity& self, const SecretKey& ephemeral,
                                          Suite suite, const wire::RekeyInitiation& message) {
  return read_request<wire::RekeyPayload>(self, ephemeral, suite, message);
}

bool write_rekey_response(InitiationState& initiation, const PresharedKey& psk,
                          ReceiverIndex sender, uint16_t lanes, Millis clock,
                          const wire::SpareIndices& spares, wire::RekeyResponse& out) {
  out = {};
  out.header = control_header(wire::ControlType::kRekeyResponse, wire::kCritical);
  out.sender = sender.value;
  out.receiver = initiation.sender.value;
  wire::RekeyResponsePayload payload{};
  payload.version = wire::kVersion;
  payload.suite = static_cast<uint8_t>(initiation.suite);
  payload.lanes = lanes;
  payload.clock_ms = clock.value;
  payload.spares = spares;
  return initiation.noise.write_message2(psk, bytes_of(payload), out.noise);
}

std::optional<wire::RekeyResponsePayload> read_rekey_response(NoiseHandshake& noise,
                                                              const PresharedKey& psk, Suite suite,
                                                              const wire::RekeyResponse& message) {
  wire::RekeyResponsePayload payload;
  if (!noise.read_message2(psk, message.noise, bytes_of(payload))) return std::nullopt;
  if (!payload_valid(payload, suite) || message.sender == 0) return std::nullopt;
  return payload;
}

}  // namespace jvpn::protocol
