#include "control/protocol/handshake_parties.h"
#include "tests/support/part_rig.h"

namespace jvpn {
namespace {

SecretKey secret_of(uint8_t byte) {
  SecretKey secret;
  secret.bytes().fill(byte);
  return secret;
}
Identity identity_of(uint8_t byte) {
  return {secret_of(byte), public_key_of(secret_of(byte)), {}};
}

template <typename T>
std::span<const uint8_t> bytes_of(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

/// Both ends of a handshake and of a rekey that follows it.
class HandshakeMessages : public test::PartRig {
 protected:
  Call call(ReceiverIndex sender) const {
    return {initiator, responder.public_key, Suite::kAes128Gcm, sender, 1, ephemeral};
  }
  std::optional<NoiseHandshake> initiate() {
    return write_initiation(call(ReceiverIndex{7}), {wire::Timestamp{1}, {}}, initiation);
  }
  auto read_initiation_again() const { return read_initiation(responder, ephemeral, initiation); }
  wire::ResponsePayload response_payload() const {
    wire::ResponsePayload payload{};
    payload.version = wire::kVersion;
    payload.suite = 1;
    payload.lanes = 1;
    payload.session_id = id.bytes;
    payload.binding_version = 1;
    return payload;
  }
  RekeyBasis basis(uint64_t generation) const { return {id, generation, chain}; }
  std::optional<NoiseHandshake> ask_rekey() {
    return write_rekey(call(ReceiverIndex{8}), basis(1), 1, rekey);
  }
  auto read_rekey_after(const RekeyBasis& of) const {
    return read_rekey(responder, ephemeral, Suite::kAes128Gcm, of, rekey);
  }
  std::optional<NoiseHandshake> answered_rekey() {
    auto noise = ask_rekey();
    auto request = read_rekey_after(basis(1));
    EXPECT_TRUE(request && write_rekey_response(*request, basis(1).mixed(psk), ReceiverIndex{9}, 1,
                                                now, {}, rekey_answer));
    return noise;
  }
  bool opens(NoiseHandshake& noise, const PresharedKey& key) const {
    return read_rekey_response(noise, key, Suite::kAes128Gcm, rekey_answer).has_value();
  }

  const Identity initiator = identity_of(5);
  const Identity responder = identity_of(6);
  const SecretKey ephemeral = secret_of(7);
  const SessionId id{{1, 2, 3}};
  const Secret<32> chain = secret_of(8);
  const PresharedKey psk = secret_of(9);
  wire::Initiation initiation;
  wire::RekeyInitiation rekey;
  wire::RekeyResponse rekey_answer;
};

TEST_F(HandshakeMessages, TimestampsOfInitiationsRiseThoughTheClockStands) {
  const wire::Timestamp first = draw_timestamp(context, kPeer);
  EXPECT_GT(draw_timestamp(context, kPeer), first);
}

TEST_F(HandshakeMessages, AnInitiationsClearFieldsAreAuthentic) {
  ASSERT_TRUE(initiate());
  EXPECT_TRUE(read_initiation_again());
  initiation.sender ^= 1;
  EXPECT_FALSE(read_initiation_again()) << "the answer would go to another index";
  initiation.sender ^= 1;
  initiation.suite = 2;
  EXPECT_FALSE(read_initiation_again());
}

TEST_F(HandshakeMessages, AResponsesClearFieldsAreAuthentic) {
  auto noise = initiate();
  auto request = read_initiation_again();
  ASSERT_TRUE(noise && request);
  const wire::ResponsePayload payload = response_payload();
  wire::Response response;
  ASSERT_TRUE(write_response(*request, psk, ReceiverIndex{9}, payload, response));
  const auto opens_with = [&](uint32_t sender, uint32_t receiver) {
    wire::Response changed = response;
    changed.sender = sender;
    changed.receiver = receiver;
    const auto parsed = parse_response(bytes_of(changed));
    return parsed && read_response(*noise, psk, Suite::kAes128Gcm, *parsed).has_value();
  };
  EXPECT_FALSE(opens_with(10, 7)) << "what is sent would go to another index";
  EXPECT_FALSE(opens_with(9, 8));
  EXPECT_TRUE(opens_with(9, 7)) << "forged answers don't spoil the true one";
}

TEST_F(HandshakeMessages, AResponseMayGrow) {
  for (const uint16_t type : {uint16_t{0x0123}, uint16_t{0x8123}}) {
    auto noise = initiate();
    auto request = read_initiation_again();
    ASSERT_TRUE(noise && request);
    const wire::ResponsePayload payload = response_payload();
    const wire::Field field{type, 0};
    std::vector<uint8_t> longer(bytes_of(payload).begin(), bytes_of(payload).end());
    longer.insert(longer.end(), bytes_of(field).begin(), bytes_of(field).end());
    wire::Response head{};
    head.type = wire::MessageType::kResponse;
    head.sender = 9;
    head.receiver = 7;
    constexpr size_t kNoise = offsetof(wire::Response, noise);
    std::vector<uint8_t> message(sizeof head + sizeof field);
    std::copy_n(bytes_of(head).begin(), kNoise, message.begin());
    ASSERT_TRUE(request->noise.write_message2(psk, longer, std::span(message).subspan(kNoise),
                                              std::span(message).first(kNoise)));
    const auto parsed = parse_response(message);
    ASSERT_TRUE(parsed);
    const auto answer = read_response(*noise, psk, Suite::kAes128Gcm, *parsed);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->payload.session_id, id.bytes);
    EXPECT_EQ(answer->fields, type == 0x0123 ? FieldsVerdict::kTaken : FieldsVerdict::kCritical);
  }
}

TEST_F(HandshakeMessages, OnlyItsTwoEndsReadTheRetryToAnInitiation) {
  auto noise = initiate();
  auto read = read_initiation_again();
  ASSERT_TRUE(noise && read);
  const auto key = retry_key(*noise);
  ASSERT_TRUE(key);
  EXPECT_EQ(retry_key(read->noise), key);
  auto another = write_initiation(
      {initiator, responder.public_key, Suite::kAes128Gcm, ReceiverIndex{7}, 1, chain}, {},
      initiation);
  ASSERT_TRUE(another);
  EXPECT_NE(retry_key(*another), key);
}

TEST_F(HandshakeMessages, ARekeyIsGoodInItsSessionAndAfterItsKeysAlone) {
  ASSERT_TRUE(ask_rekey());
  EXPECT_TRUE(read_rekey_after(basis(1)));
  EXPECT_FALSE(read_rekey_after(basis(2)));
  const SessionId other{{9}};
  EXPECT_FALSE(read_rekey_after({other, 1, chain}));
  rekey.sender ^= 1;
  EXPECT_FALSE(read_rekey_after(basis(1)));
}

TEST_F(HandshakeMessages, ARekeysKeysDependOnTheOldOnes) {
  auto noise = answered_rekey();
  ASSERT_TRUE(noise);
  EXPECT_FALSE(opens(*noise, psk));
  const Secret<32> other = secret_of(1);
  EXPECT_FALSE(opens(*noise, RekeyBasis{id, 1, other}.mixed(psk)));
  rekey_answer.sender ^= 1;
  EXPECT_FALSE(opens(*noise, basis(1).mixed(psk)));
  rekey_answer.sender ^= 1;
  EXPECT_TRUE(opens(*noise, basis(1).mixed(psk)));
}

TEST_F(HandshakeMessages, ARefusalIsCountedAndReported) {
  Reporter reporter(context);
  refuse_handshake(context, reporter, now, test::path_over(1), Reason::kSecReplayAttempt,
                   Detail::kNone, kPeer);
  EXPECT_EQ(counters.handshakes_refused, 1U);
  EXPECT_EQ(reasons(), std::vector{Reason::kSecReplayAttempt});
}

}  // namespace
}  // namespace jvpn
