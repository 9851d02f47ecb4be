#include "common/checksum.h"

#include <immintrin.h>

namespace jvpn {
namespace {

// Adds 8 bytes with end-around carry.
uint64_t add_word(uint64_t sum, uint64_t word) {
  unsigned long long out;  // NOLINT: the intrinsic's type
  const unsigned char carry = _addcarry_u64(0, sum, word, &out);
  return out + carry;
}

uint64_t load(const uint8_t* at, size_t bytes) {
  uint64_t word = 0;
  __builtin_memcpy(&word, at, bytes);
  return word;
}

uint64_t sum_words(const uint8_t* at, size_t bytes, uint64_t sum) {
  for (; bytes >= 8; bytes -= 8, at += 8) sum = add_word(sum, load(at, 8));
  return bytes == 0 ? sum : add_word(sum, load(at, bytes));
}

// 32 bytes a step: each 32-bit word widened to 64, so that no carry is lost within 2^32 steps.
__attribute__((target("avx2"))) uint64_t sum_avx2(const uint8_t* at, size_t bytes, uint64_t sum) {
  const __m256i low = _mm256_set1_epi64x(0xFFFFFFFF);
  __m256i even = _mm256_setzero_si256();
  __m256i odd = _mm256_setzero_si256();
  for (; bytes >= 32; bytes -= 32, at += 32) {
    const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    even = _mm256_add_epi64(even, _mm256_and_si256(words, low));
    odd = _mm256_add_epi64(odd, _mm256_srli_epi64(words, 32));
  }
  alignas(32) uint64_t lanes[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), _mm256_add_epi64(even, odd));
  for (const uint64_t lane : lanes) sum = add_word(sum, lane);
  return sum_words(at, bytes, sum);
}

const bool kHasAvx2 = __builtin_cpu_supports("avx2") != 0;
constexpr size_t kVectorFrom = 128;

}  // namespace

uint64_t checksum_add(std::span<const uint8_t> bytes, uint64_t seed) {
  if (kHasAvx2 && bytes.size() >= kVectorFrom) return sum_avx2(bytes.data(), bytes.size(), seed);
  return sum_words(bytes.data(), bytes.size(), seed);
}

uint64_t pseudo_header_sum(const uint8_t* ip, uint8_t protocol, size_t length) {
  const bool v4 = ip[0] >> 4 == 4;
  const auto addresses = v4 ? std::span(ip + 12, 8) : std::span(ip + 8, 32);
  const uint64_t tail = uint64_t{__builtin_bswap32(static_cast<uint32_t>(length))} +
                        __builtin_bswap32(uint32_t{protocol});
  return checksum_add(addresses, tail);
}

}  // namespace jvpn
