// How a worker tells control that data came from elsewhere than its binding says (docs/DESIGN.md,
// reattach), or under an index that nobody has. Bindings stay; control answers that source.
#pragma once

#include <array>
#include <cstdint>

#include "common/ip.h"

namespace jvpn {

/// One element of WorkerRings::sources or WorkerRings::unknown.
struct SourceSignal {
  uint64_t serial = 0;       ///< of the install that the data opened under; of `unknown` 0
  uint32_t receiver = 0;     ///< the index that the message names
  uint16_t port = 0;         ///< where it came in
  uint16_t remote_port = 0;  ///< UDP
  uint16_t local_port = 0;
  Family family = Family::kNone;
  uint8_t reserved = 0;
  std::array<uint8_t, 16> remote{};
  std::array<uint8_t, 16> local{};
};
static_assert(sizeof(SourceSignal) % 4 == 0, "rte_ring_elem wants whole words");

// A tag is a number that stands for a UDP source. Exact for IPv4; of IPv6 two sources in 2^62 look
// alike, and then a changed NAT is noticed by silence only. Ports as on the wire.

/// Never 0: no packet comes from port 0.
inline uint64_t source_tag_v4(uint32_t address_be, uint16_t port_be) {
  return uint64_t{port_be} << 32 | address_be;
}

inline constexpr uint64_t kIpv6Source = uint64_t{1} << 63;
inline uint64_t source_tag_v6(const uint8_t* address, uint16_t port_be) {
  constexpr uint64_t kOdd = 0x9e37'79b9'7f4a'7c15;
  uint64_t high;
  uint64_t low;
  __builtin_memcpy(&high, address, sizeof high);
  __builtin_memcpy(&low, address + 8, sizeof low);
  const uint64_t mixed = ((high * kOdd) ^ low ^ (uint64_t{port_be} << 48)) * kOdd;
  return kIpv6Source | mixed >> 1;
}

inline uint64_t source_tag(const Endpoint& source) {
  const uint16_t port_be = __builtin_bswap16(source.port);
  const uint8_t* address = source.address.bytes.data();
  if (!source.address.is_v4()) return source_tag_v6(address, port_be);
  uint32_t word;
  __builtin_memcpy(&word, address, sizeof word);
  return source_tag_v4(word, port_be);
}

}  // namespace jvpn
