// The Internet checksum (RFC 1071): partial sums that can be joined.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace jvpn {

/// One's-complement sum of `bytes` as 16-bit words in memory order, not folded, added to `seed`.
/// An odd last byte counts as the first half of a word, so only a last piece may have odd length.
uint64_t checksum_add(std::span<const uint8_t> bytes, uint64_t seed);

/// Folds a sum to 16 bits, still in memory order and not inverted.
constexpr uint16_t checksum_fold(uint64_t sum) {
  sum = (sum & 0xFFFFFFFF) + (sum >> 32);
  sum = (sum & 0xFFFFFFFF) + (sum >> 32);
  sum = (sum & 0xFFFF) + (sum >> 16);
  sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

/// Folded and inverted, as a header carries it. 0 over bytes whose checksum is right.
constexpr uint16_t checksum_finish(uint64_t sum) {
  return static_cast<uint16_t>(~checksum_fold(sum));
}

/// Sum of the pseudo header of TCP, UDP or ICMPv6 (RFC 9293 §3.1, RFC 8200 §8.1) for the IP packet
/// that begins at `ip`; `length` counts transport header and payload. `ip` holds a whole IP header.
uint64_t pseudo_header_sum(const uint8_t* ip, uint8_t protocol, size_t length);

/// Writes a 16-bit sum where a checksum stands. Unaligned.
inline void store_checksum(uint8_t* at, uint16_t sum) {
  __builtin_memcpy(at, &sum, sizeof sum);
}

}  // namespace jvpn
