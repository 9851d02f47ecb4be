// How full a ring is while others use it.
#pragma once

#include <algorithm>
#include <cstdint>

#include <rte_ring.h>

namespace jvpn {

/// As rte_ring_count(), at about this moment. Any thread: both ends are read as atomics, which
/// DPDK's own doesn't.
inline uint32_t ring_count(const rte_ring* ring) {
  const uint32_t tail = __atomic_load_n(&ring->prod.tail, __ATOMIC_RELAXED);
  const uint32_t head = __atomic_load_n(&ring->cons.tail, __ATOMIC_RELAXED);
  return std::min((tail - head) & ring->mask, ring->capacity);
}

}  // namespace jvpn
