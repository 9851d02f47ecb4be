// Loads and stores of words at any alignment: in network byte order (be), or as they lie in memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace jvpn {

inline uint16_t load_u16(const uint8_t* at) {
  uint16_t word;
  __builtin_memcpy(&word, at, sizeof word);
  return word;
}
inline uint32_t load_u32(const uint8_t* at) {
  uint32_t word;
  __builtin_memcpy(&word, at, sizeof word);
  return word;
}
inline uint64_t load_u64(const uint8_t* at) {
  uint64_t word;
  __builtin_memcpy(&word, at, sizeof word);
  return word;
}
inline uint16_t load_be16(const uint8_t* at) {
  return __builtin_bswap16(load_u16(at));
}
inline uint32_t load_be32(const uint8_t* at) {
  return __builtin_bswap32(load_u32(at));
}
inline uint64_t load_be64(const uint8_t* at) {
  return __builtin_bswap64(load_u64(at));
}

/// The low 16 bits of `value`.
inline void store_u16(uint8_t* at, size_t value) {
  const auto word = static_cast<uint16_t>(value);
  __builtin_memcpy(at, &word, sizeof word);
}
inline void store_be16(uint8_t* at, size_t value) {
  store_u16(at, __builtin_bswap16(static_cast<uint16_t>(value)));
}
inline void store_be32(uint8_t* at, uint32_t value) {
  const uint32_t word = __builtin_bswap32(value);
  __builtin_memcpy(at, &word, sizeof word);
}
inline void store_be64(uint8_t* at, uint64_t value) {
  const uint64_t word = __builtin_bswap64(value);
  __builtin_memcpy(at, &word, sizeof word);
}

}  // namespace jvpn
