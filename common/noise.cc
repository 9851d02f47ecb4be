#include "common/noise.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include <openssl/evp.h>

#include "common/openssl_handles.h"

namespace jvpn {
namespace {

using openssl::require;
using Bytes = std::span<const uint8_t>;
using Cipher = std::unique_ptr<EVP_CIPHER, openssl::Freer<EVP_CIPHER_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, openssl::Freer<EVP_CIPHER_CTX_free>>;

constexpr size_t kTagBytes = 16;
constexpr size_t kSealedStaticBytes = kDhBytes + kTagBytes;
constexpr size_t kMaxMessageBytes = 65535;  // Noise rev. 34, §3

struct Ciphers {
  Cipher aes_gcm{EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr)};
  Cipher chacha_poly{EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr)};

  Ciphers() { require(aes_gcm && chacha_poly); }
};

const Ciphers& ciphers() {
  static const Ciphers fetched;
  return fetched;
}

// HKDF of the Noise specification (§4.3).
template <size_t N>
std::array<Secret<kHashBytes>, N> noise_hkdf(const Secret<kHashBytes>& chaining_key, Bytes input) {
  Secret<kHashBytes> extracted;
  hmac_blake2s_into(chaining_key.span(), input, {}, extracted.span());
  std::array<Secret<kHashBytes>, N> outputs;
  for (size_t i = 0; i < N; ++i) {
    const auto counter = static_cast<uint8_t>(i + 1);
    const Bytes previous = i == 0 ? Bytes{} : Bytes{outputs[i - 1].span()};
    hmac_blake2s_into(extracted.span(), previous, {&counter, 1}, outputs[i].span());
  }
  return outputs;
}

const EVP_CIPHER* evp_cipher(NoiseCipher cipher) {
  const Ciphers& all = ciphers();
  return cipher == NoiseCipher::kAesGcm ? all.aes_gcm.get() : all.chacha_poly.get();
}

// 32 zero bits and the counter: big-endian for AESGCM, little-endian for ChaChaPoly (§12).
std::array<uint8_t, 12> cipher_nonce(NoiseCipher cipher, uint64_t counter) {
  std::array<uint8_t, 12> nonce{};
  for (size_t i = 0; i < 8; ++i) {
    const size_t at = cipher == NoiseCipher::kAesGcm ? 11 - i : 4 + i;
    nonce[at] = static_cast<uint8_t>(counter >> (8 * i));
  }
  return nonce;
}

// EVP reads a null output as "associated data", so empty input isn't passed on.
bool update(EVP_CIPHER_CTX* context, uint8_t* out, Bytes in) {
  int written = 0;
  return in.empty() ||
         EVP_CipherUpdate(context, out, &written, in.data(), static_cast<int>(in.size())) == 1;
}

}  // namespace

void NoiseHandshake::Symmetric::mix_hash(std::span<const uint8_t> data) {
  blake2s_into({hash, data}, hash);
}

void NoiseHandshake::Symmetric::mix_key(std::span<const uint8_t> input) {
  auto outputs = noise_hkdf<2>(chaining_key, input);
  chaining_key = std::move(outputs[0]);
  key = std::move(outputs[1]);
  nonce = 0;
}

void NoiseHandshake::Symmetric::mix_key_and_hash(std::span<const uint8_t> input) {
  auto outputs = noise_hkdf<3>(chaining_key, input);
  chaining_key = std::move(outputs[0]);
  mix_hash(outputs[1].span());
  key = std::move(outputs[2]);
  nonce = 0;
}

// With a psk in the pattern the token e mixes into the key as well (§9.2).
void NoiseHandshake::Symmetric::mix_ephemeral(const PublicKey& ephemeral) {
  mix_hash(ephemeral);
  mix_key(ephemeral);
}

bool NoiseHandshake::Symmetric::mix_dh(const SecretKey& secret, const PublicKey& peer) {
  Secret<kDhBytes> shared;
  if (!x25519(secret, peer, shared.span())) return false;
  mix_key(shared.span());
  return true;
}

bool NoiseHandshake::Symmetric::mix_dh(DhKey& secret, const PublicKey& peer) {
  Secret<kDhBytes> shared;
  if (!secret.derive(peer, shared.span())) return false;
  mix_key(shared.span());
  return true;
}

/// Our static key with one of the peer's. The key that is ready spares making one for each.
bool NoiseHandshake::derive_static(const PublicKey& peer,
                                   std::span<uint8_t, kDhBytes> shared) const {
  return memory_.key != nullptr ? memory_.key->derive(peer, shared)
                                : x25519(local_static_, peer, shared);
}

/// Our static key with the peer's ephemeral one.
bool NoiseHandshake::mix_static(Symmetric& symmetric, const PublicKey& peer) const {
  Secret<kDhBytes> shared;
  if (!derive_static(peer, shared.span())) return false;
  symmetric.mix_key(shared.span());
  return true;
}

