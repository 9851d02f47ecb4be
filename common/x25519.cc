#include "common/x25519.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "common/openssl_handles.h"

namespace jvpn {
namespace {

using openssl::require;
using Key = std::unique_ptr<EVP_PKEY, openssl::Freer<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, openssl::Freer<EVP_PKEY_CTX_free>>;

// Derivation reads the private half alone, so any public half spares OpenSSL computing it.
Key private_key(const SecretKey& secret) {
  static const PublicKey unused{};
  auto* scalar = const_cast<uint8_t*>(secret.bytes().data());
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, scalar, kDhBytes),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
                                        const_cast<uint8_t*>(unused.data()), kDhBytes),
      OSSL_PARAM_construct_end()};
  const KeyContext context{EVP_PKEY_CTX_new_from_name(nullptr, "X25519", nullptr)};
  EVP_PKEY* key = nullptr;
  const bool done = context && EVP_PKEY_fromdata_init(context.get()) == 1 &&
                    EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR,
                                      const_cast<OSSL_PARAM*>(params)) == 1;
  require(done);
  return Key{key};
}

bool derive(EVP_PKEY* secret, EVP_PKEY* peer, std::span<uint8_t, kDhBytes> shared) {
  const KeyContext context{EVP_PKEY_CTX_new_from_pkey(nullptr, secret, nullptr)};
  size_t length = shared.size();
  return context && EVP_PKEY_derive_init(context.get()) == 1 &&
         EVP_PKEY_derive_set_peer_ex(context.get(), peer, 0) == 1 &&
         EVP_PKEY_derive(context.get(), shared.data(), &length) == 1 && length == shared.size();
}

}  // namespace

bool x25519(const SecretKey& secret, const PublicKey& peer, std::span<uint8_t, kDhBytes> shared) {
  const Key ours = private_key(secret);
  const Key theirs{
      EVP_PKEY_new_raw_public_key_ex(nullptr, "X25519", nullptr, peer.data(), peer.size())};
  require(theirs != nullptr);
  static constexpr PublicKey kZero{};
  if (derive(ours.get(), theirs.get(), shared) && !equal_constant_time(shared, kZero)) return true;
  wipe(shared.data(), shared.size());
  return false;
}

void DhKey::Free::operator()(evp_pkey_ctx_st* context) const {
  EVP_PKEY_CTX_free(context);
}

DhKey::DhKey(const SecretKey& secret) {
  const Key key{
      EVP_PKEY_new_raw_private_key_ex(nullptr, "X25519", nullptr, secret.bytes().data(), kDhBytes)};
  size_t length = public_.size();
  require(key && EVP_PKEY_get_raw_public_key(key.get(), public_.data(), &length) == 1);
  context_.reset(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  require(context_ && EVP_PKEY_derive_init(context_.get()) == 1);
}

bool DhKey::derive(const PublicKey& peer, std::span<uint8_t, kDhBytes> shared) {
  const Key theirs{
      EVP_PKEY_new_raw_public_key_ex(nullptr, "X25519", nullptr, peer.data(), peer.size())};
  require(theirs != nullptr);
  static constexpr PublicKey kZero{};
  size_t length = shared.size();
  const bool done = EVP_PKEY_derive_set_peer_ex(context_.get(), theirs.get(), 0) == 1 &&
                    EVP_PKEY_derive(context_.get(), shared.data(), &length) == 1 &&
                    length == shared.size();
  if (done && !equal_constant_time(shared, kZero)) return true;
  wipe(shared.data(), shared.size());
  return false;
}

SecretKey generate_secret_key() {
  SecretKey secret;
  require(RAND_priv_bytes(secret.bytes().data(), kDhBytes) == 1);
  secret.bytes()[0] &= 0xf8;
  secret.bytes()[31] = static_cast<uint8_t>((secret.bytes()[31] & 0x7f) | 0x40);
  return secret;
}

PublicKey public_key_of(const SecretKey& secret) {
  const Key key{
      EVP_PKEY_new_raw_private_key_ex(nullptr, "X25519", nullptr, secret.bytes().data(), kDhBytes)};
  PublicKey result;
  size_t length = result.size();
  require(key && EVP_PKEY_get_raw_public_key(key.get(), result.data(), &length) == 1);
  return result;
}

}  // namespace jvpn
