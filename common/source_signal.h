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

/// A number that stands for a UDP source; never 0. Exact for IPv4; of IPv6 two sources in 2^62 look
/// alike, and then a changed NAT is noticed by silence only. `address`: 4 or 16 bytes as on the
/// wire; `port_be` as there too.
inline uint64_t source_tag(const uint8_t* address, bool v4, uint16_t port_be) {
  constexpr uint64_t kIpv4 = uint64_t{1} << 48;
  constexpr uint64_t kIpv6 = uint64_t{1} << 63;
  constexpr uint64_t kOdd = 0x9e37'79b9'7f4a'7c15;
  if (v4) {
    uint32_t word;
    __builtin_memcpy(&word, address, sizeof word);
    return kIpv4 | uint64_t{port_be} << 32 | word;
  }
  uint64_t high;
  uint64_t low;
  __builtin_memcpy(&high, address, sizeof high);
  __builtin_memcpy(&low, address + 8, sizeof low);
  const uint64_t mixed = ((high * kOdd) ^ low ^ (uint64_t{port_be} << 48)) * kOdd;
  return kIpv6 | mixed >> 1;
}

constexpr bool is_ipv4_source(uint64_t tag) {
  return tag >> 63 == 0;
}

inline uint64_t source_tag(const Endpoint& source) {
  return source_tag(source.address.bytes.data(), source.address.is_v4(),
                    __builtin_bswap16(source.port));
}

}  // namespace jvpn
