// How a worker tells control that data came from elsewhere than its binding says (design §5). The
// binding stays; control answers that source.
#pragma once

#include <array>
#include <cstdint>

#include "common/ip.h"

namespace jvpn {

/// One element of WorkerRings::sources.
struct SourceSignal {
  uint32_t receiver = 0;     ///< the index that the data opened under
  uint16_t port = 0;         ///< where it came in
  uint16_t remote_port = 0;  ///< UDP
  uint16_t local_port = 0;
  Family family = Family::kNone;
  uint8_t reserved = 0;
  std::array<uint8_t, 16> remote{};
  std::array<uint8_t, 16> local{};
};
static_assert(sizeof(SourceSignal) % 4 == 0, "rte_ring_elem wants whole words");

/// 32 bits that stand for a UDP source; never 0. `address`: 4 or 16 bytes as on the wire. Two
/// sources in 2^31 look alike, and then a changed NAT is noticed by silence only.
inline uint32_t source_tag(const uint8_t* address, bool v4, uint16_t port) {
  constexpr uint64_t kOdd = 0x9e37'79b9'7f4a'7c15;
  uint64_t high = 0;
  uint64_t low = 0;
  if (v4) {
    uint32_t word;
    __builtin_memcpy(&word, address, sizeof word);
    low = word;
  } else {
    __builtin_memcpy(&high, address, sizeof high);
    __builtin_memcpy(&low, address + 8, sizeof low);
  }
  const uint64_t mixed = ((high * kOdd) ^ low ^ (uint64_t{port} << 48)) * kOdd;
  return static_cast<uint32_t>(mixed >> 32) | 1;
}

inline uint32_t source_tag(const Endpoint& source) {
  return source_tag(source.address.bytes.data(), source.address.is_v4(), source.port);
}

}  // namespace jvpn
