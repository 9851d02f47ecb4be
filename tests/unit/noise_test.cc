#include "common/noise.h"

#include <gtest/gtest.h>

#include "common/types.h"
#include "tests/support/rooms.h"
#include "tests/vectors/vector_file.h"

namespace jvpn {
namespace {

using test::array_of;
using test::Bytes;
using test::bytes_of;

const Bytes kPrologue = {'J', 'V', 'P', '/', '1'};
const Bytes kRequest = {1, 2, 3, 4, 5};
const Bytes kAnswer = {9, 8, 7};

PresharedKey psk_of(uint8_t fill) {
  PresharedKey psk;
  psk.bytes().fill(fill);
  return psk;
}

struct Noise : testing::TestWithParam<NoiseCipher> {
  NoiseHandshake new_initiator() const {
    return NoiseHandshake::initiator(GetParam(), kPrologue, client_, public_key_of(server_));
  }
  NoiseHandshake new_responder() const {
    return NoiseHandshake::responder(GetParam(), kPrologue, server_);
  }

  Bytes write1(NoiseHandshake& side) const {
    Bytes wire(kRequest.size() + kNoiseMessage1Overhead);
    EXPECT_TRUE(side.write_message1(kRequest, wire));
    return wire;
  }
  bool read1(NoiseHandshake& side, const Bytes& wire) const {
    Bytes payload(kRequest.size());
    const bool read = side.read_message1(wire, payload);
    EXPECT_EQ(payload, read ? kRequest : Bytes(kRequest.size()));
    return read;
  }
  Bytes write2(NoiseHandshake& side) const {
    Bytes wire(kAnswer.size() + kNoiseMessage2Overhead);
    EXPECT_TRUE(side.write_message2(psk_, kAnswer, wire));
    return wire;
  }
  bool read2(NoiseHandshake& side, const Bytes& wire) const { return read2(side, wire, psk_); }
  bool read2(NoiseHandshake& side, const Bytes& wire, const PresharedKey& psk) const {
    Bytes payload(kAnswer.size());
    const bool read = side.read_message2(psk, wire, payload);
    EXPECT_EQ(payload, read ? kAnswer : Bytes(kAnswer.size()));
    return read;
  }

