// The peer's end of the AEADs, by OpenSSL: an independent implementation of every suite.
#pragma once

#include <memory>
#include <optional>

#include <openssl/evp.h>

#include "common/aead.h"
#include "common/wire.h"
#include "tests/support/packet_builder.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

inline const EVP_CIPHER* evp_cipher(Suite suite) {
  switch (suite) {
    case Suite::kAes128Gcm:
      return EVP_aes_128_gcm();
    case Suite::kAes256Gcm:
      return EVP_aes_256_gcm();
    case Suite::kChaCha20Poly1305:
      return EVP_chacha20_poly1305();
  }
  return nullptr;
}

using EvpContext = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

/// Ciphertext and tag.
inline Bytes openssl_seal(Suite suite, const RawKey& key, const Nonce& nonce, const Bytes& plain,
                          const Bytes& aad = {}) {
  const EvpContext context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  Bytes sealed(plain.size() + kAeadTagBytes);
  uint8_t* const tag = sealed.data() + plain.size();
  int length = 0;
  EVP_EncryptInit_ex(context.get(), evp_cipher(suite), nullptr, key.data(), nonce.data());
  if (!aad.empty())
    EVP_EncryptUpdate(context.get(), nullptr, &length, aad.data(), static_cast<int>(aad.size()));
  if (!plain.empty())
    EVP_EncryptUpdate(context.get(), sealed.data(), &length, plain.data(),
                      static_cast<int>(plain.size()));
  EVP_EncryptFinal_ex(context.get(), tag, &length);
  EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kAeadTagBytes, tag);
  return sealed;
}

/// A data or control message: header, ciphertext, tag.
inline Bytes openssl_message(const wire::TransportHeader& header, Suite suite, const RawKey& key,
                             const Bytes& plain) {
  Bytes message(sizeof header);
  __builtin_memcpy(message.data(), &header, sizeof header);
  const Nonce nonce = transport_nonce(iv_of(key), ReceiverIndex{header.receiver}, header.counter);
  append(message, openssl_seal(suite, key, nonce, plain));
  return message;
}

/// The plaintext, when the tag is right.
inline std::optional<Bytes> openssl_open(Suite suite, const RawKey& key, const Nonce& nonce,
                                         const Bytes& sealed) {
  if (sealed.size() < kAeadTagBytes) return std::nullopt;
  const EvpContext context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  Bytes plain(sealed.size() - kAeadTagBytes);
  Bytes tag(sealed.end() - kAeadTagBytes, sealed.end());
  int length = 0;
  EVP_DecryptInit_ex(context.get(), evp_cipher(suite), nullptr, key.data(), nonce.data());
  EVP_DecryptUpdate(context.get(), plain.data(), &length, sealed.data(),
                    static_cast<int>(plain.size()));
  EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kAeadTagBytes, tag.data());
  if (EVP_DecryptFinal_ex(context.get(), plain.data() + length, &length) != 1) return std::nullopt;
  return plain;
}

}  // namespace jvpn::test