/// Both static keys: the same as last time, if that is known.
bool NoiseHandshake::mix_both_static(Symmetric& symmetric, const PublicKey& peer) const {
  auto* place = memory_.secrets == nullptr ? nullptr : memory_.secrets->place_of(peer);
  if (place == nullptr) return mix_static(symmetric, peer);
  if (!*place) {
    Secret<kDhBytes> shared;
    if (!derive_static(peer, shared.span())) return false;
    *place = std::move(shared);
  }
  symmetric.mix_key((*place)->span());
  return true;
}

void NoiseHandshake::Symmetric::encrypt_and_hash(std::span<const uint8_t> plaintext,
                                                 std::span<uint8_t> out) {
  const CipherContext context{EVP_CIPHER_CTX_new()};
  const auto iv = cipher_nonce(cipher, nonce++);
  uint8_t* tag = out.data() + plaintext.size();
  int written = 0;
  const bool done = context &&
                    EVP_EncryptInit_ex2(context.get(), evp_cipher(cipher), key.bytes().data(),
                                        iv.data(), nullptr) == 1 &&
                    update(context.get(), nullptr, hash) &&
                    update(context.get(), out.data(), plaintext) &&
                    EVP_EncryptFinal_ex(context.get(), tag, &written) == 1 &&
                    EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag) == 1;
  require(done);
  mix_hash(out.first(plaintext.size() + kTagBytes));
}

bool NoiseHandshake::Symmetric::decrypt_and_hash(std::span<const uint8_t> ciphertext,
                                                 std::span<uint8_t> out) {
  const CipherContext context{EVP_CIPHER_CTX_new()};
  const auto iv = cipher_nonce(cipher, nonce);
  const auto body = ciphertext.first(ciphertext.size() - kTagBytes);
  auto* tag = const_cast<uint8_t*>(ciphertext.data() + body.size());
  uint8_t rest[kTagBytes];
  int written = 0;
  const bool authentic =
      context &&
      EVP_DecryptInit_ex2(context.get(), evp_cipher(cipher), key.bytes().data(), iv.data(),
                          nullptr) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag) == 1 &&
      update(context.get(), nullptr, hash) && update(context.get(), out.data(), body) &&
      EVP_DecryptFinal_ex(context.get(), rest, &written) == 1;
  if (!authentic) {
    wipe(out.data(), body.size());
    return false;
  }
  ++nonce;
  mix_hash(ciphertext);
  return true;
}

NoiseHandshake::NoiseHandshake(Stage stage, NoiseCipher cipher, const SecretKey& local_static,
                               const SecretKey* ephemeral, const PublicKey* local_public,
                               const StaticMemory& memory)
    : stage_(stage),
      memory_(memory),
      local_static_(local_static),
      ephemeral_(ephemeral != nullptr ? *ephemeral : generate_secret_key()),
      local_public_(local_public != nullptr ? *local_public : public_key_of(local_static)) {
  symmetric_.cipher = cipher;
}

void NoiseHandshake::start(std::span<const uint8_t> prologue, const PublicKey& responder_static) {
  const std::string_view name = symmetric_.cipher == NoiseCipher::kAesGcm
                                    ? "Noise_IKpsk2_25519_AESGCM_BLAKE2s"
                                    : "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
  blake2s_into({{reinterpret_cast<const uint8_t*>(name.data()), name.size()}}, symmetric_.hash);
  symmetric_.chaining_key.bytes() = symmetric_.hash;
  symmetric_.mix_hash(prologue);
  symmetric_.mix_hash(responder_static);
}

void NoiseHandshake::advance(Symmetric&& symmetric, Stage next) {
  symmetric_ = std::move(symmetric);
  stage_ = next;
}

NoiseHandshake NoiseHandshake::initiator(NoiseCipher cipher, std::span<const uint8_t> prologue,
                                         const SecretKey& local_static,
                                         const PublicKey& remote_static, const SecretKey* ephemeral,
                                         const PublicKey* local_public,
                                         const StaticMemory& memory) {
  NoiseHandshake handshake(Stage::kWriteMessage1, cipher, local_static, ephemeral, local_public,
                           memory);
  handshake.remote_static_ = remote_static;
  handshake.start(prologue, remote_static);
  return handshake;
}

NoiseHandshake NoiseHandshake::responder(NoiseCipher cipher, std::span<const uint8_t> prologue,
                                         const SecretKey& local_static, const SecretKey* ephemeral,
                                         const PublicKey* local_public,
                                         const StaticMemory& memory) {
  NoiseHandshake handshake(Stage::kReadMessage1, cipher, local_static, ephemeral, local_public,
                           memory);
  handshake.start(prologue, handshake.local_public_);
  return handshake;
}