  SecretKey client_ = generate_secret_key();
  SecretKey server_ = generate_secret_key();
  PresharedKey psk_ = psk_of(0x5a);
};

void expect_same_keys(NoiseHandshake& one, NoiseHandshake& other) {
  const auto a = one.split();
  const auto b = other.split();
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->initiator_to_responder, b->initiator_to_responder);
  EXPECT_EQ(a->responder_to_initiator, b->responder_to_initiator);
  EXPECT_FALSE(a->initiator_to_responder == a->responder_to_initiator);
}

TEST_P(Noise, RoundTrip) {
  auto initiator = new_initiator();
  auto responder = new_responder();
  ASSERT_TRUE(read1(responder, write1(initiator)));
  EXPECT_EQ(responder.remote_static(), public_key_of(client_));
  ASSERT_TRUE(read2(initiator, write2(responder)));
  expect_same_keys(initiator, responder);
}

TEST_P(Noise, GivenPublicKeyChangesNothing) {
  const SecretKey ephemeral = generate_secret_key();
  const PublicKey own = public_key_of(client_);
  auto computed =
      NoiseHandshake::initiator(GetParam(), kPrologue, client_, public_key_of(server_), &ephemeral);
  auto given = NoiseHandshake::initiator(GetParam(), kPrologue, client_, public_key_of(server_),
                                         &ephemeral, &own);
  EXPECT_EQ(write1(computed), write1(given));
}

struct OnePeer final : StaticSecrets {
  explicit OnePeer(const PublicKey& known) : peer(known) {}
  std::optional<Secret<kDhBytes>>* place_of(const PublicKey& key) override {
    return key == peer ? &place : nullptr;
  }
  PublicKey peer;
  std::optional<Secret<kDhBytes>> place;
};

TEST_P(Noise, WhatIsRememberedChangesNothing) {
  DhKey key(server_);
  EXPECT_EQ(key.public_key(), public_key_of(server_));
  OnePeer secrets(public_key_of(client_));
  Secret<kDhBytes> shared;
  ASSERT_TRUE(x25519(server_, public_key_of(client_), shared.span()));
  for (int handshake = 0; handshake < 3; ++handshake) {
    auto initiator = new_initiator();
    auto responder = NoiseHandshake::responder(GetParam(), kPrologue, server_, nullptr, nullptr,
                                               {&key, &secrets});
    ASSERT_TRUE(read1(responder, write1(initiator)));
    ASSERT_TRUE(secrets.place);
    EXPECT_EQ(*secrets.place, shared);
    ASSERT_TRUE(read2(initiator, write2(responder)));
    expect_same_keys(initiator, responder);
  }
  OnePeer another(public_key_of(server_));
  auto initiator = new_initiator();
  auto responder =
      NoiseHandshake::responder(GetParam(), kPrologue, server_, nullptr, nullptr, {&key, &another});
  ASSERT_TRUE(read1(responder, write1(initiator)));
  EXPECT_FALSE(another.place);
}

TEST_P(Noise, AllZeroResultsAreRefused) {
  DhKey key(server_);
  std::array<uint8_t, kDhBytes> shared{};
  EXPECT_FALSE(key.derive(PublicKey{}, shared));
  EXPECT_TRUE(key.derive(public_key_of(client_), shared)) << "it goes on afterwards";
}

TEST_P(Noise, EveryHandshakeHasFreshKeys) {
  auto one = new_initiator();
  auto other = new_initiator();
  EXPECT_NE(write1(one), write1(other));
}

TEST_P(Noise, EmptyPayloadsAndWrongSizes) {
  auto initiator = new_initiator();
  auto responder = new_responder();
  Bytes wire(kNoiseMessage1Overhead);
  EXPECT_FALSE(initiator.write_message1({}, std::span(wire).first(wire.size() - 1)));
  ASSERT_TRUE(initiator.write_message1({}, wire));
  EXPECT_FALSE(responder.read_message1(std::span(wire).first(wire.size() - 1), {}));
  EXPECT_FALSE(responder.read_message1({}, {}));
  ASSERT_TRUE(responder.read_message1(wire, {}));
  wire.resize(kNoiseMessage2Overhead);
  EXPECT_FALSE(responder.write_message2(psk_, {}, std::span(wire).first(wire.size() - 1)));
  ASSERT_TRUE(responder.write_message2(psk_, {}, wire));
  EXPECT_FALSE(initiator.read_message2(psk_, std::span(wire).first(wire.size() - 1), {}));
  ASSERT_TRUE(initiator.read_message2(psk_, wire, {}));
  expect_same_keys(initiator, responder);
}

TEST_P(Noise, PayloadRoomTooSmallIsRefused) {
  auto initiator = new_initiator();
  auto responder = new_responder();
  const Bytes wire = write1(initiator);
  Bytes small(kRequest.size() - 1);
  EXPECT_FALSE(responder.read_message1(wire, small));
  EXPECT_TRUE(read1(responder, wire));
}

TEST_P(Noise, WrongPresharedKeyIsRefused) {
  auto initiator = new_initiator();
  auto responder = new_responder();
  ASSERT_TRUE(read1(responder, write1(initiator)));
  const Bytes answer = write2(responder);
  EXPECT_FALSE(read2(initiator, answer, psk_of(0)));
  EXPECT_FALSE(initiator.split());
  EXPECT_TRUE(read2(initiator, answer));
}

TEST_P(Noise, WrongPrologueIsRefused) {
  auto initiator = NoiseHandshake::initiator(GetParam(), {}, client_, public_key_of(server_));
  auto responder = new_responder();
  EXPECT_FALSE(read1(responder, write1(initiator)));
}

TEST_P(Noise, WrongResponderIsRefused) {
  auto initiator = NoiseHandshake::initiator(GetParam(), kPrologue, client_,
                                             public_key_of(generate_secret_key()));
  auto responder = new_responder();
  EXPECT_FALSE(read1(responder, write1(initiator)));
}

TEST_P(Noise, ForgedMessage1ThenTrueOne) {
  auto initiator = new_initiator();
  auto responder = new_responder();
  const Bytes wire = write1(initiator);
  for (size_t i = 0; i < wire.size(); ++i) {
    if (i == 31) continue;  // its top bit is masked by X25519; covered below
    Bytes forged = wire;
    forged[i] ^= 1;
    EXPECT_FALSE(read1(responder, forged)) << "byte " << i;
    EXPECT_EQ(responder.remote_static(), PublicKey{}) << "byte " << i;
  }
  Bytes forged = wire;
  forged[31] ^= 0x80;
  EXPECT_FALSE(read1(responder, forged)) << "the hash covers the masked bit";
  ASSERT_TRUE(read1(responder, wire));
  EXPECT_TRUE(read2(initiator, write2(responder)));
  expect_same_keys(initiator, responder);
}

TEST_P(Noise, ForgedAnswerThenTrueOne) {
  auto initiator = new_initiator();
  auto responder = new_responder();
  ASSERT_TRUE(read1(responder, write1(initiator)));
  const Bytes answer = write2(responder);
  for (size_t i = 0; i < answer.size(); ++i) {
    Bytes forged = answer;
    forged[i] ^= 0x80;
    EXPECT_FALSE(read2(initiator, forged)) << "byte " << i;
  }
  EXPECT_TRUE(read2(initiator, answer));
  expect_same_keys(initiator, responder);
}

TEST_P(Noise, WrongOrderIsRefused) {
  auto initiator = new_initiator();
  auto responder = new_responder();
  Bytes wire(200);
  Bytes payload(200);
  EXPECT_FALSE(initiator.read_message1(wire, payload));
  EXPECT_FALSE(initiator.write_message2(psk_, kAnswer, wire));
  EXPECT_FALSE(initiator.read_message2(psk_, wire, payload));
  EXPECT_FALSE(initiator.split());
  EXPECT_FALSE(responder.write_message1(kRequest, wire));
  EXPECT_FALSE(responder.write_message2(psk_, kAnswer, wire));
  EXPECT_FALSE(responder.read_message2(psk_, wire, payload));
  EXPECT_FALSE(responder.split());
  ASSERT_TRUE(read1(responder, write1(initiator)));
  EXPECT_FALSE(initiator.write_message1(kRequest, wire)) << "a second time";
  ASSERT_TRUE(read2(initiator, write2(responder)));
  expect_same_keys(initiator, responder);
  EXPECT_FALSE(initiator.split()) << "a second time";
  EXPECT_FALSE(initiator.read_message2(psk_, wire, payload));
}

TEST_P(Noise, LowOrderEphemeralIsRefused) {
  auto responder = new_responder();
  Bytes wire(kRequest.size() + kNoiseMessage1Overhead);
  EXPECT_FALSE(read1(responder, wire));
  auto initiator = NoiseHandshake::initiator(GetParam(), kPrologue, client_, PublicKey{});
  EXPECT_FALSE(initiator.write_message1(kRequest, wire));
}

INSTANTIATE_TEST_SUITE_P(Ciphers, Noise,
                         testing::Values(NoiseCipher::kAesGcm, NoiseCipher::kChaChaPoly),
                         [](const auto& cipher) {
                           return cipher.param == NoiseCipher::kAesGcm ? "AesGcm" : "ChaChaPoly";
                         });

// Points of small order, cr.yp.to/ecdh.html: each gives the all-zero result.
TEST(X25519, LowOrderPointsAreRefused) {
  for (const char* point : {"0000000000000000000000000000000000000000000000000000000000000000",
                            "0100000000000000000000000000000000000000000000000000000000000000",
                            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    PublicKey shared;
    shared.fill(0xaa);
    EXPECT_FALSE(x25519(generate_secret_key(), array_of<kDhBytes>(bytes_of(point)), shared));
    EXPECT_EQ(shared, PublicKey{}) << point;
  }
}

TEST(X25519, GeneratedKeysAreClampedAndFresh) {
  const SecretKey one = generate_secret_key();
  EXPECT_EQ(one.bytes()[0] & 7, 0);
  EXPECT_EQ(one.bytes()[31] & 0xc0, 0x40);
  EXPECT_FALSE(one == generate_secret_key());
}

TEST(X25519, PublicKeyOfRfc7748) {
  const SecretKey bob(array_of<kDhBytes>(
      bytes_of("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")));
  EXPECT_EQ(public_key_of(bob),
            array_of<kDhBytes>(
                bytes_of("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")));
}

TEST(Blake2s, Rfc7693) {
  const Bytes abc = {'a', 'b', 'c'};
  EXPECT_EQ(blake2s(abc), array_of<kHashBytes>(bytes_of(
                              "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982")));
}

std::array<uint8_t, kHashBytes> hmac_blake2s(std::span<const uint8_t> key,
                                             std::span<const uint8_t> data) {
  std::array<uint8_t, kHashBytes> out;
  hmac_blake2s_into(key, data, {}, out);
  return out;
}

TEST(HmacBlake2s, LongKeyIsHashedFirst) {
  const Bytes key(100, 0x0b);
  const Bytes data = {'H', 'i'};
  EXPECT_EQ(hmac_blake2s(key, data), hmac_blake2s(blake2s(key), data));
  EXPECT_NE(hmac_blake2s(key, data), hmac_blake2s(Bytes(99, 0x0b), data));
}

TEST(HkdfLabel, IsOneBlockOfExpand) {
  const Bytes key(32, 1);
  Bytes label = {'l', 'a', 'b', 'e', 'l'};
  const Secret<kHashBytes> out = hkdf_label(key, label);
  label.push_back(1);
  EXPECT_EQ(out.bytes(), hmac_blake2s(key, label));
}

TEST(SessionId, Text) {
  SessionId id;
  for (size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<uint8_t>(17 * i);
  EXPECT_EQ(to_string(id), "00112233445566778899aabbccddeeff");
}

}  // namespace
}  // namespace jvpn
