// X25519 keys (RFC 7748) on OpenSSL EVP.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "common/secret.h"

struct evp_pkey_ctx_st;

namespace jvpn {

inline constexpr size_t kDhBytes = 32;

using PublicKey = std::array<uint8_t, kDhBytes>;
using SecretKey = Secret<kDhBytes>;

/// X25519 (RFC 7748). False when the shared result is all zero; `shared` is then wiped.
bool x25519(const SecretKey& secret, const PublicKey& peer, std::span<uint8_t, kDhBytes> shared);
/// Fresh random secret, clamped (RFC 7748, §5).
SecretKey generate_secret_key();
/// Public key of a clamped-or-not 32-byte secret.
PublicKey public_key_of(const SecretKey& secret);

/// A secret key made ready for several derivations. OpenSSL wipes its copy at the end. One thread.
class DhKey {
 public:
  /// Computes the public key, too, which costs as much as a derivation.
  explicit DhKey(const SecretKey& secret);

  const PublicKey& public_key() const { return public_; }
  /// As x25519().
  bool derive(const PublicKey& peer, std::span<uint8_t, kDhBytes> shared);

 private:
  struct Free {
    void operator()(evp_pkey_ctx_st* context) const;
  };
  std::unique_ptr<evp_pkey_ctx_st, Free> context_;
  PublicKey public_{};
};

}  // namespace jvpn
