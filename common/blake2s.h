// BLAKE2s (RFC 7693), and HMAC and HKDF with it, on OpenSSL EVP.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "common/secret.h"

namespace jvpn {

inline constexpr size_t kHashBytes = 32;

/// BLAKE2s-256 (RFC 7693), unkeyed.
std::array<uint8_t, kHashBytes> blake2s(std::span<const uint8_t> data);
/// HKDF-Expand (RFC 5869) with HMAC-BLAKE2s, one block: 32 bytes from a pseudorandom key and label.
Secret<kHashBytes> hkdf_label(std::span<const uint8_t> key, std::span<const uint8_t> label);

/// blake2s() of the parts in a row, into `out`, which may be one of them.
void blake2s_into(std::initializer_list<std::span<const uint8_t>> parts,
                  std::span<uint8_t, kHashBytes> out);
/// HMAC-BLAKE2s (RFC 2104) of two parts in a row, into `out`, which may be one of them.
void hmac_blake2s_into(std::span<const uint8_t> key, std::span<const uint8_t> first,
                       std::span<const uint8_t> second, std::span<uint8_t, kHashBytes> out);

}  // namespace jvpn