bool NoiseHandshake::write_message1(std::span<const uint8_t> payload, std::span<uint8_t> out) {
  const size_t size = payload.size() + kNoiseMessage1Overhead;
  if (stage_ != Stage::kWriteMessage1 || size > kMaxMessageBytes || out.size() < size) return false;
  DhKey ephemeral(ephemeral_);
  Symmetric next = symmetric_;
  std::ranges::copy(ephemeral.public_key(), out.begin());
  next.mix_ephemeral(ephemeral.public_key());
  if (!next.mix_dh(ephemeral, remote_static_)) return false;  // es
  next.encrypt_and_hash(local_public_, out.subspan(kDhBytes, kSealedStaticBytes));
  if (!mix_both_static(next, remote_static_)) return false;  // ss
  next.encrypt_and_hash(payload, out.subspan(kDhBytes + kSealedStaticBytes));
  advance(std::move(next), Stage::kReadMessage2);
  return true;
}

bool NoiseHandshake::read_message1(std::span<const uint8_t> message, std::span<uint8_t> payload) {
  if (stage_ != Stage::kReadMessage1 || message.size() > kMaxMessageBytes ||
      message.size() < kNoiseMessage1Overhead ||
      payload.size() < message.size() - kNoiseMessage1Overhead)
    return false;
  Symmetric next = symmetric_;
  PublicKey ephemeral;
  PublicKey remote;
  std::copy_n(message.begin(), kDhBytes, ephemeral.begin());
  next.mix_ephemeral(ephemeral);
  if (!mix_static(next, ephemeral)) return false;  // es
  if (!next.decrypt_and_hash(message.subspan(kDhBytes, kSealedStaticBytes), remote)) return false;
  if (!mix_both_static(next, remote)) return false;  // ss
  if (!next.decrypt_and_hash(message.subspan(kDhBytes + kSealedStaticBytes), payload)) return false;
  remote_ephemeral_ = ephemeral;
  remote_static_ = remote;
  advance(std::move(next), Stage::kWriteMessage2);
  return true;
}

bool NoiseHandshake::write_message2(const PresharedKey& psk, std::span<const uint8_t> payload,
                                    std::span<uint8_t> out, std::span<const uint8_t> header) {
  const size_t size = payload.size() + kNoiseMessage2Overhead;
  if (stage_ != Stage::kWriteMessage2 || size > kMaxMessageBytes || out.size() < size) return false;
  DhKey ephemeral(ephemeral_);
  Symmetric next = symmetric_;
  if (!header.empty()) next.mix_hash(header);
  std::ranges::copy(ephemeral.public_key(), out.begin());
  next.mix_ephemeral(ephemeral.public_key());
  if (!next.mix_dh(ephemeral, remote_ephemeral_)) return false;  // ee
  if (!next.mix_dh(ephemeral, remote_static_)) return false;     // se
  next.mix_key_and_hash(psk.span());
  next.encrypt_and_hash(payload, out.subspan(kDhBytes));
  advance(std::move(next), Stage::kSplit);
  return true;
}

bool NoiseHandshake::read_message2(const PresharedKey& psk, std::span<const uint8_t> message,
                                   std::span<uint8_t> payload, std::span<const uint8_t> header) {
  if (stage_ != Stage::kReadMessage2 || message.size() > kMaxMessageBytes ||
      message.size() < kNoiseMessage2Overhead ||
      payload.size() < message.size() - kNoiseMessage2Overhead)
    return false;
  Symmetric next = symmetric_;
  PublicKey ephemeral;
  if (!header.empty()) next.mix_hash(header);
  std::copy_n(message.begin(), kDhBytes, ephemeral.begin());
  next.mix_ephemeral(ephemeral);
  if (!next.mix_dh(ephemeral_, ephemeral)) return false;  // ee
  if (!mix_static(next, ephemeral)) return false;         // se
  next.mix_key_and_hash(psk.span());
  if (!next.decrypt_and_hash(message.subspan(kDhBytes), payload)) return false;
  advance(std::move(next), Stage::kSplit);
  return true;
}

std::optional<Secret<kHashBytes>> NoiseHandshake::secret_of_message1(
    std::span<const uint8_t> label) const {
  if (stage_ != Stage::kWriteMessage2 && stage_ != Stage::kReadMessage2) return std::nullopt;
  return hkdf_label(symmetric_.chaining_key.span(), label);
}

std::optional<NoiseKeys> NoiseHandshake::split() {
  if (stage_ != Stage::kSplit) return std::nullopt;
  auto keys = noise_hkdf<3>(symmetric_.chaining_key, {});
  symmetric_ = Symmetric{};
  local_static_.clear();
  ephemeral_.clear();
  stage_ = Stage::kDone;
  return NoiseKeys{std::move(keys[0]), std::move(keys[1]), std::move(keys[2])};
}

}  // namespace jvpn
