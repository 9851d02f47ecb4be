// Base64 of 32-byte keys. Arithmetic instead of tables and branches on the key's bits, so that its
// time and memory accesses tell nothing (as in wireguard-tools' encoding.c).
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/profile.h"
#include "common/secret.h"

namespace jvpn {
namespace {

constexpr size_t kKeyBytes = 32;
constexpr size_t kTextBytes = 44;  // 43 digits and one '='

/// All ones when low <= c <= high, else zero. All below 256.
constexpr uint32_t in_range(uint32_t c, uint32_t low, uint32_t high) {
  return (((c - low) | (high - c)) >> 31) - 1;
}

/// Digit of 6 bits as its character.
char encode_digit(uint32_t digit) {
  uint32_t c = digit + 'A';
  c += ((25 - digit) >> 8) & 6;   // 26…51: a…z
  c -= ((51 - digit) >> 8) & 75;  // 52…61: 0…9
  c -= ((61 - digit) >> 8) & 15;  // 62: +
  c += ((62 - digit) >> 8) & 3;   // 63: /
  return static_cast<char>(c & 0xff);
}

/// Character as its digit of 6 bits; at least 64 for a foreign one.
uint32_t decode_digit(char character) {
  const auto c = static_cast<uint32_t>(static_cast<unsigned char>(character));
  uint32_t digit = 0;
  uint32_t known = 0;
  const auto add = [&](uint32_t low, uint32_t high, uint32_t first) {
    const uint32_t mask = in_range(c, low, high);
    digit |= mask & (c - low + first);
    known |= mask;
  };
  add('A', 'Z', 0);
  add('a', 'z', 26);
  add('0', '9', 52);
  add('+', '+', 62);
  add('/', '/', 63);
  return digit | (~known & 64);
}

}  // namespace

std::string key_to_base64(const std::array<uint8_t, kKeyBytes>& key) {
  std::string text;
  text.reserve(kTextBytes);
  for (size_t i = 0; i < kKeyBytes; i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < kKeyBytes ? key[i + j] : uint32_t{0});
    }
    for (int shift = 18; shift >= 0; shift -= 6) {
      text.push_back(encode_digit((group >> shift) & 63));
    }
  }
  text[kTextBytes - 1] = '=';
  return text;
}

std::optional<std::array<uint8_t, kKeyBytes>> key_from_base64(std::string_view text) {
  if (text.size() != kTextBytes || text.back() != '=') return std::nullopt;
  std::array<uint8_t, kKeyBytes> key{};
  uint32_t foreign = 0;
  for (size_t i = 0; i < kTextBytes; i += 4) {
    uint32_t group = 0;
    for (size_t j = 0; j < 4; ++j) {
      const uint32_t digit = i + j == kTextBytes - 1 ? 0 : decode_digit(text[i + j]);
      foreign |= digit & 64;
      group = group << 6 | (digit & 63);
    }
    const size_t out = i / 4 * 3;
    for (size_t j = 0; j < 3; ++j) {
      const auto byte = static_cast<uint8_t>(group >> (16 - 8 * j));
      if (out + j < kKeyBytes) {
        key[out + j] = byte;
      } else {
        foreign |= byte;  // bits beyond the key must be zero: one text for each key
      }
    }
  }
  if (foreign != 0) {
    wipe(key.data(), key.size());
    return std::nullopt;
  }
  return key;
}

}  // namespace jvpn
