// Every vector of our two suites in flynn/noise's vectors.txt: the handshake from both sides, then
// its transport messages under the keys of split().
#include <cstdio>

#include <gtest/gtest.h>

#include "common/noise.h"
#include "tests/support/rooms.h"
#include "tests/vectors/aead_case.h"

namespace jvpn::test {
namespace {

constexpr const char* kDefaultFile = "/usr/share/gocode/src/github.com/flynn/noise/vectors.txt";
constexpr size_t kVectorsPerSuite = 4;

SecretKey secret_of(const Record& record, const char* name) {
  return SecretKey(array_of<kDhBytes>(record.bytes(name)));
}

struct Message {
  Bytes payload, ciphertext;
};

Message message_of(const Record& record, size_t number) {
  const std::string name = "msg_" + std::to_string(number);
  return {record.bytes(name + "_payload"), record.bytes(name + "_ciphertext")};
}

struct Sides {
  NoiseHandshake initiator, responder;
};

Sides sides_of(const Record& record, NoiseCipher cipher) {
  const SecretKey resp_static = secret_of(record, "resp_static");
  const SecretKey init_ephemeral = secret_of(record, "gen_init_ephemeral");
  const SecretKey resp_ephemeral = secret_of(record, "gen_resp_ephemeral");
  const Bytes prologue = record.bytes("prologue");
  return {NoiseHandshake::initiator(cipher, prologue, secret_of(record, "init_static"),
                                    public_key_of(resp_static), &init_ephemeral),
          NoiseHandshake::responder(cipher, prologue, resp_static, &resp_ephemeral)};
}

bool handshake_matches(const Record& record, Sides& sides) {
  const PresharedKey psk(array_of<32>(record.bytes("preshared_key")));
  const Message first = message_of(record, 0);
  const Message second = message_of(record, 1);
  Bytes wire(first.payload.size() + kNoiseMessage1Overhead);
  Bytes payload(first.payload.size());
  if (!sides.initiator.write_message1(first.payload, wire) || wire != first.ciphertext)
    return false;
  if (!sides.responder.read_message1(wire, payload) || payload != first.payload) return false;
  if (sides.responder.remote_static() != public_key_of(secret_of(record, "init_static")))
    return false;
  wire.resize(second.payload.size() + kNoiseMessage2Overhead);
  payload.resize(second.payload.size());
  if (!sides.responder.write_message2(psk, second.payload, wire) || wire != second.ciphertext)
    return false;
  return sides.initiator.read_message2(psk, wire, payload) && payload == second.payload;
}

/// Transport message under a key of split(): empty associated data, Noise's nonce for the cipher.
AeadCase transport_case(NoiseCipher cipher, const Secret<32>& key, uint8_t counter,
                        const Message& message) {
  const bool gcm = cipher == NoiseCipher::kAesGcm;
  const size_t body = message.payload.size();
  AeadCase c{.suite = gcm ? Suite::kAes256Gcm : Suite::kChaCha20Poly1305,
             .key = Bytes(key.bytes().begin(), key.bytes().end()),
             .nonce = Bytes(kAeadNonceBytes),
             .aad = {},
             .plaintext = message.payload,
             .ciphertext = message.ciphertext,
             .tag = {}};
  c.nonce[gcm ? 11 : 4] = counter;
  c.tag.assign(c.ciphertext.begin() + static_cast<ptrdiff_t>(body), c.ciphertext.end());
  c.ciphertext.resize(body);
  return c;
}

bool transport_matches(const Record& record, NoiseCipher cipher, const NoiseKeys& keys,
                       AeadCaseRunner& runner) {
  size_t number = 2;
  for (; record.has("msg_" + std::to_string(number) + "_payload"); ++number) {
    const auto& key = number % 2 == 0 ? keys.initiator_to_responder : keys.responder_to_initiator;
    const auto counter = static_cast<uint8_t>((number - 2) / 2);
    const AeadCase c = transport_case(cipher, key, counter, message_of(record, number));
    if (!runner.seals(c) || !runner.opens(c)) return false;
  }
  return number >= 4;  // at least one message each way
}

bool vector_matches(const Record& record, NoiseCipher cipher, AeadCaseRunner& runner) {
  Sides sides = sides_of(record, cipher);
  if (!handshake_matches(record, sides)) return false;
  const auto initiator_keys = sides.initiator.split();
  const auto responder_keys = sides.responder.split();
  return initiator_keys && responder_keys &&
         transport_matches(record, cipher, *initiator_keys, runner) &&
         transport_matches(record, cipher, *responder_keys, runner);
}

void run_suite(const std::string& name, NoiseCipher cipher) {
  auto aead = Aead::create();
  ASSERT_TRUE(aead) << aead.error().message;
  AeadCaseRunner runner(*aead);
  const std::string file = from_environment("JVPN_NOISE_VECTORS", kDefaultFile);
  size_t passed = 0;
  size_t total = 0;
  for (const Record& record : read_records(file)) {
    if (record.text("handshake") != name) continue;
    ++total;
    const bool good = vector_matches(record, cipher, runner);
    EXPECT_TRUE(good) << name << ", vector " << total;
    passed += good;
  }
  std::printf("%s: passed %zu of %zu\n", name.c_str(), passed, total);
  EXPECT_GE(total, kVectorsPerSuite) << "vectors missing in " << file;
}

TEST(NoiseVectors, AesGcm) {
  run_suite("Noise_IKpsk2_25519_AESGCM_BLAKE2s", NoiseCipher::kAesGcm);
}
TEST(NoiseVectors, ChaChaPoly) {
  run_suite("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s", NoiseCipher::kChaChaPoly);
}

}  // namespace
}  // namespace jvpn::test
