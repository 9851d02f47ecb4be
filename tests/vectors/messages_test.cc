// The product's whole messages against those of an independent implementation
// (tests/interop/vectors.py), byte for byte: handshake, rekey, data, every control message, in each
// suite.
#include <cstdio>
#include <map>

#include "common/handshake_mac.h"
#include "control/protocol/handshake_messages.h"
#include "control/session/control_channel.h"
#include "control/session/reset_tokens.h"
#include "tests/support/part_rig.h"
#include "tests/vectors/vector_file.h"

namespace jvpn::test {
namespace {

using wire::ControlType;

constexpr size_t kSuites = 3;
constexpr size_t kOthers = 4;  // records besides control messages: handshake, inquiry, rekey, DATA

uint64_t number(const Record& record, const char* name) {
  const std::string text = record.text(name);
  EXPECT_FALSE(text.empty()) << record.text("message") << " has no " << name;
  return std::strtoull(text.c_str(), nullptr, 10);
}
template <typename T>
T number_as(const Record& record, const char* name) {
  return static_cast<T>(number(record, name));
}
SecretKey secret_of(const Record& record, const char* name) {
  return SecretKey(array_of<32>(record.bytes(name)));
}
Identity identity_of(const Record& record, const char* name) {
  const SecretKey secret = secret_of(record, name);
  return {secret, public_key_of(secret), {}};
}
ReceiverIndex index_of(const Record& record, const char* name) {
  return ReceiverIndex{number_as<uint32_t>(record, name)};
}
template <typename T>
Bytes bytes_of_message(const T& value) {
  const auto* const first = reinterpret_cast<const uint8_t*>(&value);
  return {first, first + sizeof value};
}
template <typename T>
std::span<uint8_t> span_of(T& value) {
  return {reinterpret_cast<uint8_t*>(&value), sizeof value};
}
wire::SpareIndices spares_of(const Record& record) {
  wire::SpareIndices spares;
  const Bytes bytes = record.bytes("spares");
  EXPECT_EQ(bytes.size(), sizeof spares);
  std::copy_n(bytes.begin(), sizeof spares, span_of(spares).begin());
  return spares;
}

/// Where a field stands in the product's struct.
struct FieldAt {
  const char* name;
  size_t offset;
  size_t bytes;
};
// clang-format off
#define AT(message, field) FieldAt{#field, offsetof(wire::message, field), sizeof(wire::message::field)}
// clang-format on

using SendBytes = void (*)(ControlChannel&, const Session&, const Bytes&);

struct Layout {
  ControlType type;
  size_t bytes;
  SendBytes send;
  std::vector<FieldAt> fields;
};

template <typename Message>
Layout layout(ControlType type, std::vector<FieldAt> fields) {
  const SendBytes send = [](ControlChannel& channel, const Session& session, const Bytes& bytes) {
    Message message;
    __builtin_memcpy(&message, bytes.data(), sizeof message);
    channel.send(session, message);
  };
  return {type, sizeof(Message), send, std::move(fields)};
}

/// The product's control messages by the names that the document gives to types and fields.
const std::map<std::string, Layout>& layouts() {
  static const std::map<std::string, Layout> all{
      {"HEARTBEAT",
       layout<wire::Heartbeat>(ControlType::kHeartbeat,
                               {AT(Heartbeat, clock_us), AT(Heartbeat, binding_version)})},
      {"HEARTBEAT_ACK",
       layout<wire::HeartbeatAck>(ControlType::kHeartbeatAck,
                                  {AT(HeartbeatAck, echo_us), AT(HeartbeatAck, clock_us),
                                   AT(HeartbeatAck, binding_version)})},
      {"QUALITY_REPORT",
       layout<wire::QualityReport>(ControlType::kQualityReport, {AT(QualityReport, binding_version),
                                                                 AT(QualityReport, loss_ppm)})},
      {"IDLE",
       layout<wire::Idle>(ControlType::kIdle, {AT(Idle, binding_version), AT(Idle, interval_ms)})},
      {"TRANSPORT_DEAD", layout<wire::TransportDead>(ControlType::kTransportDead,
                                                     {AT(TransportDead, binding_version)})},
      {"PATH_PROBE", layout<wire::PathProbe>(ControlType::kPathProbe,
                                             {AT(PathProbe, nonce), AT(PathProbe, clock_us),
                                              AT(PathProbe, receiver), AT(PathProbe, lanes)})},
      {"PATH_CHALLENGE",
       layout<wire::PathChallenge>(
           ControlType::kPathChallenge,
           {AT(PathChallenge, nonce), AT(PathChallenge, echo_us), AT(PathChallenge, token)})},
      {"PATH_RESPONSE",
       layout<wire::PathResponse>(
           ControlType::kPathResponse,
           {AT(PathResponse, nonce), AT(PathResponse, token), AT(PathResponse, receiver)})},
      {"REATTACH_REQUEST", layout<wire::ReattachRequest>(
                               ControlType::kReattachRequest,
                               {AT(ReattachRequest, session_id), AT(ReattachRequest, nonce),
                                AT(ReattachRequest, clock_ms), AT(ReattachRequest, binding_version),
                                AT(ReattachRequest, receiver), AT(ReattachRequest, lanes),
                                AT(ReattachRequest, retire_active), AT(ReattachRequest, cause)})},
      {"REATTACH_CHALLENGE", layout<wire::ReattachChallenge>(
                                 ControlType::kReattachChallenge,
                                 {AT(ReattachChallenge, nonce), AT(ReattachChallenge, token)})},
      {"REATTACH_RESPONSE",
       layout<wire::ReattachResponse>(ControlType::kReattachResponse,
                                      {AT(ReattachResponse, nonce), AT(ReattachResponse, token)})},
      {"REATTACH_ACK",
       layout<wire::ReattachAck>(
           ControlType::kReattachAck,
           {AT(ReattachAck, nonce), AT(ReattachAck, binding_version), AT(ReattachAck, clock_ms),
            AT(ReattachAck, sender), AT(ReattachAck, spares)})},
      {"REATTACH_REJECT",
       layout<wire::ReattachReject>(
           ControlType::kReattachReject,
           {AT(ReattachReject, nonce), AT(ReattachReject, reason), AT(ReattachReject, detail),
            AT(ReattachReject, retry_after_ms), AT(ReattachReject, binding_version),
            AT(ReattachReject, clock_ms), AT(ReattachReject, spares)})},
      {"NEW_INDICES", layout<wire::NewIndices>(ControlType::kNewIndices, {AT(NewIndices, spares)})},
      {"POLICY_HINT",
       layout<wire::PolicyHint>(ControlType::kPolicyHint,
                                {AT(PolicyHint, binding_version), AT(PolicyHint, hint)})},
      {"TERMINATE", layout<wire::Terminate>(ControlType::kTerminate,
                                            {AT(Terminate, reason), AT(Terminate, detail)})},
      {"MTU_PROBE",
       layout<wire::MtuProbe>(ControlType::kMtuProbe, {AT(MtuProbe, nonce), AT(MtuProbe, receiver),
                                                       AT(MtuProbe, path_mtu)})},
      {"MTU_ACK", layout<wire::MtuAck>(ControlType::kMtuAck, {AT(MtuAck, nonce)})},
  };
  return all;
}

/// The record's values in the product's struct, all else zero.
Bytes plaintext_of(const Record& record, const Layout& of) {
  Bytes message(of.bytes);
  const wire::ControlHeader header = control_header(of.type, number_as<uint8_t>(record, "flags"));
  __builtin_memcpy(message.data(), &header, sizeof header);
  for (const FieldAt& field : of.fields) {
    const bool is_number = field.bytes <= sizeof(uint64_t);
    const uint64_t value = is_number ? number(record, field.name) : 0;
    Bytes bytes = is_number ? bytes_of_message(value) : record.bytes(field.name);
    bytes.resize(field.bytes);
    std::ranges::copy(bytes, message.begin() + static_cast<ptrdiff_t>(field.offset));
  }
  return message;
}

class Messages : public PartRig {
 protected:
  Session& session_with(const NoiseKeys& keys, const Record& handshake) {
    Session& session = attached(true);
    session.suite = suite;
    session.current = make_generation(now, keys, true, *table.indices().allocate(kPeer, 1),
                                      index_of(handshake, "responder_index"), 1);
    return session;
  }

