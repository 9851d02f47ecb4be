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

using Params = std::array<OSSL_PARAM, 3>;

OSSL_PARAM param(const char* name, std::span<const uint8_t, kDhBytes> bytes) {
  // OpenSSL's interface; it only reads.
  return OSSL_PARAM_construct_octet_string(name, const_cast<uint8_t*>(bytes.data()), kDhBytes);
}

/// From a context that each thread keeps: to look the algorithm up anew takes longer than the rest.
Key make_key(int selection, Params params) {
  static thread_local const KeyContext context{
      EVP_PKEY_CTX_new_from_name(nullptr, "X25519", nullptr)};
  EVP_PKEY* key = nullptr;
  require(context && EVP_PKEY_fromdata_init(context.get()) == 1 &&
          EVP_PKEY_fromdata(context.get(), &key, selection, params.data()) == 1);
  return Key{key};
}

/// Derivation reads the private half alone, so any public half spares OpenSSL computing it.
Key private_key(const SecretKey& secret) {
  static constexpr PublicKey kUnused{};
  return make_key(EVP_PKEY_KEYPAIR,
                  {param(OSSL_PKEY_PARAM_PRIV_KEY, secret.span()),
                   param(OSSL_PKEY_PARAM_PUB_KEY, kUnused), OSSL_PARAM_construct_end()});
}

KeyContext derivation(const SecretKey& secret) {
  const Key key = private_key(secret);
  KeyContext context{EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr)};
  require(context && EVP_PKEY_derive_init(context.get()) == 1);
  return context;
}

/// The other end of the next derivation of this thread, in an object that the thread keeps.
EVP_PKEY* public_key(const PublicKey& bytes) {
  static thread_local const Key kept = make_key(
      EVP_PKEY_PUBLIC_KEY, {param(OSSL_PKEY_PARAM_PUB_KEY, bytes), OSSL_PARAM_construct_end()});
  require(EVP_PKEY_set1_encoded_public_key(kept.get(), bytes.data(), bytes.size()) == 1);
  return kept.get();
}

bool derive(EVP_PKEY_CTX* secret, const PublicKey& peer, std::span<uint8_t, kDhBytes> shared) {
  static constexpr PublicKey kZero{};
  size_t length = shared.size();
  const bool done = EVP_PKEY_derive_set_peer_ex(secret, public_key(peer), 0) == 1 &&
                    EVP_PKEY_derive(secret, shared.data(), &length) == 1 && length == shared.size();
  if (done && !equal_constant_time(shared, kZero)) return true;
  wipe(shared.data(), shared.size());
  return false;
}

}  // namespace

bool x25519(const SecretKey& secret, const PublicKey& peer, std::span<uint8_t, kDhBytes> shared) {
  return jvpn::derive(derivation(secret).get(), peer, shared);
}

void DhKey::Free::operator()(evp_pkey_ctx_st* context) const {
  EVP_PKEY_CTX_free(context);
}

/// The public key is a derivation from the base point (RFC 7748, §6.1), which OpenSSL does faster
/// than what it calls computing a public key.
DhKey::DhKey(const SecretKey& secret) : context_(derivation(secret).release()) {
  static constexpr PublicKey kBasePoint{9};
  require(jvpn::derive(context_.get(), kBasePoint, public_));
}

bool DhKey::derive(const PublicKey& peer, std::span<uint8_t, kDhBytes> shared) {
  return jvpn::derive(context_.get(), peer, shared);
}

SecretKey generate_secret_key() {
  SecretKey secret;
  require(RAND_priv_bytes(secret.bytes().data(), kDhBytes) == 1);
  secret.bytes()[0] &= 0xf8;
  secret.bytes()[31] = static_cast<uint8_t>((secret.bytes()[31] & 0x7f) | 0x40);
  return secret;
}

PublicKey public_key_of(const SecretKey& secret) {
  return DhKey(secret).public_key();
}

}  // namespace jvpn
