// Noise_IKpsk2_25519_{AESGCM,ChaChaPoly}_BLAKE2s (Noise Protocol Framework rev. 34, §7.5, §9) on
// OpenSSL EVP. One object per handshake. A call out of order is refused; neither it nor a bad
// message changes the state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "common/blake2s.h"
#include "common/secret.h"
#include "common/x25519.h"

namespace jvpn {

using PresharedKey = Secret<32>;

/// Where the static-static secrets of peers are kept, which are the same in every handshake.
class StaticSecrets {
 public:
  virtual ~StaticSecrets() = default;
  /// Filled by the first handshake. nullptr: not a peer of ours, nothing is kept.
  virtual std::optional<Secret<kDhBytes>>* place_of(const PublicKey& peer) = 0;
};

/// What the handshakes of one static key have in common; spares each a part of its work. Both may
/// be null; what is named outlives the handshakes.
struct StaticMemory {
  DhKey* key = nullptr;
  StaticSecrets* secrets = nullptr;
};

enum class NoiseCipher : uint8_t { kAesGcm, kChaChaPoly };

/// Secrets of a finished handshake (Noise Split()).
struct NoiseKeys {
  Secret<32> initiator_to_responder;
  Secret<32> responder_to_initiator;
  Secret<32> chain;  ///< third output of Split()'s HKDF: what follows this handshake builds on it
};

inline constexpr size_t kNoiseMessage1Overhead =
    kDhBytes + (kDhBytes + 16) + 16;                             ///< e, s, payload tag
inline constexpr size_t kNoiseMessage2Overhead = kDhBytes + 16;  ///< e, payload tag

/// State of one IKpsk2 handshake, for either side.
class NoiseHandshake {
 public:
  /// `ephemeral` is for tests with fixed vectors; without it a fresh key is drawn. `local_public`,
  /// the public key of `local_static`, spares computing it anew for each handshake.
  static NoiseHandshake initiator(NoiseCipher cipher, std::span<const uint8_t> prologue,
                                  const SecretKey& local_static, const PublicKey& remote_static,
                                  const SecretKey* ephemeral = nullptr,
                                  const PublicKey* local_public = nullptr,
                                  const StaticMemory& memory = {});
  static NoiseHandshake responder(NoiseCipher cipher, std::span<const uint8_t> prologue,
                                  const SecretKey& local_static,
                                  const SecretKey* ephemeral = nullptr,
                                  const PublicKey* local_public = nullptr,
                                  const StaticMemory& memory = {});

  /// Initiator: `-> e, es, s, ss` and the encrypted payload, into the first payload +
  /// kNoiseMessage1Overhead bytes of `out`. False: wrong call, `out` too small, or a weak remote
  /// key.
  [[nodiscard]] bool write_message1(std::span<const uint8_t> payload, std::span<uint8_t> out);
  /// Responder: opens message 1 into `payload` (message size - overhead). Then `remote_static()` is
  /// known and authentic. A failed read leaves the state as it was.
  [[nodiscard]] bool read_message1(std::span<const uint8_t> message, std::span<uint8_t> payload);
  /// Responder: `<- e, ee, se, psk`. A peer without a preshared key uses 32 zero bytes. `header`:
  /// clear bytes that go with the message, mixed into the hash before it; none: nothing is mixed.
  [[nodiscard]] bool write_message2(const PresharedKey& psk, std::span<const uint8_t> payload,
                                    std::span<uint8_t> out, std::span<const uint8_t> header = {});
  /// Initiator: opens message 2. A failed read leaves the state as it was, so that a forged answer
  /// can't spoil the true one.
  [[nodiscard]] bool read_message2(const PresharedKey& psk, std::span<const uint8_t> message,
                                   std::span<uint8_t> payload,
                                   std::span<const uint8_t> header = {});

  const PublicKey& remote_static() const { return remote_static_; }
  /// Between the messages: a secret that only the two ends have, from the chaining key after
  /// message 1. nullopt before and afterwards.
  std::optional<Secret<kHashBytes>> secret_of_message1(std::span<const uint8_t> label) const;
  /// Keys after message 2, once; nullopt before and afterwards. Wipes the handshake state.
  std::optional<NoiseKeys> split();

 private:
  // Named after the one call that is in order.
  enum class Stage : uint8_t {
    kWriteMessage1,
    kReadMessage1,
    kWriteMessage2,
    kReadMessage2,
    kSplit,
    kDone
  };

  // CipherState and SymmetricState of the specification (§5.1, §5.2).
  struct Symmetric {
    NoiseCipher cipher{};
    std::array<uint8_t, kHashBytes> hash{};
    Secret<kHashBytes> chaining_key;
    Secret<32> key;
    uint64_t nonce = 0;

    void mix_hash(std::span<const uint8_t> data);
    void mix_key(std::span<const uint8_t> input);
    void mix_key_and_hash(std::span<const uint8_t> input);
    void mix_ephemeral(const PublicKey& ephemeral);
    bool mix_dh(const SecretKey& secret, const PublicKey& peer);
    bool mix_dh(DhKey& secret, const PublicKey& peer);
    void encrypt_and_hash(std::span<const uint8_t> plaintext, std::span<uint8_t> out);
    bool decrypt_and_hash(std::span<const uint8_t> ciphertext, std::span<uint8_t> out);
  };

  NoiseHandshake(Stage stage, NoiseCipher cipher, const SecretKey& local_static,
                 const SecretKey* ephemeral, const PublicKey* local_public,
                 const StaticMemory& memory);
  bool derive_static(const PublicKey& peer, std::span<uint8_t, kDhBytes> shared) const;
  bool mix_static(Symmetric& symmetric, const PublicKey& peer) const;
  bool mix_both_static(Symmetric& symmetric, const PublicKey& peer) const;
  void start(std::span<const uint8_t> prologue, const PublicKey& responder_static);
  void advance(Symmetric&& symmetric, Stage next);

  Stage stage_;
  Symmetric symmetric_;
  StaticMemory memory_;
  SecretKey local_static_;
  SecretKey ephemeral_;
  PublicKey local_public_;
  PublicKey remote_static_{};
  PublicKey remote_ephemeral_{};
};

}  // namespace jvpn