  NoiseKeys check_handshake(const Record& record);
  void check_reset(const Record& record, const SecretKey& responder,
                   const wire::ResponsePayload& told);
  void check_macs(const Record& record, const NoiseHandshake& noise, wire::Initiation& initiation);
  void check_inquiry(const Record& handshake, const Record& record);
  void check_rekey(const Record& handshake, const Record& record, const NoiseKeys& keys);
  void check_data(const Record& record, const Session& session);
  void check_control(const Record& record, const Session& session);

  Suite suite{};
};

void Messages::check_macs(const Record& record, const NoiseHandshake& noise,
                          wire::Initiation& initiation) {
  const Identity responder = identity_of(record, "responder_static");
  const auto to_responder = ResponderMacKeys::derive(mac, responder.public_key);
  const Mac cookie = array_of<16>(record.bytes("cookie"));
  write_macs(mac, to_responder.mac1, nullptr, span_of(initiation));
  EXPECT_EQ(bytes_of_message(initiation), record.bytes("initiation"));
  const auto reply = [&](wire::MessageType type, const Secret<32>& key, const auto& value) {
    const Answered answered{initiation.sender, initiation.mac1};
    const auto nonce = array_of<24>(record.bytes("reply_nonce"));
    return bytes_of_message(seal_reply(aead, type, key, value, answered, nonce));
  };
  EXPECT_EQ(reply(wire::MessageType::kCookieReply, to_responder.cookie_label, cookie),
            record.bytes("cookie_reply"));
  const auto key = retry_key(noise);
  ASSERT_TRUE(key);
  EXPECT_EQ(reply(wire::MessageType::kRetry, *key, array_of<16>(record.bytes("freshness"))),
            record.bytes("retry"));
  write_macs(mac, to_responder.mac1, &cookie, span_of(initiation));
  EXPECT_EQ(bytes_of_message(initiation), record.bytes("initiation_with_cookie"));
}

/// The responder told the initiator's timestamp's own tokens, and answers its packets by them.
void Messages::check_reset(const Record& record, const SecretKey& responder,
                           const wire::ResponsePayload& told) {
  const ResetTokens tokens(mac, responder);
  const uint64_t period = reset_period(array_of<12>(record.bytes("timestamp")));
  const ReceiverIndex index = index_of(record, "responder_index");
  wire::Reset message{};
  message.type = wire::MessageType::kReset;
  message.receiver = index.value;
  message.token = tokens.of(index, period);
  message.earlier = tokens.of(index, period - 1);
  EXPECT_EQ(bytes_of_message(message), record.bytes("reset"));
  EXPECT_EQ(told.reset_token, message.token);
  for (size_t i = 0; i < wire::kSpareIndices; ++i)
    EXPECT_EQ(told.spare_tokens[i], tokens.of(ReceiverIndex{told.spare_indices[i]}, period)) << i;
}

NoiseKeys Messages::check_handshake(const Record& record) {
  const Identity initiator = identity_of(record, "initiator_static");
  const Identity responder = identity_of(record, "responder_static");
  const SecretKey ephemerals[] = {secret_of(record, "initiator_ephemeral"),
                                  secret_of(record, "responder_ephemeral")};
  const auto freshness = array_of<16>(record.bytes("freshness"));
  wire::Initiation initiation;
  auto noise =
      write_initiation({initiator, responder.public_key, suite, index_of(record, "initiator_index"),
                        number_as<uint16_t>(record, "lanes"), ephemerals[0]},
                       {array_of<12>(record.bytes("timestamp")), freshness}, initiation);
  EXPECT_TRUE(noise);
  if (!noise) return {};
  check_macs(record, *noise, initiation);

  auto state = read_initiation(responder, ephemerals[1], initiation);
  EXPECT_TRUE(state);
  if (!state) return {};
  wire::ResponsePayload payload;
  const auto bytes = array_of<sizeof payload>(record.bytes("response_payload"));
  std::ranges::copy(bytes, span_of(payload).begin());
  wire::Response response;
  EXPECT_TRUE(write_response(*state, secret_of(record, "psk"), index_of(record, "responder_index"),
                             payload, response));
  const auto to_initiator = ResponderMacKeys::derive(mac, initiator.public_key);
  write_macs(mac, to_initiator.mac1, nullptr, span_of(response));
  EXPECT_EQ(bytes_of_message(response), record.bytes("response"));
  check_reset(record, responder.secret, payload);
  auto keys = state->noise.split();
  EXPECT_TRUE(keys);
  if (!keys) return {};
  EXPECT_TRUE(std::ranges::equal(keys->initiator_to_responder.bytes(),
                                 record.bytes("initiator_to_responder")));
  return *std::move(keys);
}

void Messages::check_inquiry(const Record& handshake, const Record& record) {
  const Identity initiator = identity_of(handshake, "initiator_static");
  const Identity responder = identity_of(handshake, "responder_static");
  const SecretKey ephemeral = secret_of(handshake, "initiator_ephemeral");
  wire::Initiation message;
  const auto noise =
      write_inquiry({initiator, responder.public_key, suite, index_of(handshake, "initiator_index"),
                     number_as<uint16_t>(handshake, "lanes"), ephemeral},
                    message);
  ASSERT_TRUE(noise);
  const auto to_responder = ResponderMacKeys::derive(mac, responder.public_key);
  write_macs(mac, to_responder.mac1, nullptr, span_of(message));
  EXPECT_EQ(bytes_of_message(message), record.bytes("inquiry"));
  const SecretKey unused;
  const auto read = read_initiation(responder, unused, message);
  ASSERT_TRUE(read);
  const auto key = readiness_key(read->noise, secret_of(handshake, "psk"));
  ASSERT_TRUE(key);
  EXPECT_EQ(key, readiness_key(*noise, secret_of(handshake, "psk")));
  wire::ReadinessValue value;
  const auto bytes = array_of<sizeof value>(record.bytes("value"));
  std::ranges::copy(bytes, span_of(value).begin());
  EXPECT_EQ(value.availability, wire::Availability::kDraining);
  EXPECT_EQ(value.ask_again_s, 77U);
  const auto nonce = array_of<24>(record.bytes("nonce"));
  const wire::Readiness answer =
      seal_readiness(aead, *key, value, {message.sender, message.mac1}, nonce);
  EXPECT_EQ(bytes_of_message(answer), record.bytes("readiness"));
}

void Messages::check_rekey(const Record& handshake, const Record& record, const NoiseKeys& keys) {
  const Identity initiator = identity_of(handshake, "initiator_static");
  const Identity responder = identity_of(handshake, "responder_static");
  const SecretKey ephemerals[] = {secret_of(record, "initiator_ephemeral"),
                                  secret_of(record, "responder_ephemeral")};
  const SessionId id{array_of<16>(record.bytes("session_id"))};
  const RekeyBasis basis{id, number(record, "generation"), keys.chain};
  const auto lanes = number_as<uint16_t>(handshake, "lanes");
  wire::RekeyInitiation initiation;
  auto noise = write_rekey({initiator, responder.public_key, suite,
                            index_of(record, "initiator_index"), lanes, ephemerals[0]},
                           basis, number(record, "number"), initiation);
  EXPECT_TRUE(noise);
  EXPECT_EQ(bytes_of_message(initiation), record.bytes("initiation"));
  auto state = read_rekey(responder, ephemerals[1], suite, basis, initiation);
  ASSERT_TRUE(state);
  wire::RekeyResponse response;
  EXPECT_TRUE(write_rekey_response(
      *state, basis.mixed(secret_of(handshake, "psk")), index_of(record, "responder_index"), lanes,
      Millis{number(record, "clock_ms")},
      {array_of<16>(record.bytes("reset_token")), spares_of(record)}, response));
  EXPECT_EQ(bytes_of_message(response), record.bytes("response"));
  const auto next = state->noise.split();
  ASSERT_TRUE(next);
  const auto same = [&](const Secret<32>& key, const char* name) {
    return std::ranges::equal(key.bytes(), record.bytes(name));
  };
  EXPECT_TRUE(same(next->initiator_to_responder, "initiator_to_responder"));
  EXPECT_TRUE(same(next->responder_to_initiator, "responder_to_initiator"));
  EXPECT_TRUE(same(next->chain, "next_chain"));
}

/// Sealed as a worker does.
void Messages::check_data(const Record& record, const Session& session) {
  wire::TransportHeader header{};
  header.type = wire::MessageType::kData;
  header.receiver = session.current->remote.value;
  const uint64_t mask =
      counter_mask(mac, session.current->keys.send, header.type, session.current->remote);
  header.counter = number(record, "counter") ^ mask;
  const Bytes packet = record.bytes("plaintext");
  Bytes datagram = bytes_of_message(header);
  datagram.insert(datagram.end(), packet.begin(), packet.end());
  datagram.resize(datagram.size() + kAeadTagBytes);
  AeadKey key;
  aead.expand(suite, session.current->keys.send.traffic.bytes(), key);
  AeadOp op{&key, datagram.data() + sizeof header, static_cast<uint32_t>(packet.size())};
  aead.seal({&op, 1});
  EXPECT_EQ(datagram, record.bytes("datagram"));
}

/// Sealed as the control core does, after those before it.
void Messages::check_control(const Record& record, const Session& session) {
  const std::string name = record.text("message");
  const auto found = layouts().find(name);
  ASSERT_NE(found, layouts().end()) << name << " has no layout";
  const Bytes plaintext = plaintext_of(record, found->second);
  EXPECT_EQ(plaintext, record.bytes("plaintext")) << name;
  ControlChannel channel(context);
  found->second.send(channel, session, plaintext);
  const auto sent = effects.datagram(latest<Send>());
  EXPECT_EQ(Bytes(sent.begin(), sent.end()), record.bytes("datagram")) << name;
}

TEST_F(Messages, AreThoseOfAnIndependentImplementation) {
  const std::string root = from_environment("JVPN_SOURCE_ROOT", ".");
  Record handshake;
  NoiseKeys keys;
  const Session* session = nullptr;
  std::map<std::string, size_t> seen;
  for (const Record& record : read_records(root + "/tests/vectors/messages.txt")) {
    const std::string name = record.text("message");
    SCOPED_TRACE("suite " + record.text("suite") + ", " + name);
    ++seen[name];
    if (name == "handshake") {
      suite = Suite{number_as<uint8_t>(record, "suite")};
      handshake = record;
      keys = check_handshake(record);
      session = &session_with(keys, record);
    } else if (name == "inquiry") {
      check_inquiry(handshake, record);
    } else if (name == "rekey") {
      check_rekey(handshake, record, keys);
    } else if (name == "DATA") {
      check_data(record, *session);
    } else {
      check_control(record, *session);
    }
  }
  size_t total = 0;
  for (const auto& [name, count] : seen) {
    EXPECT_EQ(count, kSuites) << name;
    total += count;
  }
  EXPECT_EQ(seen.size(), layouts().size() + kOthers) << "a message has no vector";
  std::printf("whole messages: passed %zu of %zu\n", HasFailure() ? 0 : total, total);
}

}  // namespace
}  // namespace jvpn::test
