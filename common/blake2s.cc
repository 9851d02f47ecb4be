#include "common/blake2s.h"

#include <algorithm>
#include <memory>

#include <openssl/evp.h>

#include "common/openssl_handles.h"

namespace jvpn {
namespace {

using openssl::require;
using Bytes = std::span<const uint8_t>;
using HashOut = std::span<uint8_t, kHashBytes>;
using Digest = std::unique_ptr<EVP_MD, openssl::Freer<EVP_MD_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, openssl::Freer<EVP_MD_CTX_free>>;

constexpr size_t kHashBlockBytes = 64;

const EVP_MD* algorithm() {
  static const Digest fetched{EVP_MD_fetch(nullptr, "BLAKE2S-256", nullptr)};
  require(fetched != nullptr);
  return fetched.get();
}

Secret<kHashBlockBytes> hmac_pad(Bytes key, uint8_t mask) {
  Secret<kHashBlockBytes> pad;
  if (key.size() > kHashBlockBytes)
    blake2s_into({key}, pad.span().first<kHashBytes>());
  else
    std::copy(key.begin(), key.end(), pad.bytes().begin());
  for (uint8_t& byte : pad.bytes()) byte ^= mask;
  return pad;
}

}  // namespace

void blake2s_into(std::initializer_list<Bytes> parts, HashOut out) {
  // One for each thread: BLAKE2s_Final wipes what it held.
  static thread_local const DigestContext context{EVP_MD_CTX_new()};
  bool done = EVP_DigestInit_ex2(context.get(), algorithm(), nullptr) == 1;
  for (const Bytes part : parts)
    done = done && EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
  require(done && EVP_DigestFinal_ex(context.get(), out.data(), nullptr) == 1);
}

void hmac_blake2s_into(Bytes key, Bytes first, Bytes second, HashOut out) {
  Secret<kHashBytes> inner;
  blake2s_into({hmac_pad(key, 0x36).span(), first, second}, inner.span());
  blake2s_into({hmac_pad(key, 0x5c).span(), inner.span()}, out);
}

std::array<uint8_t, kHashBytes> blake2s(std::span<const uint8_t> data) {
  std::array<uint8_t, kHashBytes> out;
  blake2s_into({data}, out);
  return out;
}

Secret<kHashBytes> hkdf_label(std::span<const uint8_t> key, std::span<const uint8_t> label) {
  constexpr uint8_t kFirstBlock = 1;
  Secret<kHashBytes> out;
  hmac_blake2s_into(key, label, {&kFirstBlock, 1}, out.span());
  return out;
}

}  // namespace jvpn
