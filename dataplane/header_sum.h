// Checksums of IPv4 headers (RFC 1071) in as few instructions as a packet may cost. Worker core;
// all other sums: common/checksum.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/bytes.h"

namespace jvpn {

/// The Internet checksum of an IPv4 header (RFC 1071) comes out right. `bytes` is a multiple of 4,
/// ≥ 20.
inline bool ipv4_header_sums_up(const uint8_t* header, size_t bytes) {
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes; i += 4) sum += load_u32(header + i);
  sum = (sum & 0xFFFFFFFF) + (sum >> 32);
  sum = (sum & 0xFFFF) + (sum >> 16);
  // At most 0x10000 next: another fold would not make 0xFFFF of anything but itself.
  return (sum & 0xFFFF) + (sum >> 16) == 0xFFFF;
}

/// The same for a header without options, not all of it 0. Modulo 2^16 - 1, 2^64 is 1: carries come
/// back at the end.
inline bool ipv4_plain_header_sums_up(const uint8_t* header) {
  uint64_t sum = 0;
  const bool first = __builtin_add_overflow(load_u64(header), load_u64(header + 8), &sum);
  const bool second = __builtin_add_overflow(sum, uint64_t{load_u32(header + 16)} + first, &sum);
  sum += second;
  return sum % 0xFFFF == 0;
}

/// Sum of two 16-bit words with end-around carry (RFC 1071).
inline uint16_t add_words(uint16_t a, uint16_t b) {
  const uint32_t sum = uint32_t{a} + b;
  return static_cast<uint16_t>(sum + (sum >> 16));
}

}  // namespace jvpn
